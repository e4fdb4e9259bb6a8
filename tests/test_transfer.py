"""Export and import: exact round trips, readable pages, faults told with their line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

from memchat.errors import MemchatError, UsageError
from memchat.store import SessionRow, Store
from memchat.store.transfer import export_session, import_sessions


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "one.db") as opened:
        yield opened


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "two.db") as opened:
        yield opened


AWKWARD = [
    "",
    "plain",
    "\n\n  leading and trailing \n\n",
    "## User\nnot a heading",
    "\\## Assistant\n\\\\## Tool (x)",
    "text\n## User (Ann)\n<!-- {} -->\n\nmore",
    "# title\n<!-- memchat: {} -->",
    "<!-- {\"at\": \"2020-01-01\"} -->",
    "```python\n## User\nprint('open fence')",
    "```\nclosed\n```\n\n~~~~\nopen ~~~ inside\n",
    "```",
    "a\r\nb\rc\x0bd\u2028e\x85f",
    "nul \0 end",
    "e\u0301 👩‍👩‍👧 \u202e --> <script>alert(1)</script> &amp; </main>",
    "| a | b |\n|---|---|\n| 1 | 2 |",
    '{"json": [1, 2]}',
    "x" * 100_000,
]  # fmt: skip


def grown(store: Store) -> SessionRow:
    """A session with everything: versions, an edited root, a hidden branch, every status, meta, names."""
    session = store.create_session("Trip — α", model="org/model", memory="window", system="Be\nkind. -->")
    parent = None
    for index, text in enumerate(AWKWARD):
        role = ("user", "assistant")[index % 2]
        name = "Ann <b> (x) -->" if index == 4 else None
        parent = store.add_turn(session.id, role, text, parent=parent, name=name, meta={"seed": index}).id
    store.add_turn(session.id, "assistant", "second version", parent=store.path(session.id)[0].id)
    edited = store.add_turn(session.id, "user", "edited root", parent=None, at="2023-05-08T13:56:00+00:00")
    reply = store.add_turn(session.id, "assistant", "half", parent=edited.id, status="cancelled")
    store.add_turn(session.id, "tool", "gone", parent=reply.id)
    store.forget([store.path(session.id)[-1].id])
    return store.select(parent)


def shape(store: Store, session: str) -> list[tuple[object, ...]]:
    """The tree without its ids."""
    turns = store.tree(session)
    place = {turn.id: index for index, turn in enumerate(turns)}
    return [(place.get(t.parent or 0), t.role, t.content, t.at, t.status, t.name, t.meta, t.version) for t in turns]


# --- JSON


def test_json_round_trip_is_exact(store: Store, other: Store) -> None:
    session = grown(store)
    text = export_session(store, session.id, "json")
    other.add_turn(other.create_session("shift the ids", model="m", memory="full").id, "user", "x", parent=None)
    (copy,) = import_sessions(other, text)
    assert export_session(other, copy.id, "json") == text
    assert shape(other, copy.id) == shape(store, session.id)
    assert (copy.id, copy.name, copy.created_at, copy.updated_at, copy.system) == (
        session.id, session.name, session.created_at, session.updated_at, session.system,
    )  # fmt: skip
    assert [t.content for t in other.path(copy.id)] == AWKWARD
    assert [hit.session for hit in other.search("closed")] == [copy.id]


def test_json_keeps_fork_and_writes_standard_json(store: Store, other: Store) -> None:
    session = grown(store)
    fork = store.fork(store.path(session.id)[3].id)
    text = export_session(store, fork.id, "json")

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    data = json.loads(text, parse_constant=refuse)
    assert data["session"]["parent"] == session.id and data["session"]["head"] == 4
    (copy,) = import_sessions(other, text)
    assert copy.parent == session.id and copy.turns == 4


def test_importing_twice_makes_a_copy(store: Store) -> None:
    session = grown(store)
    (copy,) = import_sessions(store, export_session(store, session.id, "json"))
    assert copy.id != session.id and copy.name == f"{session.name}-2"
    assert shape(store, copy.id) == shape(store, session.id)


def test_empty_session_round_trip(store: Store, other: Store) -> None:
    session = store.create_session("empty", model="m", memory="full")
    for format in ("json", "md"):
        text = export_session(store, session.id, format)
        if format == "json":
            (copy,) = import_sessions(other, text)
            assert copy.turns == 0 and copy.head is None
        else:
            with pytest.raises(MemchatError, match="no message"):
                import_sessions(other, text)


def test_a_streaming_reply_leaves_as_interrupted(store: Store) -> None:
    session = store.create_session("s", model="m", memory="full")
    store.add_turn(session.id, "assistant", "half", parent=None, status="streaming")
    for format in ("json", "md", "html"):
        text = export_session(store, session.id, format)
        assert "interrupted" in text and "streaming" not in text


def test_arrays_and_lines_of_sessions(store: Store, other: Store) -> None:
    one, two = grown(store), store.create_session("two", model="m", memory="full")
    texts = [export_session(store, row.id, "json") for row in (one, two)]
    array = f"[{texts[0]}, {texts[1]}]"
    lines = "\n\n".join(json.dumps(json.loads(text)) for text in texts) + "\n"
    for text in (array, lines):
        assert [row.name.removesuffix("-2") for row in import_sessions(other, text)] == [one.name, "two"]
    assert len(other.sessions()) == 4


CONVERSATION = {
    "id": "conv-1",
    "sessions": [
        {"at": "2023-05-08T13:56:00", "turns": [
            {"role": "user", "content": "I moved to Lyon.", "name": "Ann"},
            {"role": "assistant", "content": "How nice!"},
        ]},
        {"at": None, "turns": [{"role": "user", "content": "Now I live in Graz."}]},
    ],
    "probes": [{"question": "Where?", "answers": ["Graz"], "kind": "update", "evidence": [[1, 0]]}],
}  # fmt: skip


def test_conversations_become_one_branch(store: Store) -> None:
    text = "\ufeff" + "\n".join(json.dumps(CONVERSATION | {"id": name}) for name in ("a", "b"))
    rows = import_sessions(store, text, model="big", memory="window")
    assert [(row.name, row.turns, row.model, row.memory) for row in rows] == [
        ("a", 3, "big", "window"),
        ("b", 3, "big", "window"),
    ]
    path = store.path("a")
    assert [turn.content for turn in path] == ["I moved to Lyon.", "How nice!", "Now I live in Graz."]
    assert path[0].name == "Ann" and path[1].at == "2023-05-08T13:56:00" and path[2].at > "2024"


def bad(line: int, change: dict[str, object]) -> str:
    """Three conversation lines of which one is changed."""
    return "\n".join(json.dumps(CONVERSATION | (change if n == line else {})) for n in (1, 2, 3))


def turns(*items: object) -> dict[str, object]:
    return {"sessions": [{"at": None, "turns": list(items)}]}


FAULTS = {
    "broken syntax": (bad(2, {}).replace('"id": "conv-1"', '"id" "conv-1"', 1), 1),
    "broken later line": ("{}\n{}\n{oops}".replace("{}", json.dumps(CONVERSATION)), 3),
    "number on a line": (json.dumps(CONVERSATION) + "\n7", 2),
    "unknown role": (bad(2, turns({"role": "robot", "content": "x"})), 2),
    "no content": (bad(3, turns({"role": "user"})), 3),
    "content is a number": (bad(1, turns({"role": "user", "content": 7})), 1),
    "turn is a text": (bad(2, turns("hello")), 2),
    "bad time": (bad(2, {"sessions": [{"at": "yesterday", "turns": []}]}), 2),
    "sessions is no list": (bad(3, {"sessions": {}}), 3),
    "session is a list": (bad(3, {"sessions": [[]]}), 3),
    "name is a list": (bad(1, turns({"role": "user", "content": "", "name": []})), 1),
    "something else": ('\n{"a": 1}', 2),
    "truncated": (json.dumps(CONVERSATION, indent=1)[:-40], 36),
    "empty array": ("[]", 1),
    "deep": ("[" * 100_000, 1),
    "long number": ("[" + "1" * 5_000 + "]", 1),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faulty_json_names_the_line_and_imports_nothing(store: Store, name: str) -> None:
    text, line = FAULTS[name]
    with pytest.raises(MemchatError) as caught:
        import_sessions(store, text)
    assert caught.value.message.startswith(f"line {line}: ")
    assert "\n" not in str(caught.value) and caught.value.remedy
    assert store.sessions() == []


def test_faults_inside_an_exported_file_name_the_line(store: Store, other: Store) -> None:
    text = export_session(store, grown(store).id, "json")
    lines = text.split("\n")
    for find, put, reason in (
        ('"role": "assistant"', '"role": "robot"', "the role 'robot'"),
        ('"id": 3', '"id": 2', "a turn's id must be new"),
        ('"parent": 1', '"parent": 99', "its parent must stand before it"),
        ('"status": "complete"', '"status": "lost"', "unknown status"),
        ('"content": "plain"', '"content": null', "'content' is missing"),
        ('"meta": {"seed": 3}', '"meta": 3', "'meta' is not an object"),
        ('"version": 1', '"version": 2', "newer memchat"),
        ('"version": 1', '"version": true', "'version' is not a whole number"),
        ('"head": 17', '"head": 1000', "'head' is 1000"),
        ('"name": "Trip', '"nome": "Trip', "'name' is missing"),
    ):
        faulty = text.replace(find, put, 1)
        assert faulty != text
        number = next(n for n, line in enumerate(lines, 1) if find in line)
        expected = 1 if "version" in find else number
        with pytest.raises(MemchatError, match=rf"^line {expected}: .*{re.escape(reason)}"):
            import_sessions(other, faulty)
    assert other.sessions() == []


# --- Markdown


def test_markdown_round_trip_is_exact(store: Store, other: Store) -> None:
    session = grown(store)
    text = export_session(store, session.id, "md")
    (copy,) = import_sessions(other, text)
    before, after = store.path(session.id), other.path(copy.id)
    assert [t.content for t in after] == AWKWARD
    assert [(t.role, t.at, t.status, t.name) for t in after] == [(t.role, t.at, t.status, t.name) for t in before]
    assert (copy.name, copy.model, copy.memory, copy.system) == (
        session.name, session.model, session.memory, session.system,
    )  # fmt: skip
    assert export_session(other, copy.id, "md") == text


def test_markdown_of_a_branch_with_gaps(store: Store, other: Store) -> None:
    session = grown(store)
    store.select(store.tree(session.id)[-1].id)
    text = export_session(store, session.id, "md")
    (copy,) = import_sessions(other, text, "md")
    assert [(t.content, t.status) for t in other.path(copy.id)] == [
        ("edited root", "complete"),
        ("half", "cancelled"),
        ("", "forgotten"),
    ]


def test_markdown_reads_well(store: Store) -> None:
    """A Markdown reader finds exactly one heading a message, whatever stands in the messages."""
    from markdown_it import MarkdownIt

    session = store.create_session("page", model="m", memory="full")
    parent = None
    for index, text in enumerate(["hello", "```\n## User\nopen", "# big\n## User\nhm", "- a\n\n```\nx\n```\n~~~"]):
        parent = store.add_turn(session.id, ("user", "assistant")[index % 2], text, parent=parent).id
    tokens = MarkdownIt("commonmark").parse(export_session(store, session.id, "md"))
    headings = [t.content for p, t in pairwise(tokens) if p.type == "heading_open"]
    assert [h for h in headings if h in ("User", "Assistant")] == ["User", "Assistant"] * 2
    assert headings[0] == "page"


def test_markdown_written_by_hand(store: Store) -> None:
    text = "## User\nMy dog is Biscuit.\n\n## Assistant (Mo)\n\nNoted.\n<!-- really -->\n## User\n\nBye\n"
    for source in (text, text.replace("\n", "\r\n"), "# Dogs\n\n" + text):
        (row,) = import_sessions(store, source, model="big")
        path = store.path(row.id)
        assert [(t.role, t.content, t.name) for t in path] == [
            ("user", "My dog is Biscuit.", None),
            ("assistant", "Noted.\n<!-- really -->", "Mo"),
            ("user", "Bye", None),
        ]
    assert sorted(row.name for row in store.sessions()) == ["Dogs", "imported", "imported-2"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", 1),
        ("just text", 1),
        ("# Title\n\nprose\n\n## User\nx", 3),
        ("# Title\n<!-- memchat: {oops} -->\n## User\nx", 2),
        ('<!-- memchat: {"created_at": "noon"} -->\n## User\nx', 1),
        ('## User\n<!-- {"at": "noon"} -->\n\nx', 2),
        ('# T\n\n## User\n<!-- {"status": "lost"} -->\n\nx', 4),
        ('# T\n\n## User\n<!-- {"status": []} -->\n\nx', 4),
    ],
)
def test_faulty_markdown_names_the_line(store: Store, text: str, line: int) -> None:
    with pytest.raises(MemchatError, match=f"^line {line}: "):
        import_sessions(store, text, "md")
    assert store.sessions() == []


# --- HTML


class Page(HTMLParser):
    """What a browser would load or run, and the visible text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loads: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("src", "srcset", "data") or name.startswith("on") or "javascript:" in (value or ""):
                self.loads.append(f"{tag} {name}={value}")

    def handle_data(self, data: str) -> None:
        self.text += data


