"""Importers of any file: tables, the hub, formats, bad rows, what is chosen, and the command."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from memchat.cli.data import app
from memchat.data.importers import reading
from memchat.data.importers.convert import asked_kind, iso_time, part_of, turns
from memchat.data.importers.prepare import Request, prepare
from memchat.data.importers.sources import SOURCES
from memchat.errors import MemchatError, UsageError
from tests.importing import LOCOMO, run, spoken, talk, write

# Tables and the hub


@pytest.mark.parametrize("marks", [",", "\t", ";"])
def test_tables_of_any_separator(tmp_path: Path, marks: str) -> None:
    path = write(tmp_path / "x", marks.join(("q", "reply")), marks.join(('"Hi,\n""you"""', "Hello")))
    (found,) = talk("table", path, tmp_path / "out", options={"user": "q", "assistant": "reply"})
    assert found.id == "x-000001"
    assert spoken(found) == [[("user", "", 'Hi,\n"you"'), ("assistant", "", "Hello")]]


def test_table_turns_of_every_common_shape(tmp_path: Path) -> None:
    shapes = [
        [{"role": who, "content": text} for who, text in (("system", "Be kind."), ("user", "Hi"), ("assistant", "Yo"))],
        [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Yo"}],
        ["Hi", "Yo"],
    ]  # fmt: skip
    path = write(tmp_path / "x", *({"data": {"m": shape}, "day": "2024/05/03"} for shape in shapes))
    for found in talk("table", path, tmp_path / "out", options={"turns": "data.m", "at": "day"}):
        assert spoken(found) == [[("user", "", "Hi"), ("assistant", "", "Yo")]]
        assert found.sessions[0].at == "2024-05-03"


def test_table_questions_become_probes(tmp_path: Path) -> None:
    row = {"t": ["I own 2 cats.", "Nice."], "q": ["How many cats?", "What car?"], "a": [["2", "two"], []]}
    path = write(tmp_path / "x", row)
    (found,) = talk("table", path, tmp_path / "out", options={"turns": "t", "question": "q", "answer": "a"})
    assert [(p.kind, p.answers) for p in found.probes] == [("count", ["2", "two"]), ("abstain", [])]


def test_table_pairs_and_texts(tmp_path: Path) -> None:
    path = write(tmp_path / "x.jsonl", {"d": "Name it.", "i": "red", "o": ["colour", "hue"], "c": ["colour", "size"]})
    found, _ = run("table", path, tmp_path / "out", options={"input": "d+i", "output": "o", "options": "c"})
    assert found == [{"task": "x", "input": "Name it.\nred", "output": "colour", "options": ["colour", "size"]}]
    found, _ = run("table", path, tmp_path / "out", options={"text": "d", "id": "i"})
    assert found == [{"id": "red", "text": "Name it."}]


def test_conversations_as_texts(tmp_path: Path) -> None:
    found, report = run("locomo", write(tmp_path / "x", json.dumps([LOCOMO])), tmp_path / "out", kind="texts")
    assert found[0]["text"].startswith("[2023-05-08T13:56:00]\nBen: Hi Ana!\nAna: I adopted Kiwi.")
    assert report.counts["texts"] == 1


def test_parquet(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = [{"dialogue": ["Hi.", "Oh."], "speakers": ["Ivy", "Max"], "original_index": n} for n in range(600)]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "any-name")
    found, _ = run("soda", tmp_path / "any-name", tmp_path / "out")
    assert [row["id"] for row in found] == [f"soda-{n}" for n in range(600)]


@pytest.mark.parametrize("missing", ["pyarrow", "datasets"])
def test_what_is_not_installed_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    (tmp_path / "x").write_bytes(b"PAR1....PAR1")
    with pytest.raises(MemchatError, match=missing) as caught:
        run("soda", tmp_path / "x" if missing == "pyarrow" else None, tmp_path / "out")
    assert "pip install 'memchat[data]'" in caught.value.remedy


def test_hub_rows_are_mapped_and_errors_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Library:
        class utils:
            class logging:
                set_verbosity_error = staticmethod(lambda: None)

        @staticmethod
        def load_dataset(name: str, config: str | None, *, split: str, revision: str | None, streaming: bool) -> Any:
            assert streaming and (name, config, split, revision) == ("me/set", "small", "validation", None)

            def stream() -> Any:
                yield {"messages": [{"role": "user", "content": "Hi"}]}
                raise ConnectionError("the hub is gone.\nsecond line")

            return stream()

    monkeypatch.setitem(sys.modules, "datasets", Library)
    fields = {"turns": "messages", "config": "small"}
    found, _ = run("hub", "me/set", tmp_path / "out", split="validation", n=1, options=fields)
    assert found[0]["id"] == "set-000001"
    with pytest.raises(MemchatError) as caught:
        run("hub", "me/set", tmp_path / "new", split="validation", options=fields)
    assert caught.value.message == "cannot read the data set me/set: the hub is gone"
    assert not (tmp_path / "new").exists()


# Reading


def test_json_lists_are_read_bit_by_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "CHUNK", 7)
    values = [{"n": n, "text": "é}{]," * n} for n in range(9)]
    path = write(tmp_path / "x", json.dumps(values, indent=2, ensure_ascii=False))
    assert [row.value for row in reading.rows(path)] == values
    broken = write(tmp_path / "y", json.dumps(values, indent=2)[:-3])
    rows = list(reading.rows(broken))
    assert [row.value for row in rows[:-1]] == values[:-1] and "not JSON" in rows[-1].fault


