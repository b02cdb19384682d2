"""``PromptModel``: what the prompt lab needs of a model and its SAE, as plain values.

``core.engine.prompt_model`` is the run's own model and SAE; one contract suite runs against it and against the fake
that tests use. A prompt is any text or conversation; nothing of it is part of the run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

Advance = Callable[[float], None]


def silent(n: float) -> None:
    """Nobody watches."""


@dataclass(frozen=True)
class Turn:
    """One message of a conversation; ``role`` is what the tokenizer's chat template knows (user, assistant ...)."""

    role: str
    content: str


@dataclass(frozen=True)
class Prompt:
    """A text, or the turns of a conversation: these are spelt out by the tokenizer's chat template."""

    text: str = ""
    turns: tuple[Turn, ...] = ()


@dataclass(frozen=True)
class TokenView:
    """A prompt as the model sees it; every array is ``[n_positions]`` and ``pos`` counts from 0 at its first token.

    ``is_special``: BOS, EOS, PAD and control tokens, which are never scored. ``is_unknown``: stands for text that the
    vocabulary lacks, as UNK or as single bytes. ``n_cut``: tokens after the SAE's context, which were dropped.
    ``problem`` says why nothing can be measured, else "".
    """

    token_ids: np.ndarray  # int32
    str_tokens: tuple[str, ...]
    is_special: np.ndarray  # bool
    is_unknown: np.ndarray  # bool
    n_cut: int = 0
    problem: str = ""


@dataclass(frozen=True)
class TokenActs:
    """Every firing of chosen features: parallel arrays sorted by feature, prompt, pos; only act > 0 is there.

    ``prompt`` counts the prompts asked from 0; ``pos`` counts positions of their ``TokenView``.
    """

    feature: np.ndarray  # int32
    prompt: np.ndarray  # int32
    pos: np.ndarray  # int32
    act: np.ndarray  # float32


@dataclass(frozen=True)
class PromptActs:
    """What each feature does on each prompt as a whole: parallel arrays sorted by feature, prompt.

    A pair that is absent did not fire at all on that prompt (if the prompt has tokens: ``n_tokens`` of ``views``).
    ``mean_act`` is over all non-special tokens, ``last_act`` at the last of them, ``n_firing`` tokens with act > 0.
    """

    feature: np.ndarray  # int32
    prompt: np.ndarray  # int32
    max_act: np.ndarray  # float32
    mean_act: np.ndarray  # float32
    last_act: np.ndarray  # float32
    n_firing: np.ndarray  # int32


@dataclass(frozen=True)
class TokenEffect:
    """What a direction does to one token: ``logit`` is its change, in nats before the softmax."""

    token_id: int
    str_token: str
    logit: float


@dataclass(frozen=True)
class Decoded:
    """Features set by hand, in the residual stream and read through the unembedding.

    ``norm`` is that of the direction, ``resid_norm`` the usual one at this hook (median over ``PromptModel``'s probe
    text; None: not measured). ``random_top`` is the largest logit that random directions of the same norm reach,
    95th percentile of ``n_random``: what a ``promoted`` token has to exceed.
    """

    norm: float
    resid_norm: float | None
    promoted: tuple[TokenEffect, ...]
    suppressed: tuple[TokenEffect, ...]
    random_top: float
    n_random: int


@dataclass(frozen=True)
class Continuation:
    """What the model goes on with after a prompt. ``strength`` multiplies the direction (0: unsteered).

    ``log_probs`` are those of its tokens as it was written (steered), ``plain_log_probs`` what the model untouched
    gives the same tokens; nats, ``[n_tokens]`` float32.
    """

    kind: Literal["unsteered", "steered", "random"]
    strength: float
    token_ids: np.ndarray
    str_tokens: tuple[str, ...]
    log_probs: np.ndarray
    plain_log_probs: np.ndarray


class PromptModel(Protocol):
    """A model and its SAE for prompts of people. Equal prompts have equal acts, whatever they are measured with.

    Every method raises InputError for what a person can mend, MachineError for what the machine lacks.
    """

    @property
    def about(self) -> dict[str, Any]:
        """Everything that could change a number, for manifests: no machine paths."""
        ...

    @property
    def has_chat_template(self) -> bool:
        """Whether prompts may have turns."""
        ...

    def views(self, prompts: Sequence[Prompt]) -> tuple[TokenView, ...]:
        """The prompts' tokens, cut to the SAE's context."""
        ...

    def token_acts(self, prompts: Sequence[Prompt], features: Sequence[int], advance: Advance = silent) -> TokenActs:
        """Every firing of the features; ``advance(n)``: n prompts are done."""
        ...

    def prompt_acts(
        self, prompts: Sequence[Prompt], features: Sequence[int] | None = None, advance: Advance = silent
    ) -> PromptActs:
        """The features' (None: all features') acts on each prompt as a whole."""
        ...

    def log_probs(self, prompts: Sequence[Prompt], advance: Advance = silent) -> tuple[np.ndarray, ...]:
        """Per prompt float32 ``[n_positions]``: log p(token | all before it) in nats, NaN at the first position."""
        ...

    def decode(self, values: Mapping[int, float], n_tokens: int = 10, seed: int = 0) -> Decoded:
        """Sum of ``value * W_dec[feature]`` in the residual stream, and the tokens it promotes and suppresses."""
        ...

    def continuations(
        self,
        prompt: Prompt,
        values: Mapping[int, float],
        strengths: Sequence[float],
        n_tokens: int = 20,
        temperature: float = 0.0,
        seed: int = 0,
        advance: Advance = silent,
    ) -> tuple[Continuation, ...]:
        """The unsteered text, then per strength the steered one and one with a random direction of the same norm.

        The direction is added at the SAE's hook at every position but BOS.
        """
        ...
