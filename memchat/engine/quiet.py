"""Keep the libraries below us off the screen and off the network.

What they would print goes to logging, and their progress bars become calls: a line printed by a library would land
in the middle of the interface.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Progress = Callable[[str, float, float], None]
"""Called with a task (``downloading`` in bytes, ``loading`` in tensors), what is done, and the total."""


def silence() -> None:
    """Keep transformers and huggingface_hub off the screen: what they say goes to logging, bars are not drawn."""
    import huggingface_hub.utils
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_default_handler()
    transformers_logging.enable_propagation()
    transformers_logging.disable_progress_bar()
    huggingface_hub.utils.disable_progress_bars()
    logging.captureWarnings(True)
    for name in ("transformers", "huggingface_hub"):
        # With a handler of its own, Python's last resort does not print to stderr.
        logger = logging.getLogger(name)
        if not any(isinstance(handler, logging.NullHandler) for handler in logger.handlers):
            logger.addHandler(logging.NullHandler())
        for handler in logger.handlers[:]:
            if type(handler) is logging.StreamHandler:
                logger.removeHandler(handler)
        logger.propagate = True


@contextmanager
def offline() -> Iterator[None]:
    """While entered, huggingface_hub refuses to touch the network: what is here is here."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


@contextmanager
def reporting(report: Progress) -> Iterator[None]:
    """Turn transformers' bar for reading weights into progress reports."""
    from transformers.utils.logging import set_tqdm_hook

    class Bar:
        def __init__(self, iterable: Any = None, total: int | None = None, **_: Any) -> None:
            known = len(iterable) if hasattr(iterable, "__len__") else 0
            self.iterable, self.total, self.n = iterable, total or known, 0

        def __iter__(self) -> Iterator[Any]:
            for item in self.iterable:
                yield item
                self.update(1)

        def update(self, n: int = 1) -> None:
            self.n += n
            report("loading", self.n, self.total)

        def __enter__(self) -> Bar:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def __getattr__(self, _: str) -> Callable[..., None]:
            return lambda *args, **kwargs: None

    before = set_tqdm_hook(lambda factory, args, kwargs: Bar(*args, **kwargs))
    try:
        yield
    finally:
        set_tqdm_hook(before)
