"""The starter's tokenizer: a small byte-level BPE, and the chat template that goes with it.

Three choices serve recall, which at this size means copying a name letter group by letter group:
every text part begins with a space (added when encoding, taken away when decoding), so a name has the same
tokens wherever it stands in a line; digits stand alone; the vocabulary is too small to swallow whole names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PAD, BEGIN, END = "<|pad|>", "<|begin|>", "<|end|>"
ROLES = ("system", "user", "assistant", "tool")
SPECIAL = (PAD, BEGIN, END, *(f"<|{role}|>" for role in ROLES))

Span = tuple[int, int]  # characters from, up to

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' + (message['content'] | trim) + eos_token }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def train_tokenizer(texts: Iterable[str], size: int, context: int) -> PreTrainedTokenizerFast:
    """A tokenizer with `size` entries learned from `texts`; round-trips any unicode text."""
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE())
    core.normalizer = normalizers.Prepend(" ")
    core.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(r" ?\p{L}+| ?\p{N}| ?[^\s\p{L}\p{N}]|\s"), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])  # fmt: skip
    core.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Strip(" ", 1, 0)])
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token=PAD, bos_token=BEGIN, eos_token=END, chat_template=CHAT_TEMPLATE,
        additional_special_tokens=list(SPECIAL[3:]), model_max_length=context, clean_up_tokenization_spaces=False,
        padding_side="left", model_input_names=["input_ids", "attention_mask"],
    )  # fmt: skip


def encode_lines(tokenizer: Any, lines: Iterable[tuple[str, str]]) -> Iterator[tuple[list[int], list[Span]]]:
    """Token ids of each (role, text) turn, exactly as the chat template renders it (without the begin token), and
    which characters of the text each token covers; the marks around the text cover none."""
    lines = list(lines)
    roles = {role: tokenizer.convert_tokens_to_ids(f"<|{role}|>") for role in ROLES}
    encoded = tokenizer.backend_tokenizer.encode_batch([text.strip() for _, text in lines], add_special_tokens=False)
    for (role, _), part in zip(lines, encoded, strict=True):
        yield [roles[role], *part.ids, tokenizer.eos_token_id], [(0, 0), *part.offsets, (0, 0)]
