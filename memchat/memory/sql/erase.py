"""Taking facts away for good: from the facts, the index, the log, the backups, and from the bytes of the file.

What is left of an erased op is a tombstone: its number, kind, time and hash, without content.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from memchat.memory.sql.edits import (
    DEFAULT_NAMES,
    Draft,
    Edit,
    Key,
    Row,
    State,
    as_json,
    default_name,
    dump,
    emptying,
    load,
    replay,
)
from memchat.memory.sql.facts import FactStore
from memchat.memory.sql.oplog import COLUMNS, Op, as_op, create
from memchat.memory.sql.policy import same
from memchat.memory.sql.table import Cell, Decision


@dataclass(frozen=True)
class Erased:
    """What an erasure did.

    Attributes:
        ops: entries of the log that lost content.
        facts: facts that are gone, live and retired ones.
        files: backups, damaged copies and automatic exports that are gone.
        clean: the bytes are gone from the file as well; False while another process reads it: the next start does it.
        remains: live cells whose value holds an erased text; they are facts of their own, and stay.
    """

    ops: int
    facts: int
    files: int
    clean: bool
    remains: tuple[Cell, ...]


def drop_turns(store: FactStore, turns: Iterable[int]) -> Op:
    """Make the facts what they would be if these turns had never been: one op, which undo takes back.

    A value that a dropped turn replaced comes back; one that another turn said as well stays, on that turn's account.
    The turns may be stored again afterwards, also with `once`.
    """
    numbers = set(turns)
    with store.change("drop", "user") as draft:
        draft.extra["turns"] = sorted(numbers)
        target, now = _without(_log(draft), numbers), load(draft.db)
        for key in emptying(now, set(now) - set(target)):
            draft.put(key, None)
        for key in reversed(emptying(target, target)):  # a cell after the person and the field that it needs
            draft.put(key, target[key])
        draft.db.executemany("UPDATE op SET once = NULL WHERE turn_id = ?", [(turn,) for turn in numbers])
    return store.op(draft.id)


def _log(draft: Draft) -> list[Op]:
    return [as_op(row) for row in draft.db.execute(f"SELECT {COLUMNS} FROM op ORDER BY id")]


def _without(ops: list[Op], turns: set[int]) -> State:
    """The state that the ops lead to when these turns said nothing."""
    full: State = {}
    kept: State = {}
    instead: dict[str, Row | None] = {}  # a row that a dropped turn put -> the row that stays in its place
    for op, dropped in _dropped(ops, turns):
        replay(op.edits, full)
        if dropped is None:
            continue
        for change in op.edits:
            new = change.new
            if new is not None and new.get("turn") in dropped:
                new = instead.setdefault(f"{change.key} {new}", kept.get(change.key))
            elif new is None and op.turn in dropped:
                new = kept.get(change.key)
            replay([Edit(change.key, None, new)], kept)
        if op.turn not in dropped:
            _say_again(op, full, kept)
    for key in [key for key in kept if key[0] == "cell"]:  # their row or column may be a dropped turn's
        for needed in (("person", key[1]), ("field", key[2])):
            if needed not in kept:
                kept[needed] = full[needed]
    return kept


def _dropped(ops: list[Op], turns: set[int]) -> list[tuple[Op, frozenset[int] | None]]:
    """Each op with the turns that are dropped from it, those of later drops too; None for the drops themselves."""
    drops = {op.id for op in ops if op.kind == "drop"}
    found: list[tuple[Op, frozenset[int] | None]] = []
    gone = frozenset(turns)
    for op in reversed(ops):
        found.append((op, None if op.id in drops or op.target in drops else gone))
        if op.id in drops and op.undone_by is None:
            gone |= frozenset(op.turns)
    return found[::-1]


def _say_again(op: Op, full: State, kept: State) -> None:
    """A noop of this op repeated what a dropped turn had said: then it is this turn's doing."""
    fields = {row["name"]: key[1] for key, row in full.items() if key[0] == "field"} if op.declined else {}
    for decision in op.declined:
        change = decision.change
        named = change.field == "name"
        key: Key = ("person", change.person) if named else ("cell", change.person, fields.get(change.field))
        row = full.get(key)
        if decision.kind != "noop":
            continue
        if row is None and change.new is None:
            kept.pop(key, None)
        elif row and same(row["name" if named else "value"], change.new) and row != kept.get(key):
            kept[key] = {**row, "turn": op.turn, **({} if named else {"since": op.at})}


