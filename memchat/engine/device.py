"""Where the model runs and in which number format; what that place can hold and how fast it reads memory."""

from __future__ import annotations

import logging
import os
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from memchat.config import EngineSettings
from memchat.errors import MemchatError, UsageError

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)

DTYPES = ("auto", "float32", "bfloat16", "float16")
_CGROUP = Path("/sys/fs/cgroup")


def choose_device(settings: EngineSettings) -> torch.device:
    """The device of the settings, or for ``auto`` the best one: CUDA, then MPS, then the CPU.

    Raises:
        MemchatError: the device asked for is not there.
        UsageError: no such kind of device.
    """
    import torch

    wanted = settings.device
    if wanted == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", torch.cuda.current_device())
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    kind, _, number = wanted.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (number and not (kind == "cuda" and number.isdecimal())):
        raise UsageError(f"unknown device {wanted!r}", "Choose auto, cpu, cuda, cuda:1 or mps.")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise MemchatError("there is no Apple GPU here", "Use --set engine.device=auto.")
    if kind == "cuda":
        if not torch.cuda.is_available():
            built = torch.version.cuda or torch.version.hip
            why = "no GPU is visible" if built else "this PyTorch is built for CPUs only"
            raise MemchatError(f"CUDA was asked for, but {why}", "Use --set engine.device=auto.")
        if int(number or 0) >= torch.cuda.device_count():
            raise MemchatError(f"there is no device {wanted}", f"GPUs here: {torch.cuda.device_count()}.")
        return torch.device("cuda", int(number) if number else torch.cuda.current_device())
    return torch.device(kind)


def choose_dtype(device: torch.device, settings: EngineSettings, model_type: str = "") -> torch.dtype:
    """The dtype of the settings, or for ``auto`` bfloat16 where the device computes in it.

    Older GPUs get float16, except for Gemma, whose activations overflow in it; other CPUs get float32.

    Raises:
        UsageError: a dtype that memchat does not know.
    """
    import torch

    if settings.dtype not in DTYPES:
        raise UsageError(f"unknown dtype {settings.dtype!r}", f"Choose {', '.join(DTYPES)}.")
    if settings.dtype != "auto":
        chosen: torch.dtype = getattr(torch, settings.dtype)
        return chosen
    if device.type == "cpu":
        return torch.bfloat16 if cpu_has_bfloat16() else torch.float32
    if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.bfloat16
    return torch.float32 if model_type.startswith("gemma") else torch.float16


def cpu_has_bfloat16() -> bool:
    """Whether the CPU multiplies bfloat16 in hardware."""
    import torch

    features = torch.cpu.get_capabilities()
    return any(features.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def describe(device: torch.device) -> str:
    """The device for the eye: the GPU's or the CPU's name."""
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "cpu":
        try:
            lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
        except (OSError, StopIteration):
            import platform

            return platform.processor() or platform.machine()
    return "Apple GPU"


def total_memory(device: torch.device) -> int:
    """Bytes of memory that the device has."""
    import torch

    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[1]
    if device.type == "mps":
        return torch.mps.recommended_max_memory()
    import psutil

    return min(psutil.virtual_memory().total, _cgroup_number("memory.max") or 1 << 62)


def free_memory(device: torch.device) -> int:
    """Bytes that a model could take on the device now; a container's limit counts."""
    import torch

    if device.type == "cuda":
        # What PyTorch holds in its cache but does not use is free for us.
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + unused
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    import psutil

    free = psutil.virtual_memory().available
    limit, used = _cgroup_number("memory.max"), _cgroup_number("memory.current")
    return min(free, max(0, limit - used)) if limit and used else free


def use_threads(wanted: int = 0) -> int:
    """Set the CPU threads of this process and return their number.

    0 takes what ``OMP_NUM_THREADS`` says, or one for each physical core.
    """
    import torch

    if wanted or not os.environ.get("OMP_NUM_THREADS"):
        torch.set_num_threads(wanted or physical_cores())
    return torch.get_num_threads()


def physical_cores() -> int:
    """Physical cores that this process may use: affinity and a container's quota count."""
    import psutil

    cores = psutil.cpu_count(logical=False) or os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        cores = min(cores, len(os.sched_getaffinity(0)))
    try:
        quota, period = (_CGROUP / "cpu.max").read_text("ascii").split()
        cores = min(cores, -(-int(quota) // int(period)))
    except (OSError, ValueError):  # no cgroup, or "max": no quota
        pass
    return max(1, cores)


def memory_bandwidth(device: torch.device) -> float:
    """Bytes that the device reads from its memory per second, measured once per process in about 50 ms.

    The best of a plain sum and a copy (which reads and writes) over a buffer larger than the caches, with the
    threads that are set now: what decoding one token after the other can reach at most.
    """
    return _bandwidth(str(device))


@cache
def _bandwidth(name: str) -> float:
    import torch

    device = torch.device(name)
    count = 1 << (25 if device.type == "cpu" else 27)
    source = torch.ones(count, dtype=torch.float32, device=device)
    target = torch.empty_like(source)
    target.copy_(source)  # the first touch of the pages is not what we measure
    best = 0.0
    until = time.perf_counter() + 0.05
    while not best or time.perf_counter() < until:
        for work, read in ((source.sum, source.nbytes), (lambda: target.copy_(source), 2 * source.nbytes)):
            _wait(device)
            start = time.perf_counter()
            work()
            _wait(device)
            best = max(best, read / (time.perf_counter() - start))
    log.debug("memory bandwidth of %s: %.1f GB/s", name, best / 1e9)
    return best


def _wait(device: torch.device) -> None:
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def _cgroup_number(name: str) -> int | None:
    try:
        return int((_CGROUP / name).read_text("ascii"))
    except (OSError, ValueError):
        return None
