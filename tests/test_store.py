"""The turn log: trees of turns, versions, forks, forgetting, search, leases."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from memchat.errors import MemchatError, UsageError
from memchat.store import SessionRow, Store, TurnRow
from memchat.store.leases import is_alive, this_process

ROOT = Path(__file__).parents[1]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "memchat.db") as opened:
        yield opened


@pytest.fixture
def session(store: Store) -> SessionRow:
    return store.create_session("trip", model="starter", memory="full")


def say(store: Store, session: SessionRow, *texts: str, parent: int | None = None) -> list[TurnRow]:
    """User and assistant in turn, below ``parent``."""
    turns = []
    for index, text in enumerate(texts):
        turns.append(store.add_turn(session.id, ("user", "assistant")[index % 2], text, parent=parent))
        parent = turns[-1].id
    return turns


def texts(turns: list[TurnRow]) -> list[str]:
    return [turn.content for turn in turns]


def raw(store: Store) -> bytes:
    """Everything on disk: the file and its log."""
    return b"".join(path.read_bytes() for path in store.file.parent.glob(store.file.name + "*"))


# --- sessions


def test_session_is_found_by_id_prefix_and_name(store: Store, session: SessionRow) -> None:
    for key in (session.id, session.id[:6], "trip", "  trip "):
        assert store.session(key) == session
    assert session.turns == 0 and session.head is None and session.preview == ""


def test_short_prefix_does_not_find_a_session(store: Store, session: SessionRow) -> None:
    assert store.find_session(session.id[:3]) is None


def test_ambiguous_prefix_is_refused(store: Store) -> None:
    for name, key in (("a", "abcdef000001"), ("b", "abcdef000002")):
        store.add_session(SessionRow(key, name, "", "", "m", "full"), [])
    with pytest.raises(UsageError, match="several sessions begin with 'abcdef'"):
        store.session("abcdef")
    assert store.session("abcdef000002").name == "b"


def test_unknown_session_names_the_nearest(store: Store, session: SessionRow) -> None:
    with pytest.raises(UsageError, match=r"there is no session 'tripp'\. Did you mean 'trip'\?"):
        store.session("tripp")
    with pytest.raises(UsageError, match="memchat sessions list"):
        store.session("zzzzzzz")


def test_default_names_are_unique_and_readable(store: Store) -> None:
    names = [store.create_session(model="m", memory="full").name for _ in range(3)]
    assert names[0].startswith("chat-20")
    assert names[1:] == [f"{names[0]}-2", f"{names[0]}-3"]


def test_taken_names_are_refused(store: Store, session: SessionRow) -> None:
    other = store.create_session("home", model="m", memory="full")
    with pytest.raises(MemchatError, match="already a session named 'trip'"):
        store.create_session(" trip", model="m", memory="full")
    with pytest.raises(MemchatError, match="already a session named 'trip'"):
        store.rename_session(other.id, "trip")
    assert store.rename_session("home", "home").name == "home"
    assert len(store.sessions()) == 2


@pytest.mark.parametrize("name", ["", "  \n ", "\x1b", "x" * 121])
def test_unusable_names_are_refused(store: Store, session: SessionRow, name: str) -> None:
    with pytest.raises(UsageError):
        store.rename_session(session.id, name)
    assert store.session(session.id).name == "trip"


def test_names_lose_what_a_terminal_would_obey(store: Store) -> None:
    row = store.create_session("a\x1b[31mred\n\u202ename", model="m", memory="full")
    assert row.name == "a [31mred name"


def test_update_session(store: Store, session: SessionRow) -> None:
    row = store.update_session("trip", model="big", memory="window", system="Be kind.", name="tour")
    assert (row.name, row.model, row.memory, row.system) == ("tour", "big", "window", "Be kind.")
    with pytest.raises(TypeError):
        store.update_session("tour", head="1")


def test_sessions_are_listed_by_use_and_filtered(store: Store, session: SessionRow) -> None:
    other = store.create_session("Über Kochen", model="m", memory="full")
    say(store, other, "How long do I boil an egg?", "Six minutes.")
    say(store, session, "Where did I park?", "On level 3.")
    assert [row.name for row in store.sessions()] == ["trip", "Über Kochen"]
    assert [row.name for row in store.sessions("egg boil")] == ["Über Kochen"]
    assert [row.name for row in store.sessions("über")] == ["Über Kochen"]
    assert store.sessions("100%") == []
    assert len(store.sessions(limit=1)) == 1
    assert store.session("trip").preview == "Where did I park?"
    assert store.session("trip").turns == 2


def test_deleted_session_is_gone_from_the_disk(store: Store, session: SessionRow) -> None:
    kept = store.create_session("kept", model="m", memory="full")
    say(store, kept, "keep marmalade")
    turns = say(store, session, "the secret word is xylophone", "noted: xylophone " * 500)
    fork = store.fork(turns[0].id, "copy")
    store.delete_session(fork.id)
    store.delete_session("trip")
    assert [row.name for row in store.sessions()] == ["kept"]
    assert store.search("xylophone") == []
    assert b"xylophone" not in raw(store) and b"marmalade" in raw(store)
    with pytest.raises(MemchatError, match="does not exist"):
        store.turn(turns[0].id)


# --- the tree


def test_turns_form_a_path(store: Store, session: SessionRow) -> None:
    one, two = say(store, session, "hello", "hi")
    assert (one.parent, two.parent) == (None, one.id)
    assert store.path("trip") == [one, two]
    assert store.path("trip", one.id) == [one]
    assert store.session("trip").head == two.id
    assert (one.session, one.role, one.status, one.meta) == (session.id, "user", "complete", {})


def test_versions_of_a_reply_are_siblings(store: Store, session: SessionRow) -> None:
    user, first = say(store, session, "hello", "hi")
    second = store.add_turn(session.id, "assistant", "good day", parent=user.id)
    assert (second.version, second.versions) == (2, 2)
    assert texts(store.path("trip")) == ["hello", "good day"]
    assert store.versions(first.id) == store.versions(second.id) == [first.id, second.id]
    assert store.select(first.id).head == first.id
    assert [(t.content, t.version, t.versions) for t in store.path("trip")] == [("hello", 1, 1), ("hi", 1, 2)]


def test_a_sibling_with_another_role_is_no_version(store: Store, session: SessionRow) -> None:
    user, _ = say(store, session, "hello", "hi")
    tool = store.add_turn(session.id, "tool", "{}", parent=user.id)
    assert (tool.version, tool.versions) == (1, 1)


def test_edited_first_message_is_a_version_among_roots(store: Store, session: SessionRow) -> None:
    other = store.create_session("other", model="m", memory="full")
    say(store, other, "not a version of anything here")
    first, _ = say(store, session, "hello", "hi")
    edited = say(store, session, "bonjour", "salut")
    assert store.versions(first.id) == [first.id, edited[0].id]
    assert texts(store.path("trip")) == ["bonjour", "salut"]
    assert store.session("trip").preview == "bonjour"


def test_select_goes_to_the_newest_leaf_below(store: Store, session: SessionRow) -> None:
    one, two, three, _ = say(store, session, "a", "b", "c", "d")
    say(store, session, "x", "y", parent=None)
    longer = say(store, session, "c2", "d2", "e2", parent=two.id)
    say(store, session, "z")
    assert store.select(one.id).head == longer[-1].id
    assert texts(store.path("trip")) == ["a", "b", "c2", "d2", "e2"]
    assert texts(store.path(store.select(three.id).id)) == ["a", "b", "c", "d"]


def test_parents_of_another_session_are_refused(store: Store, session: SessionRow) -> None:
    other = store.create_session("other", model="m", memory="full")
    (turn,) = say(store, other, "hello")
    with pytest.raises(MemchatError, match="not part of this session"):
        store.add_turn(session.id, "user", "x", parent=turn.id)
    with pytest.raises(MemchatError, match="not part of session 'trip'"):
        store.path("trip", turn.id)
    with pytest.raises(ValueError, match="role"):
        store.add_turn(session.id, "robot", "x", parent=None)
    assert store.path("trip") == []


def test_fork_copies_the_branch(store: Store, session: SessionRow) -> None:
    turns = say(store, session, "a", "b", "c", "d")
    store.add_turn(session.id, "assistant", "other b", parent=turns[0].id)
    fork = store.fork(turns[2].id)
    assert (fork.name, fork.parent, fork.turns, fork.memory) == ("trip-fork", session.id, 3, "full")
    assert texts(store.path(fork.id)) == ["a", "b", "c"]
    say(store, fork, "only here", parent=fork.head)
    assert texts(store.path("trip")) == ["a", "other b"]
    assert store.fork(turns[0].id).name == "trip-fork-2"
    with pytest.raises(MemchatError, match="already"):
        store.fork(turns[0].id, "trip")
    store.delete_session("trip")
    assert texts(store.path(fork.id)) == ["a", "b", "c", "only here"]


def test_a_streaming_reply_is_interrupted_in_the_fork(store: Store, session: SessionRow) -> None:
    (user,) = say(store, session, "a")
    reply = store.add_turn(session.id, "assistant", "half", parent=user.id, status="streaming")
    assert store.path(store.fork(reply.id).id)[-1].status == "interrupted"
    assert store.turn(reply.id).status == "streaming"


def test_meta_name_and_time_are_kept(store: Store, session: SessionRow) -> None:
    meta = {"stats": {"seed": 7, "tokens_per_s": float("nan")}, "text": "ü\ud800"}
    at = "2023-05-08T13:56:00+00:00"
    turn = store.add_turn(session.id, "user", "x", parent=None, name="Ann", at=at, meta=meta)
    kept = {"stats": {"seed": 7, "tokens_per_s": None}, "text": "ü\ufffd"}
    assert (turn.name, turn.at, turn.meta) == ("Ann", at, kept)
    store.update_turn(turn.id, meta={"seed": 8})
    assert store.turn(turn.id).meta == {"seed": 8}
    assert store.turn(turn.id).content == "x"


# --- forgetting


def test_forgotten_turns_leave_their_place_and_nothing_else(store: Store, session: SessionRow) -> None:
    turns = say(store, session, "my pin is quokka", "I will keep quokka safe", "thanks", "welcome")
    store.update_turn(turns[1].id, meta={"trace": "quokka"})
    assert store.forget([turns[0].id, turns[1].id, 999]) == 2
    assert store.forget([turns[0].id]) == 0
    path = store.path("trip")
    assert [(t.content, t.status) for t in path[:2]] == [("", "forgotten")] * 2
    assert [t.id for t in path] == [t.id for t in turns] and path[1].meta == {}
    assert store.search("quokka") == [] and store.prompts("quokka") == []
    assert store.session("trip").preview == "thanks"
    assert b"quokka" not in raw(store)


@pytest.mark.parametrize("size", [1, 60, 5_000, 200_000])
def test_forgotten_words_leave_the_file(store: Store, session: SessionRow, size: int) -> None:
    """Also when the text was rewritten while streaming, lies on overflow pages and among many neighbours."""
    parent, target = None, 0
    with store.batch():
        for index in range(200):
            turn = store.add_turn(session.id, "user", f"filler {index} plain", parent=parent)
            parent = turn.id
            if index == 100:
                target = store.add_turn(session.id, "assistant", "", parent=parent, status="streaming").id
    for part in (1, 2, 3):
        store.update_turn(target, content="quokka " * (size * part // 3 + 1))
    store.update_turn(target, status="complete")
    assert store.search("quokka")
    store.forget([target])
    assert b"quokka" not in raw(store)
    assert len(store.search("plain", limit=500)) == 200


def test_a_forgotten_turn_takes_no_text_again(store: Store, session: SessionRow) -> None:
    (turn,) = say(store, session, "secret")
    store.forget([turn.id])
    with pytest.raises(MemchatError, match="was forgotten"):
        store.update_turn(turn.id, content="secret", status="complete")
    with pytest.raises(MemchatError, match="no longer exists"):
        store.update_turn(999, content="x")
    assert store.turn(turn.id).content == ""


# --- search


def test_search_finds_words_and_beginnings(store: Store, session: SessionRow) -> None:
    turns = say(store, session, "My dog is called Biscuit", "What a naïve café name", "dogged work", "ok")
    assert [hit.turn for hit in store.search("dog biscuit")] == [turns[0].id]
    assert {hit.turn for hit in store.search("dog")} == {turns[0].id, turns[2].id}
    (hit,) = store.search("NAIVE cafe")
    assert (hit.session, hit.session_name, hit.role) == (session.id, "trip", "assistant")
    assert hit.snippet == "What a naïve café name"


def test_a_reply_is_found_when_it_is_done(store: Store, session: SessionRow) -> None:
    turn = store.add_turn(session.id, "assistant", "a zeb", parent=None, status="streaming")
    store.update_turn(turn.id, content="a zebra crosses")
    assert store.search("zebra") == []
    store.update_turn(turn.id, content="a zebra crossed", status="complete")
    assert len(store.search("zebra crossed")) == 1 and store.search("crosses") == []
    store.update_turn(turn.id, content="an okapi crossed")
    assert store.search("zebra") == [] and len(store.search("okapi")) == 1


HOSTILE = [
    '"', '""', "'", "*", "a*", "NEAR(a b)", "AND", "OR OR", "NOT x", "content:secret", "{a b}:c", "(", ")", "^a", "-a",
    "a AND", "x\0y", "\0", "\ud800", "a\ud800b", "%", "_", "\\", ";DROP TABLE turns", "🦊", "日本", "x" * 100_000,
    "a " * 50_000, '"a" "', "+", "a+b", "\n\t", "\u202e",
]  # fmt: skip


@pytest.mark.parametrize("query", HOSTILE)
def test_no_query_is_syntax(store: Store, session: SessionRow, query: str) -> None:
    say(store, session, "a plain sentence", "another")
    for result in (store.search(query), store.sessions(query), store.prompts(query)):
        assert isinstance(result, list)
    assert len(store.path("trip")) == 2


def test_operators_are_words(store: Store, session: SessionRow) -> None:
    say(store, session, "this and that", "this or that", "this near that")
    assert [hit.snippet for hit in store.search("this AND that")] == ["this and that"]
    assert [hit.snippet for hit in store.search("NEAR")] == ["this near that"]
    assert store.search("secret NOT that") == []


def test_scripts_without_spaces_and_signs_are_scanned(store: Store, session: SessionRow) -> None:
    say(store, session, "私の犬の名前はビスケットです", "かわいい 🦊 ですね")
    assert store.search("ビスケット")[0].snippet == "私の犬の名前はビスケットです"
    assert store.search("🦊")[0].role == "assistant"
    assert store.search("🦊 猫") == []
    assert len(store.sessions("名前")) == 1


def test_snippets_are_one_safe_line(store: Store, session: SessionRow) -> None:
    say(store, session, "first\n\x1b[2Jsecond [red]third[/red] " + "word " * 500)
    (hit,) = store.search("third")
    assert "\n" not in hit.snippet and "\x1b" not in hit.snippet and len(hit.snippet) <= 200
    assert "[red]third[/red]" in hit.snippet


def test_prompts_are_distinct_and_newest_first(store: Store, session: SessionRow) -> None:
    say(store, session, "one", "reply", "Two", "reply", "one", "reply", "three")
    assert store.prompts() == ["three", "one", "Two"]
    assert store.prompts("TWO") == ["Two"]
    assert store.prompts(limit=1) == ["three"]
    assert store.prompts("reply") == []


# --- text


TEXTS = ["", "\0", "a\0b", "\r\n\r", "e\u0301", "👩‍👩‍👧", "\u202eabc", "\ufeffx", "\U0010ffff", "x" * 3_000_000]


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_text_is_kept_exactly(store: Store, session: SessionRow, text: str) -> None:
    (turn,) = say(store, session, text)
    assert store.turn(turn.id).content == text
    store.update_turn(turn.id, content=text + "!")
    assert store.path("trip")[0].content == text + "!"
    assert len(store.sessions()) == 1


def test_lone_surrogates_are_replaced_and_pairs_joined(store: Store, session: SessionRow) -> None:
    (turn,) = say(store, session, "a\ud800b \ud83d\ude00 \udcff")
    assert store.turn(turn.id).content == "a\ufffdb 😀 \ufffd"
    store.update_turn(turn.id, content="\udfff")
    assert store.turn(turn.id).content == "\ufffd"


# --- leases and recovery


def child(code: str, *args: str) -> subprocess.Popen[str]:
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code, *args]
    return subprocess.Popen(command, env=env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


HOLD = """
import sys
from pathlib import Path
from memchat.store import Store
store = Store(Path(sys.argv[1]))
lease = store.lease("trip")
turn = store.add_turn("trip", "assistant", "half a", parent=None, status="streaming")
print(turn.id, lease.other[0] if lease.other else 0, flush=True)
sys.stdin.read()
"""


def test_lease_names_another_live_process(store: Store, session: SessionRow) -> None:
    with child(HOLD, str(store.file)) as other:
        try:
            assert other.stdout is not None
            turn, seen = map(int, other.stdout.readline().split())
            assert seen == 0
            with store.lease("trip") as lease:
                assert lease.other is not None and lease.other[0] == other.pid
                assert lease.other[1] <= store.turn(turn).at
            assert store.recover() == [], "its writer lives"
        finally:
            other.kill()
    assert store.open_elsewhere(session.id) is None
    with store.lease("trip") as lease:
        assert lease.other is None
    assert store.recover() == [turn]
    assert (store.turn(turn).status, store.turn(turn).content) == ("interrupted", "half a")
    assert store.recover() == []
    assert len(store.search("half")) == 1, "recovered text is searchable"


def test_a_killed_process_that_nobody_reaped_is_dead(store: Store, session: SessionRow) -> None:
    with child(HOLD, str(store.file)) as other:
        assert other.stdout is not None
        turn = int(other.stdout.readline().split()[0])
        other.kill()
        os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)  # dead, still in the process table
        assert store.recover() == [turn]


def test_leases_of_this_process_do_not_count(store: Store, session: SessionRow) -> None:
    with store.lease("trip"), store.lease("trip") as second:
        assert second.other is None
    assert store._read("SELECT count(*) FROM leases") == [(0,)]


def test_a_pid_that_was_given_again_is_another_process(store: Store, session: SessionRow) -> None:
    pid, _, start = this_process().partition("@")
    assert is_alive(this_process()) and not is_alive(f"{pid}@{float(start) - 1000:.2f}")
    with store._write() as db:
        stale = (session.id, f"{pid}@1.00", "2020-01-01")
        db.execute("INSERT INTO leases (session, process, since) VALUES (?, ?, ?)", stale)
    assert store.lease("trip").other is None
    assert store._read("SELECT count(*) FROM leases WHERE process LIKE '%@1.00'") == [(0,)]


def test_lease_survives_deletion_and_closing(store: Store, session: SessionRow) -> None:
    lease = store.lease("trip")
    store.delete_session("trip")
    lease.close()
    other = store.lease(store.create_session("b", model="m", memory="full").id)
    store.close()
    other.close()


# --- threads, size, start-up


def test_threads_share_one_store(store: Store, session: SessionRow) -> None:
    def work(name: str) -> None:
        parent = None
        for index in range(40):
            parent = store.add_turn(session.id, "user", f"{name} {index}", parent=parent).id
            store.search(name)

    threads = [threading.Thread(target=work, args=(name,)) for name in ("ant", "bee", "cow", "doe")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tree = store.tree("trip")
    assert len(tree) == 160
    for name in ("ant", "bee", "cow", "doe"):
        leaf = next(turn.id for turn in tree if turn.content == f"{name} 39")
        assert texts(store.path("trip", leaf)) == [f"{name} {i}" for i in range(40)]


def test_batch_is_all_or_nothing(store: Store, session: SessionRow) -> None:
    with pytest.raises(KeyboardInterrupt), store.batch():
        say(store, session, "a", "b")
        raise KeyboardInterrupt
    assert store.path("trip") == []
    with store.batch():
        say(store, session, "c")
    assert texts(store.path("trip")) == ["c"]


def test_ten_thousand_turns(store: Store, session: SessionRow) -> None:
    with store.batch():
        parent = None
        for index in range(10_000):
            parent = store.add_turn(session.id, ("user", "assistant")[index % 2], f"n{index}", parent=parent).id
    path = store.path("trip")
    assert len(path) == 10_000 and path[-1].content == "n9999"
    assert store.session("trip").turns == 10_000
    assert store.select(path[0].id).head == path[-1].id
    assert store.fork(path[-1].id).turns == 10_000
    assert len(store.search("n7777")) == 2
    assert len(store.prompts(limit=9_000)) == 5_000
    store.delete_session("trip")
    assert [row.turns for row in store.sessions()] == [10_000]


def test_the_store_loads_nothing_heavy(tmp_path: Path) -> None:
    """The interface opens it before its first frame."""
    Store(tmp_path / "memchat.db").close()
    code = """
import sys
from pathlib import Path
from memchat.store import Store
with Store(Path(sys.argv[1]), read_only=True) as store:
    store.sessions("x")
print([name for name in ("torch", "transformers", "numpy", "sqlite_utils", "psutil") if name in sys.modules])
"""
    with child(code, str(tmp_path / "memchat.db")) as process:
        assert process.communicate()[0] == "[]\n"
