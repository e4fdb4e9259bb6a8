"""The short evaluation at the end of a recipe: does the model, asked greedily, say the value it was told?"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

import torch
from torch import nn

from memchat.data.accuracy import right, wilson
from memchat.data.world import dialogue
from memchat.data.world.pen import Asked
from trainers.tokenizer import encode_lines

__all__ = ["Question", "measure", "questions", "replies", "right", "wilson"]


@dataclass
class Question:
    """Something asked in a chat, with the tokens of everything before its answer."""

    asked: Asked
    ids: list[int]
    text: str


def questions(tokenizer: Any, split: str, n: int, sizes: tuple[int, int], seed: int = 0) -> list[Question]:
    """`n` questions from fresh chats of `split`; each stands alone behind the telling part of its chat."""
    found: list[Question] = []
    number = 0
    while len(found) < n:
        rng = Random(f"recall {split} {seed} {number}")
        chat = dialogue(split, rng, rng.randint(*sizes))
        number += 1
        past = [(line.role, line.text) for line in chat.lines[: chat.ask_from]]
        for asked in chat.asked:
            if asked.turn < chat.ask_from:
                continue
            parts = encode_lines(tokenizer, [*past, ("user", asked.question)])
            ids = [tokenizer.bos_token_id, *(i for part, _ in parts for i in part)]
            ids.append(tokenizer.convert_tokens_to_ids("<|assistant|>"))
            text = "\n".join(f"{role}: {said}" for role, said in [*past, ("user", asked.question)])
            found.append(Question(asked, ids, text))
    return found[:n]


@torch.no_grad()
def replies(model: nn.Module, tokenizer: Any, prompts: list[list[int]], new: int = 40, rows: int = 32) -> list[str]:
    """Greedy continuations of `prompts`, batched by length, up to `new` tokens each."""
    device = next(model.parameters()).device
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    said = [""] * len(prompts)
    for start in range(0, len(order), rows):
        part = order[start : start + rows]
        longest = max(len(prompts[i]) for i in part)
        ids = torch.full((len(part), longest), tokenizer.pad_token_id)
        mask = torch.zeros_like(ids)
        for row, i in enumerate(part):
            ids[row, longest - len(prompts[i]) :] = torch.tensor(prompts[i])
            mask[row, longest - len(prompts[i]) :] = 1
        out = model.generate(  # type: ignore[operator]
            input_ids=ids.to(device), attention_mask=mask.to(device), max_new_tokens=new, do_sample=False,
            pad_token_id=tokenizer.pad_token_id, eos_token_id=tokenizer.eos_token_id,
        )  # fmt: skip
        for row, i in enumerate(part):
            said[i] = tokenizer.decode(out[row, longest:], skip_special_tokens=True)
    return said


def measure(model: nn.Module, tokenizer: Any, put: list[Question]) -> dict[str, Any]:
    """Accuracy over all and by kind, each with n and Wilson interval; and the transcripts."""
    answers = replies(model, tokenizer, [question.ids for question in put])
    kinds: dict[str, list[bool]] = {}
    transcripts = []
    for question, reply in zip(put, answers, strict=True):
        hit = right(reply, question.asked)
        for kind in ("all", question.asked.kind):
            kinds.setdefault(kind, []).append(hit)
        transcripts.append({"chat": question.text, "reply": reply, "answers": question.asked.answers,
                            "kind": question.asked.kind, "right": hit})  # fmt: skip
    scores = {
        kind: {"n": len(hits), "accuracy": sum(hits) / len(hits), "interval": wilson(sum(hits), len(hits))}
        for kind, hits in sorted(kinds.items())
    }
    return {"scores": scores, "transcripts": transcripts}
