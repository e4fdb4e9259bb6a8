"""The wheel: what is in it, and that it runs installed, outside the checkout."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement

CHECKOUT = Path(__file__).parents[1]
PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))["project"]


def normal(name: str) -> str:
    return name.lower().replace("_", "-")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built without isolation: hatchling is among the development packages, so nothing is downloaded."""
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(CHECKOUT)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of a fresh environment with the wheel in it.

    The dependencies are borrowed from this environment (their folder stands on the path), so that nothing large is
    downloaded. That the declared dependencies can be fetched and resolved is therefore not shown here; that all of
    them are declared is, by ``test_every_import_is_declared``, and ``make setup`` installs them for real.
    """
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True, timeout=120)
    scripts = folder / ("Scripts" if os.name == "nt" else "bin")
    pip = [sys.executable, "-m", "pip", "--python", str(scripts / "python"), "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--quiet", "--no-deps", str(wheel)], check=True, timeout=120)
    own = next(folder.glob("**/memchat/__init__.py")).parents[1]
    (own / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return scripts


def run(scripts: Path, home: Path, *command: str, code: int = 0) -> str:
    """What an installed command prints, run in an empty folder with the checkout out of sight."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    environment |= {"MEMCHAT_HOME": str(home), "HF_HUB_OFFLINE": "1"}
    home.mkdir(exist_ok=True)
    argv = [str(scripts / command[0]), *command[1:]]
    result = subprocess.run(argv, cwd=home, env=environment, capture_output=True, text=True, timeout=250)
    assert result.returncode == code, result.stderr[-2000:]
    return result.stdout


@pytest.mark.slow
def test_the_wheel_carries_code_assets_and_adapters_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for folder in ("assets", "adapters"):
        ours = {path.relative_to(CHECKOUT).as_posix() for path in (CHECKOUT / folder).rglob("*") if path.is_file()}
        packed = {
            name.removeprefix("memchat/_share/") for name in names if name.startswith(f"memchat/_share/{folder}/")
        }
        assert packed == ours
        assert ours, f"{folder}/ is empty"
    roots = {name.split("/")[0] for name in names}
    assert roots == {"memchat", "trainers", f"memchat-{PROJECT['version']}.dist-info"}
    assert "memchat/tui/memchat.tcss" in names or not (CHECKOUT / "memchat/tui/memchat.tcss").exists()
    assert not [name for name in names if name.endswith((".pyc", ".bin", ".pt", ".pkl"))]
    assert wheel.stat().st_size < 100 * 2**20, "PyPI takes files of up to 100 MiB"


@pytest.mark.slow
def test_the_installed_command_runs_outside_the_checkout(installed: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert run(installed, home, "memchat", "--version") == f"memchat {PROJECT['version']}\n"
    code = (
        "import memchat, memchat.paths as p; print(memchat.__file__, p.shipped('adapters'), p.starter_dir(), sep='\\n')"
    )
    for line in run(installed, home, "python", "-c", code).splitlines():
        assert line.startswith(str(installed.parent))
    models = json.loads(run(installed, home, "memchat", "models", "list", "--json"))
    shipped = (CHECKOUT / "assets/starter/config.json").is_file()
    assert [model["id"] for model in models] == (["starter"] if shipped else [])
    if shipped:
        answer = run(installed, home, "memchat", "ask", "Hello")
        assert answer.strip()


def test_every_import_is_declared() -> None:
    """No module is used that only happens to be installed because another package needs it."""
    declared = {normal(Requirement(line).name) for line in PROJECT["dependencies"]}
    optional = {
        normal(Requirement(line).name)
        for extra in ("track", "data", "grammar", "trl")
        for line in PROJECT["optional-dependencies"][extra]
    }
    providers = packages_distributions()
    undeclared: set[str] = set()
    for file in [*(CHECKOUT / "memchat").rglob("*.py"), *(CHECKOUT / "trainers").rglob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                modules = [node.module]
            else:
                continue
            for module in (name.split(".")[0] for name in modules):
                if module in sys.stdlib_module_names or module in ("memchat", "trainers"):
                    continue
                packages = {normal(name) for name in providers.get(module, [module])}
                if not packages & (declared | optional):
                    undeclared.add(f"{module} in {file.relative_to(CHECKOUT)}")
    assert not undeclared


def test_constraints_meet_the_requirements() -> None:
    """Everything that pyproject.toml asks for by name is pinned, to a version that it allows."""
    lines = (CHECKOUT / "constraints.txt").read_text("utf-8").splitlines()
    pins = {normal(pin.name): pin for line in lines if line and line[0] != "#" for pin in [Requirement(line)]}
    assert str(pins["torch"].specifier) == "==2.13.0"
    for line in [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"]]:
        wanted = Requirement(line)
        pin = pins.get(normal(wanted.name))
        assert pin is not None, f"{wanted.name} is not pinned"
        assert wanted.specifier.contains(str(pin.specifier).removeprefix("==")), f"{pin} is not {wanted}"


def test_make_knows_its_targets() -> None:
    for target, command in (("test", "-m pytest"), ("chat", "-m memchat"), ("lint", "ruff check"), ("setup", "venv")):
        # -W: as if pyproject.toml were new, so that set-up is shown as well
        shown = subprocess.run(
            ["make", "-n", "-W", "pyproject.toml", target], cwd=CHECKOUT, capture_output=True, text=True, check=True
        ).stdout
        assert command in shown
        assert "-c constraints.txt torch==2.13.0" in shown
    assert os.access(CHECKOUT / ".ci/run", os.X_OK)
