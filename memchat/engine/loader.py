"""From a model's name to a model in memory, with every mistake on the way told in one line with a remedy.

The starter, a folder, a hub model and a random shape all come out as the same ``Loaded``; the weights are frozen.
"""

from __future__ import annotations

import hashlib
import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.filesize import decimal as size_text

from memchat.config import EngineSettings
from memchat.engine import device as devices
from memchat.engine import hub, shapes
from memchat.engine.quiet import Progress, offline, reporting, silence
from memchat.engine.spec import ModelSpec
from memchat.engine.weights import read_config, read_weights
from memchat.errors import MemchatError, UsageError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

log = logging.getLogger(__name__)

_HEADROOM = 256 * 2**20
"""Bytes left free beside the weights: activations, a short KV cache, the libraries."""


@dataclass
class Loaded:
    """A model ready for use."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    spec: ModelSpec
    device: torch.device
    dtype: torch.dtype
    """Of the activations; quantised weights are smaller."""
    context_length: int
    """Tokens the model was made for."""
    weight_bytes: int
    """Parameters and buffers as they are in memory, tied ones once."""
    parameters: int
    weight_hash: str
    """``full:``, ``sampled:`` (see ``Weights.hash``) or ``random:`` and the shape's name."""
    tokenizer_hash: str
    random_weights: bool = False
    """True: the replies mean nothing."""


def load(spec: ModelSpec, settings: EngineSettings, progress: Progress | None = None) -> Loaded:
    """Load a model; a hub model that is not here yet is downloaded first.

    Raises:
        MemchatError: anything wrong with the model, the download, the device or the memory.
        UsageError: a setting that does not exist.
    """
    report: Progress = progress or (lambda task, done, total: None)
    device = devices.choose_device(settings)
    _check_quantize(settings, device)
    silence()
    devices.use_threads(settings.threads)
    report("loading", 0, 0)
    if spec.kind == "shape":
        return _load_shape(spec, settings, device)
    folder = spec.path or hub.local_path(spec.id)
    if folder is None:
        folder = hub.download(spec.id, lambda done, total: report("downloading", done, total))
    elif spec.kind == "starter" and not (folder / "config.json").is_file():
        raise MemchatError(
            "the starter model is not here", "Train it with 'memchat train base', or choose another with --model."
        )
    with offline():
        return _load_folder(spec, folder, settings, device, report)


def _check_quantize(settings: EngineSettings, device: torch.device) -> None:
    if settings.quantize not in ("none", "8bit", "4bit"):
        raise UsageError(f"unknown quantisation {settings.quantize!r}", "Choose none, 8bit or 4bit.")
    if settings.quantize == "none":
        return
    if device.type != "cuda":
        raise MemchatError(
            f"{settings.quantize} weights need a CUDA GPU, and the model would run on {device.type}",
            "Use --set engine.quantize=none.",
        )
    from importlib.util import find_spec

    if find_spec("bitsandbytes") is None:
        raise MemchatError(f"{settings.quantize} weights need bitsandbytes", "Run 'pip install bitsandbytes'.")


def _load_shape(spec: ModelSpec, settings: EngineSettings, device: torch.device) -> Loaded:
    if settings.quantize != "none":
        raise MemchatError("random shapes are not quantised", "Use --set engine.quantize=none.")
    config = shapes.shape_config(spec.id.removeprefix("shape:"))
    dtype = devices.choose_dtype(device, settings, config.model_type)
    _check_memory(spec, shapes.parameters(config) * dtype.itemsize, device)
    model = shapes.random_model(config, device, dtype)
    return _finish(model, shapes.byte_tokenizer(), spec, device, dtype, f"random:{spec.id[6:]}")


