"""Streaming text: whole characters, honest spaces, stop strings that never show."""

from __future__ import annotations

import pytest

from memchat.engine.stream import TextStream
from tests.tiny import byte_tokenizer

TEXT = "naïve 🦊🇸🇪 日本語 — done"


def pieces(text: str, stop: tuple[str, ...] = ()) -> list[str]:
    stream = TextStream(byte_tokenizer(), stop)
    out = [stream.push(i) for i in byte_tokenizer()(text, add_special_tokens=False)["input_ids"]]
    return [p for p in [*out, stream.finish()] if p]


def test_bytes_become_whole_characters() -> None:
    got = pieces(TEXT)
    assert "".join(got) == TEXT
    assert all("�" not in p for p in got) and "🦊" in got


def test_an_incomplete_character_at_the_end_is_dropped() -> None:
    ids = byte_tokenizer()("ab🦊", add_special_tokens=False)["input_ids"][:-1]
    stream = TextStream(byte_tokenizer())
    assert "".join([stream.push(i) for i in ids] + [stream.finish()]) == "ab"


@pytest.mark.parametrize("stop", ["STOP", "\nUser:", "🦊"])
def test_stop_strings_are_never_shown_not_even_in_part(stop: str) -> None:
    assert "".join(pieces(f"before{stop}after", (stop,))) == "before"


def test_text_that_only_began_like_a_stop_string_is_released() -> None:
    assert "".join(pieces("a STO b ST", ("STOP",))) == "a STO b ST"


def test_the_first_of_several_stop_strings_counts() -> None:
    assert "".join(pieces("one<b>two<a>", ("<a>", "<b>"))) == "one"


def test_special_tokens_do_not_show() -> None:
    tokenizer = byte_tokenizer()
    stream = TextStream(tokenizer)
    ids = [*tokenizer("hi", add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
    assert "".join(stream.push(i) for i in ids) + stream.finish() == "hi"


def test_word_pieces_keep_their_spaces() -> None:
    """A tokenizer whose first word has no space, as SentencePiece's: the stream equals the whole decoding."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocab = {"▁the": 0, "▁quick": 1, "ly": 2, "▁fox": 3, "<unk>": 4}
    inner = Tokenizer(models.BPE(vocab=vocab, merges=[], unk_token="<unk>"))
    inner.pre_tokenizer, inner.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner)
    stream = TextStream(tokenizer)
    assert "".join(stream.push(i) for i in [0, 1, 2, 3]) + stream.finish() == "the quickly fox"
