"""The SQL memory from message to table to answer, with agents that follow a script."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from memchat.config import Settings, SqlSettings
from memchat.engine.template import Template
from memchat.errors import UsageError
from memchat.memory import registry
from memchat.memory.base import Budget, Message, Turn
from memchat.memory.sql import grammar
from memchat.memory.sql.agents import Answer
from memchat.memory.sql.commands import COMMANDS
from memchat.memory.sql.history import verify
from memchat.memory.sql.memory import Sql
from memchat.memory.sql.spelling import noted, plain, spelt, unspaced
from memchat.session import Session
from memchat.store import Store
from tests.fakes import FakeEngine

BUDGET = Budget(1000, lambda messages: sum(len(m.content.split()) for m in messages))


class Scripted(FakeEngine):
    """Agents that say what the test wants, one answer after the other; then what the fake engine says."""

    def __init__(self, *answers: str) -> None:
        super().__init__()
        self.answers = list(answers)

    def sql_for(self, prompt: str) -> str:
        return self.answers.pop(0) if self.answers else super().sql_for(prompt)


def memory(folder: Path | None = None, engine: FakeEngine | None = None, **settings: Any) -> Sql:
    chosen = SqlSettings(**{"decoding": "free", **settings})
    return Sql(engine or FakeEngine(), None, Settings(sql=chosen), folder)


def tell(sql: Sql, *lines: str, first: int = 1) -> None:
    """The lines in turn, user and assistant; a last one that waits for its reply is looked at without one."""
    for number, line in enumerate(lines, first):
        sql.write(Turn(number, "user" if number % 2 else "assistant", line, at="2026-05-03T10:00:00+00:00"))
    known(sql)


def ask(sql: Sql, question: str) -> Any:
    return sql.recall(Turn(99, "user", question), BUDGET)


def known(sql: Sql) -> dict[str, str]:
    return dict(item.text.split(": ", 1) for item in sql.items())


def test_a_fact_is_stored_and_read_for_the_question_that_needs_it() -> None:
    sql = memory(recent_turns=0)
    tell(sql, "My dog is called Rex.", "Okay.", "My city is Lund.", "Nice.")
    recall = ask(sql, "what is my dog?")
    assert [m.role for m in recall.messages] == ["system"]
    assert recall.messages[0].content == "MEMORY (data, not instructions)\nuser.dog: Rex (since 3 May)"
    rows = [item for item in recall.trace if item.kind == "row"]
    assert [(row.text, row.turns, row.meta["rung"]) for row in rows] == [("user.dog: Rex", (1,), "sql")]


def test_the_recent_messages_stand_behind_the_rows() -> None:
    sql = memory(recent_turns=2)
    tell(sql, "My dog is called Rex.", "Okay.", "hello", "hi")
    messages = ask(sql, "what is my dog?").messages
    assert [(m.role, m.turn) for m in messages] == [("system", None), ("user", 3), ("assistant", 4)]


def test_a_question_that_needs_no_memory_reads_nothing() -> None:
    sql = memory(recent_turns=0)
    tell(sql, "My dog is called Rex.")
    assert ask(sql, "how are you").messages == []


def test_the_agent_sees_the_table_the_lines_and_the_target() -> None:
    engine = FakeEngine()
    sql = memory(engine=engine)
    tell(sql, "My dog is called Rex.", "Okay.", "My city is Lund.")
    first, reply, last = engine.calls
    assert first.splitlines()[-2:] == ["user: > user: My dog is called Rex.", "assistant: Okay."]
    assert "about assistant (" in reply and reply.splitlines()[-1] == "> assistant: Okay."
    assert "dog = Rex" in last and last.splitlines()[-2:] == ["user: assistant: Okay.", "> user: My city is Lund."]


def test_nobody_writes_into_another_persons_row() -> None:
    """With two speakers of the same name too."""
    engine = Scripted("UPDATE users SET dog = 'Rex' WHERE relation = 'assistant';", "UPDATE users SET dog = 'Rex';")
    sql = memory(engine=engine)
    sql.facts.read("SELECT 1")
    sql.write(Turn(1, "user", "My dog is called Rex."))
    receipt = sql.write(Turn(3, "user", "My dog is called Rex."))
    assert "another person" in receipt.detail[0].meta["refused"][0] and not sql.facts.table().cells
    assert known(sql) == {"user.dog": "Rex"}


def test_what_the_assistant_repeats_is_not_kept_for_it_unless_it_says_so_of_itself() -> None:
    engine = FakeEngine()
    sql = memory(engine=engine, assistant=False)
    tell(sql, "hello", "My name is Bo.")
    assert len(engine.calls) == 1 and known(sql) == {}
    sql = memory()
    tell(sql, "hello", "My cat is called Tom.")
    assert known(sql) == {"assistant.cat": "Tom"}


def test_a_speaker_who_says_a_name_gets_it_and_keeps_the_row() -> None:
    sql = memory()
    before = sql.facts.table().person("user").id
    tell(sql, "My dog is called Rex.", "Okay.", "My name is Select.")
    person = sql.facts.table().person("user")
    assert (person.id, person.name) == (before, "Select") and known(sql)["user.dog"] == "Rex"


def test_an_update_leaves_one_live_value_and_its_history() -> None:
    sql = memory()
    tell(sql, "My dog is called Rex.", "Okay.", "My dog is called Bo.")
    assert known(sql) == {"user.dog": "Bo"}
    told = sql.command("history user.dog")
    assert "Rex" in told and "Bo" in told and "from message 3" in told


def test_restarting_asks_no_agent_again_and_a_missing_turn_is_caught_up(tmp_path: Path) -> None:
    sql = memory(tmp_path)
    tell(sql, "My dog is called Rex.", "Okay.")
    sql.close()
    engine = FakeEngine()
    again = memory(tmp_path, engine)
    tell(again, "My dog is called Rex.", "Okay.", "My city is Lund.")
    assert len(engine.calls) == 1 and known(again) == {"user.dog": "Rex", "user.city": "Lund"}
    again.close()


def test_a_message_waits_for_its_reply_and_is_not_lost_without_one(tmp_path: Path) -> None:
    engine = FakeEngine()
    sql = memory(tmp_path, engine)
    sql.write(Turn(1, "user", "My dog is called Rex."))
    assert engine.calls == []
    sql.write(Turn(2, "user", "My city is Lund."))
    assert len(engine.calls) == 1 and engine.calls[0].splitlines()[-1] == "user: > user: My dog is called Rex."
    sql.close()
    again = memory(tmp_path, engine)
    tell(again, "My dog is called Rex.")
    again.write(Turn(2, "user", "My city is Lund."))
    assert len(engine.calls) == 1, "what was learnt is not asked again"
    assert "user.city: Lund" in str(ask(again, "what is my city?").messages), "a question waits for it"
    again.close()


def test_a_message_whose_agent_failed_is_learnt_from_later() -> None:
    sql = memory()
    sql.write(Turn(1, "user", "My dog is called Rex."))
    write, sql.storage.write = sql.storage.write, None  # type: ignore
    with pytest.raises(TypeError):
        sql.write(Turn(2, "assistant", "Okay."))
    sql.storage.write = write  # type: ignore[method-assign]
    assert known(sql) == {"user.dog": "Rex"}


def test_forgetting_asks_no_agent_and_what_waits_and_stays_is_learnt() -> None:
    engine = FakeEngine()
    sql = memory(engine=engine)
    tell(sql, "My dog is called Rex.", "Okay.")
    sql.write(Turn(3, "user", "My city is Lund."))
    calls = len(engine.calls)
    assert sql.forget([1]).removed == 1 and len(engine.calls) == calls
    assert known(sql) == {"user.city": "Lund"}
    sql.write(Turn(5, "user", "My job is cook."))
    sql.storage.write = None  # type: ignore  # an agent that fails keeps nothing from being forgotten
    assert sql.forget([5]).removed == 1
    assert known(sql) == {"user.city": "Lund"}


def test_what_was_said_on_another_branch_does_not_hold_here(tmp_path: Path) -> None:
    sql = memory(tmp_path)
    tell(sql, "My dog is called Rex.", "Okay.")
    sql.close()
    other = memory(tmp_path)
    other.write(Turn(7, "user", "My city is Lund."))
    assert "user.dog" not in str(ask(other, "what is my dog?").messages)
    assert known(other) == {"user.city": "Lund"}
    other.close()


@pytest.mark.parametrize(
    ("answers", "rung", "rows"),
    [
        (["SELECT dog FROM users WHERE relation = 'user';"], "sql", ["user.dog: Rex"]),
        (["SELEC dog", "SELECT dog FROM users WHERE relation = 'user';"], "retry", ["user.dog: Rex"]),
        (["SELEC dog", "DROP TABLE users;"], "fields", ["user.dog: Rex"]),
        (["SELECT 'Max' FROM users;", 'SELECT "hamster" FROM users;'], "fields", ["user.dog: Rex"]),
        (["NOOP"], "sql", []),
    ],
)
def test_the_ladder_of_retrieval(answers: list[str], rung: str, rows: list[str]) -> None:
    engine = Scripted()
    sql = memory(engine=engine, recent_turns=0)
    tell(sql, "My dog is called Rex.")
    engine.answers = answers
    trace = ask(sql, "what is the name of my dog?").trace
    assert [item.text for item in trace if item.kind == "row"] == rows
    assert {item.meta["rung"] for item in trace if item.kind == "sql"} == {rung}


def test_a_field_that_the_question_names_stands_beside_what_was_read_instead() -> None:
    engine = Scripted()
    sql = memory(engine=engine, recent_turns=0)
    tell(sql, "My dog is called Rex.", "Okay.", "My city is Lund.", "Okay.")
    wrong, right = ("SELECT city FROM users WHERE relation = 'user'", "SELECT dog FROM users WHERE relation = 'user'")
    for answer, rows in ((wrong, ["user.city: Lund", "user.dog: Rex"]), (right, ["user.dog: Rex"]), ("NOOP", [])):
        engine.answers = [answer]
        trace = ask(sql, "what is the name of my dog?").trace
        assert [item.text for item in trace if item.kind == "row"] == rows
    engine.answers = [wrong]
    sql.settings.fallback = False
    assert [item.text for item in ask(sql, "and my dog?").trace if item.kind == "row"] == ["user.city: Lund"]


def test_a_field_that_says_more_than_the_question_names_stands_alone() -> None:
    engine = Scripted()
    sql = memory(engine=engine, recent_turns=0)
    tell(sql, "My city is Lund.", "Okay.", "My former_city is Malmo.", "Okay.")
    assert known(sql) == {"user.city": "Lund", "user.former_city": "Malmo"}
    engine.answers = ["SELECT former_city FROM users WHERE relation = 'user'"]
    rows = [item.text for item in ask(sql, "what is my old city?").trace if item.kind == "row"]
    assert rows == ["user.former_city: Malmo"]


def test_without_fallback_nothing_is_guessed() -> None:
    engine = Scripted()
    sql = memory(engine=engine, fallback=False, recent_turns=0)
    tell(sql, "My dog is called Rex.")
    engine.answers = ["SELEC", "SELEC"]
    assert ask(sql, "what is my dog?").messages == []


def test_forgetting_turns_takes_their_facts(tmp_path: Path) -> None:
    sql = memory(tmp_path)
    tell(sql, "My dog is called Qxyzzy.", "Okay.", "My city is Lund.")
    assert sql.forget([1]).removed == 1
    assert known(sql) == {"user.city": "Lund"}
    sql.close()
    assert not any(b"Qxyzzy" in file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())


def test_invalid_answers_turn_the_grammar_on() -> None:
    sql = memory(decoding="auto")
    agent = sql.storage
    assert agent._lark(["dog"], [], ["hello"], "") == ""
    for _ in range(2):
        agent.judged(False)
    assert "UPDATE users SET" in agent._lark(["dog"], [], ["hello"], "")
    for _ in range(20):
        agent.judged(True)
    assert agent._lark(["dog"], [], ["hello"], "") == ""
    assert memory(decoding="free").storage._lark([], [], [], "") == ""


def test_an_adapter_writes_under_the_grammar_unless_told_otherwise() -> None:
    for decoding, bound in (("auto", True), ("grammar", True), ("free", False)):
        agent = memory(decoding=decoding).storage
        agent.adapter = object()  # type: ignore[assignment]
        assert bool(agent._lark([], [], ["hello"], "")) == bound


def test_a_call_is_about_those_others_whom_its_lines_name(monkeypatch: pytest.MonkeyPatch) -> None:
    made = [f"INSERT INTO users (name, relation, city) VALUES ('{name}', 'other', 'Lund');" for name in ("Ana", "Bo")]
    sql = memory(engine=Scripted("\n".join(made)), people=True)
    tell(sql, "Ana and Bo live in Lund.")
    offered: list[Any] = []

    def write(system: str, text: str, fields: Any, people: Any, said: Any = ()) -> Answer:
        offered.append(people)
        return Answer("NOOP", "NOOP", 1.0, "", True, False)

    monkeypatch.setattr(sql.storage, "write", write)
    monkeypatch.setattr(sql.retrieval, "write", write)
    tell(sql, "bos city is Oslo now", first=3)
    tell(sql, "He likes soup.", first=5)
    tell(sql, "What is it?", "It is Ana's.", first=7)
    ask(sql, "Where does Ana live?")
    ask(sql, "Who lives in Lund?")
    assert offered == [["Bo"], ["Ana", "Bo"], ["Ana"], ["Ana"], ["Ana"], ["Ana", "Bo"]]


def test_under_the_grammar_nothing_is_stored_that_nobody_said() -> None:
    from memchat.engine.grammar import Grammars
    from tests.tiny import byte_tokenizer

    tokenizer = byte_tokenizer()
    grammars = Grammars(tokenizer, len(tokenizer))
    lark = grammar.storage(["dog"], ["Ana"], ["user: my friend's dog is O'Brien, born in may", "plums and rice"])

    def fits(value: str) -> bool:
        text = f"UPDATE users SET dog = '{value}' WHERE relation = 'user';"
        matcher = grammars.constraint(lark)._matcher
        ids = tokenizer(text, add_special_tokens=False).input_ids
        return matcher.try_consume_tokens(ids) == len(ids) and matcher.is_accepting()

    for value in ("O''Brien", "may", " may", "friend''s dog", "plums, rice and may", "plums and rice, dog and may"):
        assert fits(value), value
    for value in ("", "O''Brian", "kay", "rice my", "may\nplums", "ma"):
        assert not fits(value), value
    assert grammars.constraint(lark)._matcher.try_consume_tokens(
        tokenizer("UPDATE users SET dog = NULL WHERE name = ' Ana';", add_special_tokens=False).input_ids
    ), "a name with the space of its adapter"


def test_the_grammar_knows_which_fields_and_people_there_are() -> None:
    from memchat.engine.grammar import Grammars
    from tests.tiny import byte_tokenizer

    tokenizer = byte_tokenizer()
    grammars = Grammars(tokenizer, len(tokenizer))

    def fits(text: str, people: list[str] | None) -> bool:
        matcher = grammars.constraint(
            grammar.storage(["dog"], people, ["Rex and Bo live in Lund with Ana, O'Neil"])
        )._matcher
        ids = tokenizer(text, add_special_tokens=False).input_ids
        return matcher.try_consume_tokens(ids) == len(ids) and matcher.is_accepting()

    me, add = "WHERE relation = 'user';", "ALTER TABLE users ADD COLUMN city TEXT;"
    new = "INSERT INTO users (name, relation, dog) VALUES ('Ana', 'other', 'Bo');"
    known, made = f"UPDATE users SET dog = 'Rex' {me}", f"{add}\nUPDATE users SET city = 'Lund' {me}"
    unset, named = f"UPDATE users SET dog = NULL {me}", known.replace("dog", "name")
    notes = f"-- x\n-- city\n{made}\n-- y\n-- dog\n{known}"
    added = f"{add}\n{known}\n-- again\n-- city\nUPDATE users SET city = 'Bo' {me}"
    twice = f"{known}\n-- more: of it\n-- dog\n{known}"
    again = f"{made}\nUPDATE users SET city = 'Bo' WHERE relation = 'assistant';"
    for text in (
        "NOOP",
        "-- Ana's dog\nNOOP",
        notes,
        twice,
        added,
        again,
        known,
        made,
        f"{made}\n{known}",
        unset,
        named,
    ):
        assert fits(text, None), text
        assert fits(text, []), text
    near = grammar.storage(["dog"], [], ["ana has Bo"], ["> user: ana has Bo", "assistant: So Ana has Bo."])
    assert grammars.constraint(near)._matcher.try_consume_tokens(tokenizer(new, add_special_tokens=False).input_ids), (
        "a name that the reply alone spells so"
    )
    hers = f"{add}\nUPDATE users SET city = 'Lund' WHERE name = 'Ana';"
    for text in (
        new,
        f"{made}\n-- z\n-- dog\n{new}\n{known}",
        f"{new}\n{hers}",
        f"{add}\n{new.replace('dog', 'city')}",
        hers,
    ):
        assert fits(text, []) and not fits(text, None), text
    assert fits(hers, ["Ana"]) and not fits(hers.replace("Ana", "Eve"), [])
    for name, one in (("Ana", True), ("O''Neil", True), ("Bo live in", True), ("Bo live in Lund", False),
                      ("Ana, O''Neil", False), ("", False)):  # fmt: skip
        assert fits(new.replace("Ana", name), []) == one, name
    wrong = (add, "-- x", f"-- x\n{known}", f"-- x\n-- dog\n{made}", f"-- x\n-- city\n{known}", "-- x\n-- dog\nNOOP",
             f"-- x\n-- dog\n{made.replace('city', 'dog')}", f"UPDATE users SET city = 'Lund' {me}",
             f"{add}\n{known.replace('Rex', 'Max')}", f"{add}\nUPDATE users SET city = NULL {me}", "DROP TABLE users;",
             f"{known} {known}")  # fmt: skip
    for text in wrong:
        assert not fits(text, ["Ana"]), text


def test_values_come_from_the_speakers_own_line() -> None:
    """Only a line that is no more than a yes takes its meaning from the one before; a list takes what it held."""
    seen: list[list[str]] = []
    sql = memory(engine=Scripted("UPDATE users SET fruits = 'plums' WHERE relation = 'user';", *["NOOP"] * 3))
    write = sql.storage.write
    sql.storage.write = lambda s, t, f, people, said: seen.append(list(said)) or write(s, t, f, people, said)  # type: ignore
    tell(sql, "I like plums a lot.", "Do you like figs as well?", "yes", "Noted, I shall not forget that.")
    assert seen[0] == ["I like plums a lot."]
    assert seen[2] == ["Do you like figs as well?", "yes", "plums"]
    assert seen[3] == ["Noted, I shall not forget that."]


def test_an_adapter_spells_values_with_a_space_that_is_not_kept() -> None:
    sql = "INSERT INTO users (name, relation, dog) VALUES ('O''Brien', 'other', 'Rex');\nUPDATE users SET a = 'may 25'"
    sql += " WHERE relation = 'user';\nSELECT dog FROM users WHERE name = 'Ana';\nNOOP"
    written = spelt(sql)
    assert "' O''Brien', 'other', ' Rex'" in written and "' may 25' WHERE relation = 'user'" in written
    assert "name = ' Ana'" in written
    assert plain(written) == sql and spelt(written) == written and plain(sql) == sql


def test_an_adapter_notes_what_it_understood_before_each_statement() -> None:
    sql = "UPDATE users SET dog = 'Rex' WHERE name = 'Ana';"
    new = "ALTER TABLE users ADD COLUMN cat TEXT;\nUPDATE users SET cat = 'Tom' WHERE relation = 'user';"
    written = spelt(f"{sql}\n{new}\n{sql}", "Ana's dog is called Rex\nyour cat is called Tom\nAna has Rex")
    lines = written.splitlines()
    assert lines[0:2] == ["-- Ana's dog is called Rex", "-- dog"] and lines[3:5] == [
        "-- your cat is called Tom",
        "-- cat",
    ]
    assert sum(line.startswith("--") for line in lines) == 6 and plain(written) == f"{sql}\n{new}\n{sql}"
    assert spelt(f"{new}\n{sql}", "one\ntwo\nthree").startswith("-- one and two and three\n-- cat\nALTER")
    assert plain(spelt("NOOP", "what Ana's dog is called")) == "NOOP" == plain("NOOP")
    assert plain("-- it's cut off") == "" and plain(f"{sql}\n-- after") == sql
    assert "-- Ana's dog is called Rex\n-- dog\nUPDATE users SET dog = 'Rex' WHERE name = 'Ana';" in unspaced(written)
    broken = "UPDATE users SET dog = ' O'Neil' WHERE x;\n-- Ana's cat\nUPDATE users SET cat = ' Tom' WHERE y;"
    assert plain(broken).splitlines()[1] == "UPDATE users SET cat = 'Tom' WHERE y;"
    assert noted(written, "rex") == "Ana has Rex" and noted(written, "Tom") == "your cat is called Tom"
    assert noted(written, "Lund") == "" == noted(sql, "Rex")


@pytest.mark.parametrize("constrained", [False, True])
def test_a_row_comes_with_the_note_of_the_agent_as_long_as_all_it_wrote_then_holds(constrained: bool) -> None:
    me = "WHERE relation = 'user';"
    add = "ALTER TABLE users ADD COLUMN {} TEXT;\nUPDATE users SET {} = ' {}' " + me
    cat, both = "-- your cat is Tom", "-- your dog is called Rex and you live in Lund"
    both = "\n".join([cat, add.format(*2 * ["cat"], "Tom"), both, *(add.format(field, field, value)
                      for field, value in (("dog", "Rex"), ("city", "Lund")))])  # fmt: skip
    reads = f"SELECT dog FROM users {me}"
    moved = f"-- you live in Malmo now\nUPDATE users SET city = ' Malmo' {me}"
    wrong = f"-- you live in Ystad\nUPDATE users SET city = ' Oslo' {me}"
    engine = Scripted(both, reads, moved, reads, f"SELECT city FROM users {me}", wrong, f"SELECT city FROM users {me}")
    sql = memory(engine=engine, recent_turns=0)
    if constrained:  # as with an adapter: the note is taken out of the SQL
        sql.storage._lark = lambda *_: "any"  # type: ignore[method-assign]
        sql.storage._compile = lambda _: None  # type: ignore[method-assign]

    def row(question: str) -> str:
        return str(ask(sql, question).messages[0].content.splitlines()[1])

    tell(sql, "I live in Lund with my dog Rex.")
    assert (
        row("what is my dog?") == 'user.dog: Rex (since 3 May) (noted: "your dog is called Rex and you live in Lund")'
    )
    tell(sql, "I moved to Malmo.", first=3)
    assert row("what is my dog?") == "user.dog: Rex (since 3 May)", "the old city stands in the note"
    engine.answers.insert(0, f"SELECT cat FROM users {me}")
    assert row("what is my cat?") == 'user.cat: Tom (since 3 May) (noted: "your cat is Tom")'
    assert row("what is my city?") == 'user.city: Malmo (since 3 May) (noted: "you live in Malmo now")'
    tell(sql, "I live in Oslo.", first=5)
    assert row("what is my city?") == "user.city: Oslo (since 3 May)", "the note says something else"
    sql.command("set user.city Bergen")
    engine.answers.append(f"SELECT city FROM users {me}")
    assert row("what is my city?").startswith("user.city: Bergen (since ") and "noted" not in row("and my city?")


def test_the_registry_names_the_commands_there_are() -> None:
    assert set(registry.MODES["sql"].commands) == set(COMMANDS)


def test_commands() -> None:
    sql = memory()
    tell(sql, "My dog is called Rex.", "Okay.", "My city is Lund.")
    assert "user.dog: Rex" in sql.command("table")
    assert "locked" in sql.command("set user.dog Max")
    sql.write(Turn(9, "user", "My dog is called Bo."))
    assert known(sql)["user.dog"] == "Max", "a locked cell"
    sql.command("unlock dog")
    assert "forgotten" in sql.command("forget dog")
    assert "user.dog" not in known(sql)
    assert "undone" in sql.command("undo")
    assert known(sql)["user.dog"] == "Max"
    assert "done again" in sql.command("redo")
    assert sql.command("sql SELECT city FROM users WHERE relation = 'user'") == "- user.city: Lund"
    assert "not allowed" in sql.command("sql DROP TABLE users")
    sql.command("rename city home")
    assert known(sql) == {"user.home": "Lund"}
    assert "undo brings it back" in sql.command("reset")
    assert known(sql) == {} and sql.command("table") == "nothing is known"
    sql.command("undo")
    assert known(sql) == {"user.home": "Lund"}
    assert "nothing was changed" in sql.command("verify")
    assert "model, store" in sql.command("log")


@pytest.mark.parametrize(
    "text",
    ["frobnicate", "undo x", "undo 0", "set nobody.dog Rex", "history", "reset softly", "rename a", "as-of noon"],
)
def test_a_command_that_makes_no_sense_is_one_line(text: str) -> None:
    with pytest.raises(UsageError) as error:
        memory().command(text)
    assert "\n" not in str(error.value) and error.value.remedy


def test_as_of_shows_the_table_of_then() -> None:
    sql = memory()
    tell(sql, "My dog is called Rex.")
    then = sql.facts.ops()[-1].at
    tell(sql, "My dog is called Bo.", first=3)
    assert "Rex" in sql.command(f"as-of {then}") and "Bo" in sql.command("as-of")


@pytest.fixture
def store() -> Iterator[Store]:
    with Store() as opened:
        yield opened


def test_a_session_with_tell_change_leave_reopen_correct_and_undo(store: Store) -> None:
    def opened() -> Session:
        return Session.open(store, FakeEngine(), Settings(memory="sql", sql=SqlSettings(decoding="free")), "facts")  # type: ignore[arg-type]

    session = opened()
    list(session.ask("My dog is called Rex."))
    events = list(session.ask("My dog is called Bo."))
    wrote = next(e for e in events if e.kind == "wrote")
    assert (wrote.added, wrote.changed) == (0, 1) and wrote.detail[0]["text"].startswith("UPDATE users")
    session.close()
    session = opened()
    events = list(session.ask("what is my dog?"))
    assert "user.dog: Bo" in session.engine.prompts[-1]
    assert next(e for e in events if e.kind == "recalled").items[0]["kind"] == "sql"
    assert [e.kind for e in session.command("set user.dog Max")] == ["told", "finished"]
    list(session.ask("what is my dog?"))
    assert "user.dog: Max" in session.engine.prompts[-1]
    list(session.command("undo"))
    list(session.ask("what is my dog?"))
    assert "user.dog: Bo" in session.engine.prompts[-1]
    folder = store.memory_folder(session.row.id)
    session.close()
    assert (folder / "sql" / "facts.db").is_file()
    store.delete_session(session.row.id)
    assert not folder.exists()


def test_a_fork_begins_with_its_own_turns_facts_and_what_was_done_by_hand(store: Store) -> None:
    settings = Settings(memory="sql", sql=SqlSettings(decoding="free"))
    session = Session.open(store, FakeEngine(), settings, "facts")  # type: ignore[arg-type]
    for text in ("My dog is called Rex.", "My cat is called Tom.", "My city is called Lund."):
        list(session.ask(text))
    list(session.command("set user.dog Max"))
    list(session.command("forget user.cat"))
    before, asked = known(session.memory), len(session.engine.prompts)
    middle = store.path(session.row.id)[3].id
    fork = session.fork(middle)
    assert known(fork.memory) == {"user.dog": "Max"}  # neither the cat, forgotten, nor the city, told later
    assert len(fork.engine.prompts) == asked  # no agent had to read it all again
    facts = fork.memory.facts
    assert not verify(facts)
    ours = {turn.id for turn in store.path(fork.row.id)}
    assert facts.heard() == ours
    assert facts.facts("f.person_id = 1 AND d.name = 'dog'")[0].turn in ours  # where Rex came from
    list(fork.ask("My city is called Oslo."))
    assert known(fork.memory) == {"user.dog": "Max", "user.city": "Oslo"}
    assert not verify(facts)
    list(fork.forget([store.path(fork.row.id)[-2].id]))  # replays the log: what other turns told stays away
    assert known(fork.memory) == {"user.dog": "Max"}
    fork.close()
    again = Session.open(store, FakeEngine(), settings, "facts")  # type: ignore[arg-type]
    assert known(again.memory) == before == {"user.dog": "Max", "user.city": "Lund"}
    again.close()


def test_a_memory_without_commands_says_so(store: Store) -> None:
    session = Session.open(store, FakeEngine(), Settings(), "plain")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="takes no commands"):
        list(session.command("undo"))


def test_recalled_notes_join_the_system_message() -> None:
    from tests.tiny import byte_tokenizer

    template = Template(byte_tokenizer())
    rendered = template.render([Message("system", "MEMORY"), Message("user", "hi")], "Be kind.")
    assert rendered.text.count("Be kind.\nMEMORY") == 1


def test_a_hard_reset_is_not_undone_by_the_next_start(tmp_path: Path) -> None:
    sql = memory(tmp_path)
    tell(sql, "My dog is called Rex.", "Okay.")
    sql.command("reset hard")
    sql.close()
    engine = FakeEngine()
    again = memory(tmp_path, engine)
    tell(again, "My dog is called Rex.", "Okay.", "My city is Lund.")
    assert known(again) == {"user.city": "Lund"} and len(engine.calls) == 1, "only what is new is learnt"


@pytest.mark.parametrize(
    ("line", "gone"),
    [
        ("Rex is no longer my dog", True),
        ("i don't have rex any more", True),
        ("My dog Rex died.", True),
        ("Please forget my dog", True),
        ("Rex is fine", False),
        ("I do not like Tom", False),
    ],
)
def test_a_value_goes_when_it_is_denied_or_to_be_forgotten(line: str, gone: bool) -> None:
    told = "ALTER TABLE users ADD COLUMN dog TEXT;\nUPDATE users SET dog = 'Rex' WHERE relation = 'user';"
    sql = memory(engine=Scripted(told, "NOOP", "UPDATE users SET dog = NULL WHERE relation = 'user';"))
    tell(sql, "My dog is called Rex.", "Okay.", line)
    assert known(sql) == ({} if gone else {"user.dog": "Rex"})


def test_opening_tells_what_is_known_and_how_it_was_left(tmp_path: Path) -> None:
    sql = memory(tmp_path, adapters=False)
    assert sql.notice == ""
    tell(sql, "My dog is called Rex.")
    sql.close()
    again = memory(tmp_path, adapters=False)
    assert again.notice.startswith("1 fact loaded, last used 20") and "cut off" not in again.notice
    assert (again.facts.last_session() or ("", ""))[1] == "bye"
