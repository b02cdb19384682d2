"""Model libraries print, warn, log and draw bars on their own account; standard output is ours."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator

from transformers.utils import logging as transformers_logging

LOGGERS = ("", "transformers", "transformer_lens", "sae_lens", "huggingface_hub")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Drop prints, warnings and bars while a library loads something; exceptions pass.

    ``--json`` promises one object and nothing else on standard output, and TransformerLens prints there.
    """
    loggers = [logging.getLogger(name) for name in LOGGERS]
    levels = [logger.level for logger in loggers]
    bars = transformers_logging.is_progress_bar_enabled()
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        transformers_logging.disable_progress_bar()
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
            if bars:
                transformers_logging.enable_progress_bar()
