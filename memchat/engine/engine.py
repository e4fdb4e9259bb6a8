"""A loaded model that turns prompts into streamed text. It knows nothing of memories, sessions or screens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import torch

from memchat.config import EngineSettings, GenerationSettings
from memchat.engine import attention, device, stats
from memchat.engine.cache import KVCache
from memchat.engine.decode import Cancelled, decode, prefill
from memchat.engine.run import Outcome, Reach
from memchat.engine.sampling import Sampler
from memchat.engine.stream import TextStream
from memchat.engine.template import ChatMessage, RenderedPrompt, Template
from memchat.errors import MemchatError

if TYPE_CHECKING:
    from memchat.engine.loader import Loaded

Progress = Callable[[str, float, float], None]


class Engine:
    """One model, its tokenizer and its live KV cache.

    The cache of the last plain run is kept: the next prompt pays only for what differs from it.
    """

    def __init__(self, loaded: Loaded) -> None:
        self.loaded = loaded
        self.model = loaded.model
        self.tokenizer = loaded.tokenizer
        self.template = Template(loaded.tokenizer)
        self.context: int = loaded.context_length
        attention.install(self.model)
        self._stop_ids = _stop_ids(self.model, self.tokenizer)
        self._read_bytes = stats.read_bytes_per_token(self.model)
        self._live = KVCache()

    @classmethod
    def load(cls, model: str, settings: EngineSettings, progress: Progress | None = None) -> Engine:
        """Load what ``model`` names: starter, folder, hub id or ``shape:<name>``.

        Raises:
            MemchatError: the model does not exist, is damaged, or does not fit.
        """
        from memchat.engine.loader import load
        from memchat.engine.spec import resolve

        return cls(load(resolve(model), settings, progress))

    @property
    def info(self) -> dict[str, Any]:
        """The model as shown to the user; sizes in bytes, context in tokens."""
        loaded = self.loaded
        return {
            "id": loaded.spec.id,
            "source": loaded.spec.kind,
            "parameters": loaded.parameters,
            "device": device.describe(loaded.device),
            "dtype": str(loaded.dtype).removeprefix("torch."),
            "context": self.context,
            "weight_bytes": loaded.weight_bytes,
            "kv_bytes_per_token": kv_bytes_per_token(self.model.config, loaded.dtype),
            "random_weights": loaded.random_weights,
            "weight_hash": loaded.weight_hash,
            "tokenizer_hash": loaded.tokenizer_hash,
        }

    def render(self, messages: Sequence[ChatMessage], system: str = "") -> RenderedPrompt:
        """The exact prompt for the reply to the last of ``messages``."""
        return self.template.render(messages, system)

    def generate(
        self,
        prompt: RenderedPrompt,
        settings: GenerationSettings,
        reach: Reach | None = None,
        *,
        cancel: Callable[[], bool] = lambda: False,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> Iterator[str | Outcome]:
        """Pieces of text as they come, then one ``Outcome``.

        Raises:
            MemchatError: the prompt leaves no room for a reply.
        """
        reach = reach or Reach()
        room = self.context - len(prompt.ids)
        if room < 1:
            raise MemchatError(
                f"the message takes {len(prompt.ids)} tokens, and this model reads {self.context}",
                "Shorten it, or choose a model with a longer context.",
            )
        with ExitStack() as patches:
            for patch in reach.patches:
                patches.enter_context(patch)
            yield from self._run(prompt, settings, reach, min(room, settings.max_new_tokens), cancel, progress)

    def _run(
        self,
        prompt: RenderedPrompt,
        settings: GenerationSettings,
        reach: Reach,
        limit: int,
        cancel: Callable[[], bool],
        progress: Callable[[int, int], None],
    ) -> Iterator[str | Outcome]:
        cache, cached = self._cache_for(prompt.ids, reach)
        sampler = Sampler(settings, self.loaded.device, reach.allowed, reach.constraint)
        stream = TextStream(self.tokenizer, [*prompt.stop, *settings.stop])
        if self.loaded.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.loaded.device)
        clock, reason = stats.Clock(), "cancelled"
        try:
            logits = prefill(self.model, prompt.ids, cache, cancel=cancel, progress=progress)
            for token in decode(self.model, logits, cache, sampler, cancel=cancel):
                clock.tick()
                if token in self._stop_ids:
                    reason = "stop"
                    break
                if piece := stream.push(token):
                    yield piece
                if stream.stopped or clock.tokens >= limit:
                    reason = "stop" if stream.stopped else "length"
                    break
        except Cancelled:
            pass
        if rest := stream.finish():
            yield rest
        yield self._outcome(reason, prompt, cached, cache, clock, sampler)

    def _cache_for(self, ids: list[int], reach: Reach) -> tuple[KVCache, int]:
        """The cache to run in, and how many of ``ids`` it already holds."""
        if not reach.plain:
            return KVCache(reach.prefix), 0
        common = 0
        for ours, theirs in zip(self._live.tokens, ids[:-1], strict=False):
            if ours != theirs:
                break
            common += 1
        self._live.keep(common)
        return self._live, common

    def _outcome(
        self,
        reason: str,
        prompt: RenderedPrompt,
        cached: int,
        cache: KVCache,
        clock: stats.Clock,
        sampler: Sampler,
    ) -> Outcome:
        rate, share = clock.tokens_per_s, None
        if rate is not None:
            moved = rate * (self._read_bytes + cache.nbytes())
            share = moved / device.memory_bandwidth(self.loaded.device)
        return Outcome(
            reason=reason,
            prompt_tokens=len(prompt.ids),
            cached_tokens=cached,
            new_tokens=clock.tokens,
            ttft_ms=clock.ttft_ms,
            tokens_per_s=rate,
            kv_bytes=cache.nbytes(),
            peak_bytes=stats.peak_bytes(self.loaded.device),
            bandwidth_share=share,
            seed=sampler.seed,
        )

    def reset(self) -> None:
        """Forget the live cache: frees its memory, and the next prompt is read from its first token."""
        self._live = KVCache()


def kv_bytes_per_token(config: Any, dtype: torch.dtype) -> int:
    """Bytes of keys and values of one token over all layers."""
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    return int(2 * config.num_hidden_layers * heads * width * dtype.itemsize)


def _stop_ids(model: Any, tokenizer: Any) -> frozenset[int]:
    """End tokens by the tokenizer and by the generation config; they often differ (end of turn, end of text)."""
    ids: set[int] = set()
    for given in (tokenizer.eos_token_id, model.generation_config.eos_token_id, model.config.eos_token_id):
        if isinstance(given, int):
            ids.add(given)
        elif given is not None:
            ids.update(int(i) for i in given)
    return frozenset(ids)
