"""``ActivationSource``: what a decomposition test needs of a model and its SAE, as plain values.

``core.engine.activation_source`` is the run's own model and SAE, ``core.formats.neuronpedia_source`` a service; one
contract suite runs against both and against the fake that tests use.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np


@dataclass(frozen=True)
class Stimulus:
    """One text to be measured. ``features`` are those whose act at every token is kept.

    ``needed`` are those whose largest act is wanted; None: all of them.
    """

    text: str
    features: tuple[int, ...] = ()
    needed: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Measured:
    """Acts on texts, in their order: post-nonlinearity, >= 0; special tokens are never scored and not listed.

    ``max_act`` float32 ``[n_texts, n_features]``: the largest act over a text's tokens. NaN: not measured, because it
    was not needed or because the text has no token; ``problems`` says why for the latter. ``str_tokens[i]`` is empty
    where no act of text ``i`` was kept. ``acts[i, feature]`` float32 ``[n_tokens]``.
    """

    max_act: np.ndarray
    str_tokens: tuple[tuple[str, ...], ...]
    acts: dict[tuple[int, int], np.ndarray]
    problems: dict[int, str] = field(default_factory=dict)


class ActivationSource(Protocol):
    """Something that tells acts of features on texts. Equal texts have equal acts, whatever they are measured with."""

    @property
    def about(self) -> dict[str, Any]:
        """Everything that could change an act, for manifests: no machine paths."""
        ...

    def measure(
        self, stimuli: Sequence[Stimulus], features: Sequence[int], advance: Callable[[float], None] = lambda n: None
    ) -> Measured:
        """The acts of ``features`` (different, columns of ``max_act``) on every text. ``advance(n)``: n are done."""
        ...

    def bos_acts(self, features: Sequence[int]) -> np.ndarray | None:
        """The acts at BOS, float32 ``[n_features]``; NaN where not known. None: no text starts with BOS here.

        A causal model sees nothing before it, so that it is one number per feature, whatever the text.
        """
        ...
