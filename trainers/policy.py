"""Policy gradients for language models: sample answers, score them, and make the better ones likelier.

Three trainers behind one loss: expert iteration (the answers that succeeded), REINFORCE with a leave-one-out baseline
(Kool et al. 2019; Ahmadian et al. 2024) and group-relative advantages (Shao et al. 2024, GRPO) with clipping. The
reference policy is the same model without its adapter.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

TRAINERS = ("expert", "loo", "group")


@dataclass(frozen=True)
class Samples:
    """Answers of the policy, R rows.

    Attributes:
        ids: (R, T), a prompt that is padded at the left and `prompt` wide, then the answer. attention: (R, T).
        mask: (R, T - prompt), 1 for the answer's tokens up to its first end token, that one included.
        truncated: where no end came.
    """

    ids: Tensor
    attention: Tensor
    prompt: int
    mask: Tensor
    texts: list[str]
    truncated: list[bool]


@torch.no_grad()
def sample(
    model: Any, tokenizer: Any, ids: Tensor, attention: Tensor, *, copies: int, new: int, temperature: float = 1.0
) -> Samples:
    """`copies` answers to each prompt, drawn from the policy as it is scored: no top-k, no top-p.

    Args:
        ids: (B, P) prompts, padded at the left. attention: (B, P).
        temperature: 0 is greedy.
    """
    was_training = model.training
    model.eval()
    ids, attention = ids.repeat_interleave(copies, 0), attention.repeat_interleave(copies, 0)
    draw = (
        {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0}
        if temperature
        else {"do_sample": False}
    )
    out = model.generate(
        input_ids=ids, attention_mask=attention, max_new_tokens=new, pad_token_id=tokenizer.pad_token_id, **draw
    )
    model.train(was_training)
    answer = out[:, ids.size(1) :]
    ends = answer == tokenizer.eos_token_id
    mask = (ends.cumsum(1) - ends.long() == 0).float()
    texts = tokenizer.batch_decode(answer, skip_special_tokens=True)
    whole = torch.cat([attention, mask.to(attention.dtype)], 1)
    return Samples(out, whole, ids.size(1), mask, [text.strip() for text in texts], (~ends.any(1)).tolist())


def log_probs(model: Any, samples: Samples) -> Tensor:
    """Log-probabilities (R, T - P) of the answers' tokens; nothing is computed for the prompts' logits."""
    length = samples.ids.size(1) - samples.prompt
    positions = (samples.attention.cumsum(1) - 1).clamp(min=0)
    out = model(
        input_ids=samples.ids, attention_mask=samples.attention, position_ids=positions, use_cache=False,
        logits_to_keep=length + 1,
    )  # fmt: skip
    logits = out.logits[:, :-1].float().log_softmax(-1)
    return logits.gather(-1, samples.ids[:, samples.prompt :, None]).squeeze(-1)


def advantages(rewards: Tensor, trainer: str) -> Tensor:
    """(B, G) rewards of G answers to each of B prompts -> their advantages.

    `loo`: the reward less the mean of the others; `group`: less the mean, over the spread, and 0 where all are equal;
    `expert`: 1 for every answer that is as good as the best of its group and has a reward above 0.5.
    """
    if trainer == "loo":
        rest = rewards.size(1) - 1
        return (rewards - (rewards.sum(1, keepdim=True) - rewards) / max(1, rest)) * float(rest > 0)
    if trainer == "group":
        spread = rewards.std(1, keepdim=True)
        return torch.where(spread < 1e-6, 0.0, (rewards - rewards.mean(1, keepdim=True)) / (spread + 1e-4))
    if trainer == "expert":
        best = rewards.max(1, keepdim=True).values
        return ((rewards >= best - 1e-6) & (rewards > 0.5)).float()
    raise ValueError(f"no trainer {trainer!r}")


def loss(
    now: Tensor, old: Tensor, reference: Tensor | None, advantage: Tensor, mask: Tensor, *, clip: float, beta: float
) -> tuple[Tensor, float]:
    """The loss over all answer tokens of the batch, and the mean KL to the reference.

    Args:
        now, old, reference: (R, T) log-probabilities under the policy, under the one that sampled, without the adapter.
        advantage: (R,). mask: (R, T). Token-normalised: dividing by answer would favour short ones.
        beta: weight of the KL estimate exp(d) - d - 1 with d = reference - now (Schulman 2020, k3).
    """
    ratio = (now - old).exp()
    gain = advantage[:, None]
    objective = torch.minimum(ratio * gain, ratio.clamp(1 - clip, 1 + clip) * gain)
    total = mask.sum().clamp(min=1)
    value = -(objective * mask).sum() / total
    if reference is None:
        return value, 0.0
    away = reference - now
    kl = ((away.exp() - away - 1) * mask).sum() / total
    return value + beta * kl, float(kl.detach())


@contextmanager
def bare(model: Any) -> Iterator[Any]:
    """The model without its adapter."""
    model.disable_adapters()
    try:
        yield model
    finally:
        model.enable_adapters()


def moved(samples: Samples, device: torch.device) -> Samples:
    """The samples on a device."""
    tensors = (samples.ids.to(device), samples.attention.to(device), samples.prompt, samples.mask.to(device))
    return Samples(*tensors, samples.texts, samples.truncated)
