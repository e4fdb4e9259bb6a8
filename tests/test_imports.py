"""The arrows of the design: who may import whom, and what must stay light."""

from __future__ import annotations

import ast
import io
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HEAVY = {"torch", "transformers", "peft", "accelerate", "numpy", "matplotlib"}

BASE = {f"memchat.{name}" for name in ("errors", "paths", "config", "protocol", "shelf", "prompts")} | {"memchat"}
MAY_IMPORT: dict[str, set[str]] = {
    "memchat.engine": BASE,
    "memchat.store": BASE,
    "memchat.memory": BASE | {"memchat.memory", "memchat.engine", "memchat.store"},
    "memchat.session": BASE | {"memchat.memory", "memchat.engine", "memchat.store"},
    "memchat.worker": BASE | {"memchat.memory", "memchat.engine", "memchat.store", "memchat.session"},
    "memchat.data": BASE,
    "memchat.evals": BASE | {"memchat.session", "memchat.data", "memchat.engine", "memchat.memory", "memchat.store"},
    "memchat.tui": BASE | {"memchat.store", "memchat.engine.catalog"},
    "trainers": BASE | {"memchat.memory", "memchat.engine", "memchat.data"},
}
"""Package -> prefixes it may import, besides itself. ``cli`` may import everything, late."""


def modules() -> list[tuple[str, Path]]:
    files = sorted((ROOT / "memchat").rglob("*.py")) + sorted((ROOT / "trainers").rglob("*.py"))
    names = [".".join(f.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for f in files]
    return list(zip(names, files, strict=True))


def imports(file: Path, *, top_only: bool) -> set[str]:
    """Modules that a file imports (those under TYPE_CHECKING left out); with ``top_only`` not those in bodies."""
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                continue
            if top_only and isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                continue
            if isinstance(child, ast.Import):
                found.update(a.name for a in child.names)
            elif isinstance(child, ast.ImportFrom) and child.module:
                found.update({child.module} | {f"{child.module}.{a.name}" for a in child.names})
            visit(child)

    visit(ast.parse(file.read_text("utf-8")))
    return found


def owner(name: str) -> str | None:
    return next((p for p in MAY_IMPORT if name == p or name.startswith(p + ".")), None)


def allowed(target: str, prefixes: set[str]) -> bool:
    """``memchat`` itself may be imported for its version, which does not open its packages."""
    return any(target == p or (p not in BASE and target.startswith(p + ".")) for p in prefixes)


@pytest.mark.parametrize(("name", "file"), modules(), ids=lambda v: v if isinstance(v, str) else "")
def test_arrows(name: str, file: Path) -> None:
    package = owner(name)
    if package is None:
        return
    ours = {t for t in imports(file, top_only=False) if t.split(".")[0] in ("memchat", "trainers")}
    known = {n for n, _ in modules()}
    for target in ours & known:
        inside = target == package or target.startswith(package + ".")
        assert inside or allowed(target, MAY_IMPORT[package]), f"{name} must not import {target}"


@pytest.mark.parametrize(("name", "file"), modules(), ids=lambda v: v if isinstance(v, str) else "")
def test_one_method_never_imports_another(name: str, file: Path) -> None:
    parts = name.split(".")
    if parts[:2] != ["memchat", "memory"] or len(parts) < 4:
        return
    for target in imports(file, top_only=False):
        other = target.split(".")
        if len(other) > 2 and other[:2] == ["memchat", "memory"] and (ROOT / "memchat" / "memory" / other[2]).is_dir():
            assert other[2] == parts[2], f"{name} must not import {target}"


@pytest.mark.parametrize(
    ("name", "file"),
    [m for m in modules() if m[0].startswith(("memchat.cli", "memchat.tui", "memchat.store", "memchat.__main__"))],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_light_modules_import_nothing_heavy_at_the_top(name: str, file: Path) -> None:
    heavy = {t.split(".")[0] for t in imports(file, top_only=True)} & HEAVY
    assert not heavy, f"{name} imports {heavy}"


@pytest.mark.parametrize(
    "code",
    [
        "import memchat.cli.main",
        "import memchat.tui.app",
        "import memchat.worker",
        "import memchat.session",
        "from memchat.memory import registry; registry.modes()",
        "from memchat.store import Store; Store(read_only=True).sessions()",
        "import sys; sys.argv = ['memchat', '--help']; import memchat.__main__ as m\n"
        "try: m.main()\nexcept SystemExit: pass",
    ],
)
def test_a_process_that_does_this_never_loads_torch(code: str) -> None:
    check = f"{code}\nimport sys; print('LOADED', sorted({HEAVY!r} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert out.returncode == 0, out.stderr
    assert out.stdout.strip().endswith("LOADED []"), out.stdout[-200:]


def test_files_and_functions_stay_readable() -> None:
    """Budgets of the design: about 350 lines a file, about 50 a function."""
    for name, file in modules():
        text = file.read_text("utf-8")
        assert text.count("\n") <= 400, f"{name} has {text.count(chr(10))} lines"
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or 0) - node.lineno + 1
                assert length <= 60, f"{name}.{node.name} has {length} lines"


def code_lines(text: str) -> int:
    """Lines that hold code: blank lines, comments and docstrings do not count."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docs: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        for i, part in enumerate(getattr(node, "body", []) if isinstance(node, documented) else []):
            if (
                isinstance(part, ast.Expr)
                and isinstance(part.value, ast.Constant)
                and isinstance(part.value.value, str)
            ):
                after_name = i and isinstance(node.body[i - 1], ast.Assign | ast.AnnAssign)
                if i == 0 or after_name:  # of a module, class or function, or of the name assigned above
                    docs.update(range(part.lineno, (part.end_lineno or part.lineno) + 1))
    blank = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in blank:
            lines.update(range(token.start[0], token.end[0] + 1))
    return len(lines - docs)


def test_code_lines_are_counted() -> None:
    lines = [
        '"""Doc',
        'of two lines."""',
        "",
        "X = 1  # note",
        '"""What X is."""',
        "def f():",
        '    """Doc."""',
        "    # note",
        "    return (",
        "        1",
        "    )",
    ]
    text = "\n".join(lines)
    assert code_lines(text) == 5  # X, def, and three lines of return
    assert code_lines('x = """\n\ntext\n"""\nf("no doc")\n') == 5, "a string that is used is code"


def test_the_program_stays_small() -> None:
    """The whole program without tests, in lines of code without blank lines, comments and docstrings.

    The house without its five methods takes 14,000; each method has 1,500 for its folder, 300 for its recipe and 300
    for its inspector.
    """
    assert 0 < sum(code_lines(f.read_text("utf-8")) for _, f in modules()) < 14_000 + 5 * 2_100