def test_html_is_self_contained_and_escaped(store: Store) -> None:
    session = grown(store)
    hostile = "<script>alert(1)</script><img src=x onerror=alert(1)> ![t](http://e.x/t.png) [x](javascript:alert(1))"
    for role in ("user", "assistant"):
        store.add_turn(session.id, role, hostile, parent=store.session(session.id).head, name="<i>Eve</i>")
    store.rename_session(session.id, "<b>name</b>")
    text = export_session(store, session.id, "html")
    page = Page(text)
    assert page.loads == [] and not {"script", "img", "link", "iframe", "b", "i"} & set(page.tags)
    assert page.tags.count("article") == len(AWKWARD) + 2 and page.tags.count("html") == 1
    assert page.text.count("<script>alert(1)</script>") == 3
    assert "<i>Eve</i>" in page.text and "<b>name</b>" in page.text and "\0" not in text
    assert "prefers-color-scheme: dark" in text and "default-src 'none'" in text


def test_html_renders_the_models_markdown(store: Store) -> None:
    session = store.create_session("s", model="m", memory="full")
    user = store.add_turn(session.id, "user", "*plain*\n  kept", parent=None)
    store.add_turn(session.id, "assistant", "**bold**\n\n```py\nx < 1\n```", parent=user.id)
    text = export_session(store, session.id, "html")
    assert "*plain*\n  kept" in text and "<strong>bold</strong>" in text and "x &lt; 1" in text


def test_unknown_formats(store: Store) -> None:
    session = grown(store)
    with pytest.raises(UsageError, match="unknown format 'pdf'"):
        export_session(store, session.id, "pdf")
    with pytest.raises(UsageError, match="unknown format 'html'"):
        import_sessions(store, "<html>", "html")