@pytest.mark.parametrize("text", ['{"q": "Hi", "n": 1}\n', '[{"q": "Hi"}]', "q,n\nHi,1\n"])
def test_a_byte_order_mark_is_no_content(tmp_path: Path, text: str) -> None:
    (tmp_path / "x").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert [row.value["q"] for row in reading.rows(tmp_path / "x")] == ["Hi"]


def test_a_bad_row_names_file_line_and_reason(tmp_path: Path) -> None:
    good = {"task": "t", "input": "i", "output": "o"}
    path = write(tmp_path / "x.jsonl", good, "", '{"task": "t"', {"task": "t", "input": 3, "output": "o"}, "[1]", good)
    with pytest.raises(MemchatError, match=r"x\.jsonl, line 3: it is not JSON") as caught:
        run("metaicl", path, tmp_path / "out")
    assert "--skip-bad" in caught.value.remedy
    assert [p.name for p in tmp_path.iterdir()] == ["x.jsonl"], "neither the file nor a part of it is left"
    found, report = run("metaicl", path, tmp_path / "out", skip_bad=True)
    assert found == [good, good] and report.bad == 3 and "line 3" in report.first_bad
    with pytest.raises(MemchatError, match="line 4: 'input' is a number where a text is wanted"):
        run("metaicl", write(tmp_path / "y", good, good, good, {**good, "input": 3}), tmp_path / "z")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    good = json.dumps({"task": "t", "input": "i" * 5000, "output": "o"}).encode()
    (tmp_path / "cut.gz").write_bytes(gzip.compress(good * 50)[:-20])
    (tmp_path / "latin").write_bytes(b'{"task": "t", "input": "caf\xe9", "output": "o"}\n')
    (tmp_path / "empty").write_bytes(b"")
    for name, reason in (("cut.gz", "cannot read"), ("latin", "line 1: it is not UTF-8"), ("empty", "is empty")):
        with pytest.raises(MemchatError, match=reason):
            run("metaicl", tmp_path / name, tmp_path / "out")
    with pytest.raises(UsageError, match="does not exist"):
        run("metaicl", tmp_path / "nowhere", tmp_path / "out")


