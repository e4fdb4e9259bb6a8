"""A language model as judge: does a reply mean the right answer? An extra column beside the deterministic metrics.

The judge reads the predictions of a run and nothing else, greedily, with the same examples before every question
(`assets/prompts/judge.toml`). How far it can be trusted is measured each time on forty replies that were judged by
hand (`assets/probes/judge.toml`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memchat.config import GenerationSettings
from memchat.data.accuracy import wilson
from memchat.evals.transcripts import Row, read_lines
from memchat.memory.base import Message
from memchat.shelf import texts

CORRECT, WRONG, AMBIGUOUS = "correct", "wrong", "ambiguous"
NEW_TOKENS = 96
_WORDS = re.compile(r"\b(CORRECT|WRONG)\b")

Report = Callable[[int, int], None]
"""Gets: verdicts wanted, verdicts given."""


@dataclass(frozen=True)
class Judge:
    """A model that judges, leniently or strictly."""

    engine: Any
    strict: bool = False

    @property
    def name(self) -> str:
        """What its verdicts are filed under."""
        model = re.sub(r"[^\w.]+", "-", str(self.engine.info["id"])).strip("-.")
        return f"{model}-{'strict' if self.strict else 'lenient'}"

    def verdict(self, question: str, answers: Sequence[str], reply: str) -> tuple[str, str]:
        """(correct, wrong or ambiguous, what the judge said)."""
        form = texts("judge", "prompts")["judge"]
        asked = [
            message
            for example in form["example"]
            for message in (
                Message("user", _ask(example["question"], example["answer"], example["reply"])),
                Message("assistant", example["verdict"]),
            )
        ]
        asked.append(Message("user", _ask(question, " or ".join(answers) or form["never_told"], reply)))
        system = f"{form['system']} {form['strict' if self.strict else 'lenient']}"
        generation = GenerationSettings(max_new_tokens=NEW_TOKENS)
        pieces = self.engine.generate(self.engine.render(asked, system), generation)
        said = "".join(piece for piece in pieces if isinstance(piece, str)).strip()
        return parse(said), said


def _ask(question: str, answer: str, reply: str) -> str:
    form: str = texts("judge", "prompts")["judge"]["ask"]
    return form.format(question=question, answer=answer, reply=reply).strip()


def parse(said: str) -> str:
    """The verdict in a judge's words: exactly one of the two in capitals, or as the last word where none is.

    Both, or neither, is no verdict.
    """
    found = set(_WORDS.findall(said))
    if not found:
        words = re.findall(r"\w+", said)
        found = {words[-1].upper()} & {"CORRECT", "WRONG"} if words else set()
    return found.pop().lower() if len(found) == 1 else AMBIGUOUS


def judge_run(judge: Judge, folder: Path, probes: Sequence[Row], report: Report = lambda total, done: None) -> Row:
    """Judge every prediction that this judge has not judged, and itself; returns the summary.

    The verdicts go to ``judge-<judge>.jsonl`` as they come, so that a stopped run goes on with the rest.
    """
    path = folder / f"judge-{judge.name}.jsonl"
    verdicts = read_lines(path)
    known = {(row["memory"], row["conversation"], row["probe"]) for row in verdicts}
    with path.open("a", encoding="utf-8") as file:
        for probe in probes:
            key = {name: probe[name] for name in ("memory", "conversation", "probe")}
            if tuple(key.values()) in known:
                continue
            verdict, said = judge.verdict(probe["question"], probe["answers"], probe["reply"])
            verdicts.append({**key, "verdict": verdict, "said": said})
            file.write(json.dumps(verdicts[-1], ensure_ascii=False) + "\n")
            file.flush()
            report(len(probes), len(verdicts))
    return {"judge": judge.name, "prompt": texts("judge", "prompts")["version"], "self": check(judge),
            "rows": summary(verdicts)}  # fmt: skip


def summary(verdicts: Sequence[Row]) -> list[Row]:
    """For each memory: n, how many are correct with the interval, and how many had no verdict."""
    rows = []
    for memory in dict.fromkeys(row["memory"] for row in verdicts):
        found = [row["verdict"] for row in verdicts if row["memory"] == memory]
        hits = found.count(CORRECT)
        rows.append(
            {
                "memory": memory,
                "n": len(found),
                "correct": hits,
                "share": hits / len(found),
                "interval": list(wilson(hits, len(found))),
                "ambiguous": found.count(AMBIGUOUS),
            }
        )
    return rows


def check(judge: Judge) -> Row:
    """The judge on replies that were judged by hand: its accuracy and Cohen's kappa."""
    pairs = texts("judge", "probes")["pair"]
    given = [judge.verdict(p["question"], [p["answer"]], p["reply"])[0] for p in pairs]
    said, truth = [verdict == CORRECT for verdict in given], [bool(p["right"]) for p in pairs]
    hits = sum(a == b for a, b in zip(said, truth, strict=True))
    return {
        "n": len(pairs),
        "accuracy": hits / len(pairs),
        "interval": list(wilson(hits, len(pairs))),
        "kappa": kappa(said, truth),
        "ambiguous": given.count(AMBIGUOUS),
    }


def kappa(one: Sequence[bool], other: Sequence[bool]) -> float:
    """Cohen's kappa of two raters: agreement beyond chance; 0 where chance alone would agree on everything."""
    n = len(one)
    agree = sum(a == b for a, b in zip(one, other, strict=True)) / n
    p, q = sum(one) / n, sum(other) / n
    chance = p * q + (1 - p) * (1 - q)
    return (agree - chance) / (1 - chance) if chance < 1 else 0.0