def erase(store: FactStore, cells: Iterable[Cell] = (), turns: Iterable[int] = ()) -> Erased:
    """Take cells, and all that was derived from some turns, away for good, with every value that they ever held.

    The field `name` stands for a person's name and aliases. Every log entry that mentions an erased value loses its
    texts. Backups, damaged copies and automatic exports go as well, since they hold the values; a new backup is made.
    Undo cannot bring anything of it back.
    """
    numbers = set(turns)
    if numbers:
        drop_turns(store, numbers)
    with store.change("erase", "user") as draft:
        eraser = _Eraser(store, draft, set(cells), numbers)
        facts = eraser.rewrite_facts()
        ops = eraser.rewrite_log()
        draft.extra["erased"] = ops
        draft.db.execute("INSERT OR REPLACE INTO meta VALUES ('scrub', 1)")
    clean, files = _sweep(store)
    store.backup()
    held = [(cell, value.casefold()) for cell, value in store.table().cells.items()]
    remains = tuple(cell for cell, value in held if any(text in value for text in eraser.texts))
    return Erased(len(ops), facts, files, clean, remains)


def wipe(store: FactStore, *, names: bool = True) -> None:
    """Erase everything, the log too; the file is then as new, with the names of user and assistant kept or not.

    The numbers of the turns that it came from stay, so that they are not learnt again.
    """
    heard = json.dumps(sorted(store.heard()))
    with store.write() as db:
        people = db.execute("SELECT relation, display_name FROM person WHERE live AND relation <> 'other' ORDER BY id")
        kept = dict(people.fetchall()) if names else DEFAULT_NAMES
        for table in ("fact", "alias", "field", "person", "op", "session"):
            db.execute(f"DELETE FROM {table}")
        db.execute("INSERT INTO fact_fts(fact_fts) VALUES ('rebuild')")
        db.execute("INSERT OR REPLACE INTO meta VALUES ('scrub', 1), ('heard', ?)", (heard,))
        db.execute("DELETE FROM meta WHERE key IN ('backed_up', 'epoch')")
        create(db, kept)
    _sweep(store)


def _sweep(store: FactStore) -> tuple[bool, int]:
    """Scrub the file and delete what stands beside it; returns whether it is clean, and how many files went."""
    files = store.companions()
    for file in files:
        file.unlink(missing_ok=True)
    return store.scrub(), len(files)


