"""The facts of a fork: a copy of the original's, with what its own turns taught and what was done by hand.

A fork has turns of its own, with new numbers, so everything that names a turn is renumbered, and the log is chained
anew. What other turns taught stays in the log under their old numbers, which no turn of the fork has: what was dropped
is then still known to be, when a later drop replays the log. No agent has to read the conversation again.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from memchat.memory.sql.edits import as_json
from memchat.memory.sql.erase import drop_turns
from memchat.memory.sql.facts import FactStore
from memchat.memory.sql.oplog import COLUMNS, content_hash, link


def copy_branch(source: FactStore, path: Path, turns: Mapping[int, int]) -> None:
    """Write the facts that a fork begins with to the new file `path`.

    Args:
        turns: number of each turn of the fork in the original -> its number in the fork. What any other turn taught
            does not hold there.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    shutil.copyfile(source.backup(), part)
    part.chmod(0o600)
    with FactStore(part) as facts:
        if elsewhere := facts.heard() - turns.keys():
            drop_turns(facts, elsewhere)
        _renumber(facts, turns)
        for companion in facts.companions():  # made on the way, with the old numbers; closing makes a new one
            companion.unlink()
    part.replace(path)


def _renumber(facts: FactStore, turns: Mapping[int, int]) -> None:
    with facts.write() as db:
        for table in ("fact", "person", "field"):
            db.executemany(
                f"UPDATE {table} SET turn_id = ? WHERE turn_id = ?", [(new, old) for old, new in turns.items()]
            )
        heard = db.execute("SELECT value FROM meta WHERE key = 'heard'").fetchone()
        if heard:
            left = sorted(turns[turn] for turn in json.loads(heard[0]) if turn in turns)
            db.execute("UPDATE meta SET value = ? WHERE key = 'heard'", (json.dumps(left),))
        _renumber_log(db, turns)
        db.execute("DELETE FROM meta WHERE key = 'backed_up'")


def _renumber_log(db: Any, turns: Mapping[int, int]) -> None:
    names = COLUMNS.split(", ")
    before = ""
    rows = db.execute(f"SELECT {COLUMNS} FROM op ORDER BY id").fetchall()
    db.execute("UPDATE op SET once = NULL")  # no two alike, not even for a moment
    for values in rows:
        row = dict(zip(names, values, strict=True))
        if row["once"]:
            turn, _, rest = row["once"].partition("/")
            row["once"] = f"{turns[int(turn)]}/{rest}" if int(turn) in turns else None
        row["turn_id"] = turns.get(row["turn_id"], row["turn_id"])
        row["diff_json"] = as_json(_mapped(json.loads(row["diff_json"]), turns))
        if not row["erased"]:  # of an erased one the hash is all that is left
            row["content_hash"] = content_hash(list(row.values()))
        row["prev_hash"], row["hash"] = before, link(before, row["content_hash"])
        before = row["hash"]
        changes = ", ".join(f"{name} = ?" for name in names)
        db.execute(f"UPDATE op SET {changes} WHERE id = ?", (*row.values(), row["id"]))


def _mapped(value: Any, turns: Mapping[int, int]) -> Any:
    """JSON with every turn in it renumbered."""
    if isinstance(value, list):
        return [_mapped(item, turns) for item in value]
    if not isinstance(value, dict):
        return value
    found = {key: _mapped(item, turns) for key, item in value.items()}
    if "turn" in found:
        found["turn"] = turns.get(found["turn"], found["turn"])
    if "turns" in found:
        found["turns"] = sorted(turns.get(turn, turn) for turn in found["turns"])
    return found
