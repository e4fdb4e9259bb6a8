"""One conversation over a real store and a scripted engine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from memchat.config import Settings
from memchat.errors import MemchatError, UsageError
from memchat.protocol import Event
from memchat.session import Session
from memchat.store import Store
from tests.fakes import FakeEngine


@pytest.fixture
def store() -> Iterator[Store]:
    with Store() as opened:
        yield opened


def opened(store: Store, key: str | None = None, engine: FakeEngine | None = None, **kwargs: str) -> Session:
    return Session.open(store, engine or FakeEngine(), Settings(**kwargs), key)


def said(events: list[Event]) -> str:
    return "".join(e.text for e in events if e.kind == "token")


def test_a_turn_yields_the_events_in_order_and_is_stored(store: Store) -> None:
    session = opened(store)
    events = list(session.ask("hello"))
    kinds = [e.kind for e in events if e.kind != "token"]
    assert kinds == ["stored", "recalled", "stored", "stats", "wrote", "finished"]
    user, reply = store.path(session.row.id)
    assert (user.content, reply.content) == ("hello", said(events))
    assert reply.status == "complete" and reply.meta["stats"]["new_tokens"] == 6
    assert events[-1].turn == reply.id


def test_the_message_is_durable_before_the_model_sees_it(store: Store) -> None:
    session = opened(store)
    stream = session.ask("remember me")
    assert next(stream).kind == "stored"
    assert not session.engine.prompts
    with Store() as other:
        assert [t.content for t in other.path(session.row.id)] == ["remember me"]


def test_full_sees_everything_window_the_last_and_none_nothing(store: Store) -> None:
    for mode, count in (("full", 9), ("window", 4), ("none", 1)):
        session = opened(store, memory=mode)
        for i in range(8):
            list(session.ask(f"number {i}"))
        events = list(session.ask("last"))
        assert said(events).startswith(f"seen {count} messages")
        recalled = next(e for e in events if e.kind == "recalled")
        assert recalled.held_turns + recalled.dropped_turns == 16


def test_reopening_continues_where_it_stopped(store: Store) -> None:
    session = opened(store, "trip", memory="full")
    list(session.ask("one"))
    session.close()
    again = opened(store, "trip")
    assert again.row.id == session.row.id and again.row.memory == "full"
    assert said(list(again.ask("two"))).startswith("seen 2 messages")


def test_the_oldest_turns_fall_out_when_the_context_is_full(store: Store) -> None:
    session = opened(store, engine=FakeEngine(context=40))
    for i in range(6):
        list(session.ask(f"message {i}"))
    recalled = next(e for e in session.ask("last") if e.kind == "recalled")
    assert recalled.dropped_turns > 0 and recalled.prompt_tokens <= 30
    assert session.engine.prompts[-1].startswith("user: "), "a prompt begins with a question"
    not_sent = [s for s in session.prompt().segments if s["kind"] == "not sent"]
    assert len(not_sent) == recalled.dropped_turns


def test_a_message_that_cannot_fit_is_refused_but_kept(store: Store) -> None:
    session = opened(store, engine=FakeEngine(context=20))
    with pytest.raises(MemchatError, match="too long"):
        list(session.ask("word " * 30))
    assert store.path(session.row.id)[0].content.startswith("word")
    assert said(list(session.ask("short"))).endswith("short")


def test_empty_messages_are_refused(store: Store) -> None:
    session = opened(store)
    with pytest.raises(UsageError):
        list(session.ask("  \n"))
    assert store.path(session.row.id) == []


def test_cancel_keeps_the_partial_reply(store: Store) -> None:
    session, seen = opened(store), []
    events = list(session.ask("long 100", cancel=lambda: len(seen) >= 3 or seen.append(1)))
    assert events[-1].reason == "cancelled"
    reply = store.path(session.row.id)[-1]
    assert reply.status == "cancelled" and reply.content == said(events) == "w0 w1 w2"


def test_a_failing_engine_keeps_question_and_partial_reply(store: Store) -> None:
    session = opened(store)
    with pytest.raises(MemchatError, match="failed as asked"):
        list(session.ask("please fail"))
    user, reply = store.path(session.row.id)
    assert user.content == "please fail" and reply.status == "failed" and reply.content == "seen 1"
    assert said(list(session.ask("go on")))


def test_a_consumer_that_leaves_marks_the_reply(store: Store) -> None:
    session = opened(store)
    stream = session.ask("long 50")
    for event in stream:
        if event.kind == "token":
            break
    stream.close()
    reply = store.path(session.row.id)[-1]
    assert (reply.status, reply.content) == ("cancelled", "w0")


def test_regenerate_makes_a_version_and_rewinds_the_memory(store: Store) -> None:
    session = opened(store)
    list(session.ask("one"))
    first = session.head
    events = list(session.regenerate())
    assert said(events).startswith("seen 1 messages")
    assert store.versions(session.head) == [first, session.head]
    list(session.select(first))
    assert session.head == first
    assert said(list(session.ask("two"))).startswith("seen 2 messages")


def test_edit_a_user_message_answers_it_anew(store: Store) -> None:
    session = opened(store)
    list(session.ask("my dog is Rex"))
    first = store.path(session.row.id)[0]
    list(session.ask("hello"))
    events = list(session.edit(first.id, "my dog is Bello"))
    assert [t.content for t in store.path(session.row.id) if t.role == "user"] == ["my dog is Bello"]
    assert said(events).startswith("seen 1 messages")
    assert "Rex" not in session.engine.prompts[-1]


def test_edit_a_reply_changes_what_the_model_sees(store: Store) -> None:
    session = opened(store)
    list(session.ask("hello"))
    list(session.edit(session.head, "I am a teapot"))
    list(session.ask("who are you"))
    assert "I am a teapot" in session.engine.prompts[-1]


def test_fork_leaves_the_original_alone(store: Store) -> None:
    session = opened(store, "one")
    list(session.ask("a"))
    middle = session.head
    list(session.ask("b"))
    fork = session.fork(middle)
    list(fork.ask("c"))
    assert fork.row.parent == session.row.id
    assert [t.content for t in store.path(fork.row.id) if t.role == "user"] == ["a", "c"]
    assert [t.content for t in store.path(session.row.id) if t.role == "user"] == ["a", "b"]


def test_forget_erases_from_log_memory_and_prompt(store: Store) -> None:
    session = opened(store)
    list(session.ask("my code is 4711"))
    user, reply = store.path(session.row.id)
    list(session.forget([user.id, reply.id]))
    list(session.ask("what is my code"))
    assert "4711" not in session.engine.prompts[-1]
    assert not [i for i in session.items().items if "4711" in i["text"]]
    session.close()
    again = opened(store, session.row.id)
    assert "4711" not in again.prompt("hi").text


def test_changing_the_mode_rebuilds_from_the_log(store: Store) -> None:
    session = opened(store, memory="none")
    list(session.ask("one"))
    session.set_memory("full")
    assert said(list(session.ask("two"))).startswith("seen 2 messages")
    with pytest.raises(UsageError, match="did you mean|Did you mean"):
        session.set_memory("ful")


def test_a_long_rebuild_tells_how_far_it_is(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[tuple[str, float, float]] = []
    with Session.open(store, FakeEngine(), Settings(), report=lambda *told: heard.append(told)) as session:
        list(session.ask("one"))
        list(session.ask("two"))
        session.set_memory("window")
        assert not heard  # nobody waited
        monkeypatch.setattr("memchat.session.REBUILD_S", 0)
        session.set_memory("full")
    assert heard == [("rebuilding memory", done, 4) for done in range(4)]


def test_prompt_shows_exactly_what_the_model_got(store: Store) -> None:
    session = opened(store, system="Be kind.")
    list(session.ask("hello"))
    assert session.prompt().text == session.engine.prompts[-1] == "system: Be kind.\nuser: hello"
    assert session.prompt("next").text.endswith("user: next")
    assert [s["kind"] for s in session.prompt().segments] == ["system", "user", "template"]


def test_a_turn_of_another_session_is_refused(store: Store) -> None:
    one, two = opened(store), opened(store)
    list(one.ask("a"))
    with pytest.raises(UsageError, match="not in this session"):
        list(two.select(one.head))


def test_opening_twice_is_safe_and_the_branches_do_not_mix(store: Store) -> None:
    one = opened(store, "shared")
    list(one.ask("a"))
    two = opened(store, "shared")
    list(one.ask("from one"))
    list(two.ask("from two"))
    assert "from one" not in two.engine.prompts[-1]
    assert len(store.tree(one.row.id)) == 6