class _Eraser:
    """Rewrites log and facts as if some rows had never held a value.

    Attributes:
        texts: the erased values and names, casefolded.
    """

    def __init__(self, store: FactStore, draft: Draft, cells: set[Cell], turns: set[int]) -> None:
        self.store, self.draft, self.turns = store, draft, turns
        self.people = {person for person, field in cells if field == "name"}
        self.cells = {(person, number) for person, field in cells for number in self.store.same_fields(field)}
        self.state = load(draft.db)
        self.ops = _log(draft)
        self.texts: set[str] = set()
        for edit in (edit for op in self.ops for edit in op.edits):
            for row in (edit.old, edit.new):
                if row is not None and self._gone(edit.key, row):
                    self._note(edit.key, row)

    def _gone(self, key: Key, row: Row) -> bool:
        if key[0] == "cell":
            return key[1:] in self.cells or row["turn"] in self.turns
        if key[0] == "field":  # a column that others use keeps its name
            return row["turn"] in self.turns and key not in self.state
        return key[0] == "person" and (key[1] in self.people or row["turn"] in self.turns)

    def _note(self, key: Key, row: Row) -> None:
        found = [row["value"]] if key[0] == "cell" else [row["name"]]
        if key[0] == "person":
            found += row["aliases"] if key[1] in self.people else []
            found = [name for name in found if name != default_name(row["relation"], key[1])]
        self.texts.update(text.casefold() for text in found if text)

    def _clean(self, key: Key, row: Row | None) -> Row | None:
        """The row after the erasure."""
        if row is None or key[0] == "meta":
            return row
        gone = self._gone(key, row)
        if key[0] != "person":
            return None if gone else row
        row = {**row, "aliases": [alias for alias in row["aliases"] if alias.casefold() not in self.texts]}
        if not gone:
            return row
        return {**row, "name": default_name(row["relation"], key[1]), "source": None, "turn": None}

    def _mentions(self, *texts: str | None) -> bool:
        return any(text in where.casefold() for where in texts if where for text in self.texts)

    def rewrite_facts(self) -> int:
        """Delete facts, and empty the names of people and fields; returns the number of facts."""
        db = self.draft.db
        before = db.execute("SELECT count(*) FROM fact").fetchone()[0]
        db.executemany("DELETE FROM fact WHERE person_id = ? AND field_id = ?", list(self.cells))
        db.executemany("DELETE FROM fact WHERE turn_id = ?", [(turn,) for turn in self.turns])
        for number, turn in db.execute("SELECT id, turn_id FROM field WHERE NOT live").fetchall():
            if turn in self.turns:
                db.execute("UPDATE field SET name = 'erased_' || id, turn_id = NULL WHERE id = ?", (number,))
        sql = "SELECT id, relation, turn_id FROM person"
        for person, relation, turn in db.execute(sql).fetchall():
            if person in self.people or turn in self.turns:
                sql = "UPDATE person SET display_name = ?, name_source = NULL, turn_id = NULL WHERE id = ?"
                db.execute(sql, (default_name(relation, person), person))
        for person, alias in db.execute("SELECT person_id, alias FROM alias").fetchall():
            if alias.casefold() in self.texts:
                db.execute("DELETE FROM alias WHERE person_id = ? AND alias = ?", (person, alias))
        db.execute("INSERT INTO fact_fts(fact_fts) VALUES ('rebuild')")  # its segments keep what was deleted
        return int(before - db.execute("SELECT count(*) FROM fact").fetchone()[0])

    def rewrite_log(self) -> list[int]:
        """Empty what must go from the ops; returns their numbers."""
        changed = []
        for op in self.ops:
            edits = [
                Edit(edit.key, self._clean(edit.key, edit.old), self._clean(edit.key, edit.new)) for edit in op.edits
            ]
            left = [edit for edit in edits if edit.old != edit.new]
            declined = [decision for decision in op.declined if not self._touches(op, decision)]
            texts = self._mentions(op.raw, op.executed, op.error) or (op.turn in self.turns and op.raw + op.executed)
            if tuple(left) == op.edits and len(declined) == len(op.declined) and not texts:
                continue
            items = [
                {
                    "kind": d.kind,
                    "reason": d.reason,
                    "person": d.change.person,
                    "field": d.change.field,
                    "old": d.change.old,
                    "new": d.change.new,
                }
                for d in declined
            ]
            diff = as_json({"edits": dump(left), "declined": items, "turns": op.turns})
            sql = "UPDATE op SET raw_output = '', executed_sql = '', error = '', salt = '', erased = 1, diff_json = ?"
            self.draft.db.execute(f"{sql} WHERE id = ?", (diff, op.id))
            changed.append(op.id)
        return changed

    def _touches(self, op: Op, decision: Decision) -> bool:
        change = decision.change
        numbers = self.store.same_fields(change.field)
        here = any((change.person, number) in self.cells for number in numbers)
        named = change.field == "name" and change.person in self.people
        return here or named or op.turn in self.turns or self._mentions(change.old, change.new)