def _load_folder(
    spec: ModelSpec, folder: Path, settings: EngineSettings, device: torch.device, report: Progress
) -> Loaded:
    raw = read_config(folder)
    weights = read_weights(folder)
    config = _config(spec, folder, raw)
    dtype = devices.choose_dtype(device, settings, config.model_type)
    _check_memory(spec, _weight_bytes(weights.parameters, raw, dtype, settings.quantize), device)
    tokenizer = _tokenizer(spec, folder)
    model = _model(spec, folder, config, settings, device, dtype, report)
    _check_tokenizer(spec, tokenizer, model)
    return _finish(model, tokenizer, spec, device, dtype, weights.hash())


def _finish(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    spec: ModelSpec,
    device: torch.device,
    dtype: torch.dtype,
    weight_hash: str,
) -> Loaded:
    model.eval().requires_grad_(False)
    text_config = model.config.get_text_config()
    return Loaded(
        model=model,
        tokenizer=tokenizer,
        spec=spec,
        device=device,
        dtype=dtype,
        context_length=int(getattr(text_config, "max_position_embeddings", None) or 2048),
        weight_bytes=model.get_memory_footprint(),
        parameters=model.num_parameters(),
        weight_hash=weight_hash,
        tokenizer_hash=_tokenizer_hash(tokenizer),
        random_weights=spec.kind == "shape",
    )


def _config(spec: ModelSpec, folder: Path, raw: dict[str, Any]) -> PreTrainedConfig:
    """The configuration, if it is one of a causal language model that transformers has the code for."""
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    model_type = raw.get("model_type")
    if not model_type:
        raise MemchatError(f"the config.json of {spec.id} names no model_type", "Give a transformers folder.")
    if model_type not in CONFIG_MAPPING:
        raise MemchatError(
            f"{spec.id} is of type {model_type!r}, which the installed transformers does not know",
            "Update with 'pip install -U transformers', or choose another model.",
        )
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
    except Exception as error:
        raise MemchatError(f"the config.json of {spec.id} is damaged: {_first_line(error)}", "Get it again.") from error
    mapping: Any = AutoModelForCausalLM._model_mapping
    causal = mapping.get(type(config), None)
    names = raw.get("architectures") or []
    if causal is None or config.is_encoder_decoder or (names and causal.__name__ not in names):
        what = names[0] if names else model_type
        raise MemchatError(f"{spec.id} is no chat model ({what})", "Choose a causal language model.")
    return config


def _model(
    spec: ModelSpec,
    folder: Path,
    config: PreTrainedConfig,
    settings: EngineSettings,
    device: torch.device,
    dtype: torch.dtype,
    report: Progress,
) -> PreTrainedModel:
    """The model with every parameter from the file; attention is SDPA where the architecture allows it."""
    import torch
    from transformers import AutoModelForCausalLM

    options: dict[str, Any] = {"dtype": dtype, "local_files_only": True, "use_safetensors": True}
    if device.type != "cpu":
        options["device_map"] = {"": device}
    if settings.quantize != "none":
        options["quantization_config"] = _quantization(settings.quantize, dtype)
    try:
        with reporting(report):
            answer: Any = AutoModelForCausalLM.from_pretrained(
                folder, config=config, output_loading_info=True, ignore_mismatched_sizes=True, **options
            )
    except torch.OutOfMemoryError as error:
        raise MemchatError(f"{spec.id} does not fit into the memory of {device}", _SMALLER) from error
    except (OSError, RuntimeError, ValueError) as error:
        log.exception("loading %s failed", spec.id)
        raise MemchatError(f"{spec.id} cannot be loaded: {_first_line(error)}", "See the log.") from error
    model, info = answer
    _check_complete(spec, info, config.get_text_config().num_hidden_layers)
    return model