def test_n_seed_and_split(tmp_path: Path) -> None:
    path = write(tmp_path / "x.jsonl", *({"id": f"r{n}", "text": "t"} for n in range(200)))

    def ids(**options: Any) -> list[str]:
        return [row["id"] for row in run("text", path, tmp_path / "out", **options)[0]]

    assert ids(n=3) == ["r0", "r1", "r2"]
    chosen = ids(n=20, seed=1)
    assert chosen == ids(n=20, seed=1) != ids(n=20, seed=2) and len(set(chosen)) == 20
    assert chosen == sorted(chosen, key=lambda name: int(name[1:])) and int(chosen[-1][1:]) > 100
    parts = {part: ids(split=part) for part in ("train", "valid", "test")}
    assert sorted(name for part in parts.values() for name in part) == sorted(ids()), (
        "the splits are disjoint and miss nothing"
    )
    assert len(parts["train"]) > 140 and all(part_of(name) == "test" for name in parts["test"])


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("lokomo", {}, "unknown source"),
        ("locomo", {"options": {"x": "1"}}, "takes no --set"),
        ("table", {"options": {"txt": "1"}}, "unknown option"),
        ("table", {}, "do not say what to make"),
        ("table", {"options": {"text": "a", "turns": "b"}}, "make conversations and texts"),
        ("text", {"kind": "pairs"}, "makes texts, not pairs"),
        ("text", {"split": "dev"}, "unknown split"),
        ("text", {"seed": 1}, "needs a number"),
        ("locomo", {"path": None}, "needs a path"),
    ],
)
def test_wrong_usage(tmp_path: Path, source: str, options: dict[str, Any], message: str) -> None:
    path = write(tmp_path / "x", "text")
    with pytest.raises(UsageError, match=message):
        prepare(Request(source, tmp_path / "out", **{"path": str(path), **options}))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("1:56 pm on 8 May, 2023", "2023-05-08T13:56:00"),
        ("12:09 am on 13 September, 2023", "2023-09-13T00:09:00"),
        ("2023/05/30 (Tue) 10:00", "2023-05-30T10:00:00"),
        ("2023-04-27", "2023-04-27"),
        ("May 3rd, 2021", "2021-05-03"),
        ("2024-01-02T03:04:05+00:00", "2024-01-02T03:04:05+00:00"),
    ],
)
def test_times_become_iso(text: str, wanted: str) -> None:
    assert iso_time(text) == wanted


def test_what_is_no_time() -> None:
    for text in ("yesterday", "", "31 February, 2023", "2023"):
        with pytest.raises(ValueError):
            iso_time(text)


def test_roles_follow_names_not_order() -> None:
    found = turns([("Bo", "a"), ("Al", "b"), ("Bo", "c")], first="Al", second="Bo")
    assert [(t.role, t.name) for t in found] == [("assistant", "Bo"), ("user", "Al"), ("assistant", "Bo")]
    assert [t.role for t in turns([("Bo", "a"), ("Al", "b"), ("Al", "c")])] == ["user", "assistant", "assistant"]


def test_kinds_of_questions() -> None:
    asked = ("How many dogs?", "When did he go?", "What time is it?", "Who came when it rained?", "What is it?")
    assert [asked_kind(q) for q in asked] == ["count", "date", "date", "date", "fact"]


# The command


def test_the_command_counts_and_lists(tmp_path: Path) -> None:
    path = write(tmp_path / "locomo10.json", json.dumps([LOCOMO]))
    done = CliRunner().invoke(app, ["prepare", "locomo", str(path), "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert "1 conversation, 3 sessions, 5 turns, 5 probes, 4 probes with evidence" in done.output
    assert "abstain 1" in done.output and "1 questions without an answer" in done.output
    listed = CliRunner().invoke(app, ["sources"]).output
    for source in SOURCES.values():
        assert f"{source.name}: " in listed and source.example in listed and source.licence in listed


def test_importing_loads_no_heavy_library() -> None:
    code = "import sys, memchat.data.importers.prepare; print({'datasets', 'pyarrow', 'torch'} & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert out.stdout.strip() == "set()", out.stderr