def _check_complete(spec: ModelSpec, info: dict[str, Any], layers: int) -> None:
    """Refuse a model of which some parameters did not come from the file, or whose file has more layers."""
    for problem in ("missing_keys", "mismatched_keys"):
        if names := sorted(str(name[0] if isinstance(name, tuple) else name) for name in info[problem]):
            what = "lacks" if problem == "missing_keys" else "has the wrong size for"
            raise MemchatError(
                f"the checkpoint of {spec.id} is incomplete or not for its config.json: it {what} {names[0]}"
                + (f" and {len(names) - 1} more" if len(names) > 1 else ""),
                "Get the model again.",
            )
    numbers = [re.match(r"model\.layers\.(\d+)\..*weight$", name) for name in info["unexpected_keys"]]
    if any(number and int(number[1]) >= layers for number in numbers):
        raise MemchatError(
            f"the config.json of {spec.id} is not the checkpoint's: it has {layers} layers and the file more",
            "Get the model again.",
        )
    if info["unexpected_keys"]:
        log.warning("%s: %d tensors of the checkpoint are not used", spec.id, len(info["unexpected_keys"]))


_SMALLER = "Choose a smaller model ('memchat models recommend'), or on CUDA --set engine.quantize=4bit."


def _quantization(kind: str, dtype: torch.dtype) -> Any:
    from transformers import BitsAndBytesConfig

    if kind == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype
    )


def _weight_bytes(parameters: int, raw: dict[str, Any], dtype: torch.dtype, quantize: str) -> int:
    """Bytes that the weights will take. Quantisation leaves embedding and head (and scales) as they are."""
    if quantize == "none":
        return parameters * dtype.itemsize
    kept = min(parameters, 2 * int(raw.get("vocab_size") or 0) * int(raw.get("hidden_size") or 0))
    return kept * dtype.itemsize + int((parameters - kept) * (0.6 if quantize == "4bit" else 1.1))


def _check_memory(spec: ModelSpec, needed: int, device: torch.device) -> None:
    free = devices.free_memory(device)
    if needed + _HEADROOM > free:
        raise MemchatError(
            f"{spec.id} needs {size_text(needed + _HEADROOM)} of memory on {device}, and {size_text(free)} are free",
            _SMALLER,
        )


def _tokenizer(spec: ModelSpec, folder: Path) -> PreTrainedTokenizerBase:
    from transformers import AutoTokenizer

    names = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt")
    if not any((folder / name).is_file() for name in names):
        raise MemchatError(f"{spec.id} has no tokenizer", "Copy the model's tokenizer.json into its folder.")
    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # the Rust side raises bare Exception, the Python side whatever it stumbles over
        log.exception("the tokenizer of %s cannot be loaded", spec.id)
        raise MemchatError(f"the tokenizer of {spec.id} is damaged", "Get the model again.") from error


def _check_tokenizer(spec: ModelSpec, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel) -> None:
    """Refuse a tokenizer that makes ids the embedding has no row for.

    Some models (Gemma 3 1B) list a special token beyond their rows that no text ever produces; that is fine.
    """
    embedding: Any = model.get_input_embeddings()
    rows = embedding.weight.shape[0]
    extra = set(tokenizer.get_added_vocab())
    beyond = [token for token, id in tokenizer.get_vocab().items() if id >= rows and token not in extra]
    used = [tokenizer.bos_token_id, tokenizer.eos_token_id, *tokenizer("Hello")["input_ids"]]
    if tokenizer.chat_template:
        try:
            used += tokenizer.apply_chat_template([{"role": "user", "content": "Hello"}], return_dict=False)
        except Exception:  # a template with wishes of its own is the business of whoever renders it
            log.debug("the template of %s does not take a lone user message", spec.id, exc_info=True)
    if beyond or any(id is not None and id >= rows for id in used):
        raise MemchatError(
            f"the tokenizer of {spec.id} does not belong to it: it has {len(tokenizer)} tokens"
            f" and the model knows {rows}",
            "Put the model's own tokenizer into its folder.",
        )


def _tokenizer_hash(tokenizer: PreTrainedTokenizerBase) -> str:
    """A hash of the vocabulary: equal ids mean equal text."""
    digest = hashlib.sha256()
    for token, id in sorted(tokenizer.get_vocab().items(), key=lambda pair: pair[1]):
        digest.update(f"{id}\0{token}\0".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()[:32]


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:200].rstrip(".") if lines else type(error).__name__
