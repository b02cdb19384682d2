"""A run's own model and SAE as ``PromptModel``: people's prompts through the very steps that encoded the run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch

from core.analyses.activation_source import Measured, Stimulus
from core.analyses.prompt_model import (
    Advance,
    Continuation,
    Decoded,
    Prompt,
    PromptActs,
    TokenActs,
    TokenEffect,
    TokenView,
    silent,
)
from core.engine.activation_source import ModelSource, RunParts, run_parts
from core.engine.log_probs import log_probs_of
from core.engine.prompt_acts import PromptRows, TokenRows
from core.engine.prompt_pass import Batch, PromptPass
from core.engine.prompt_tokens import PromptTokens
from core.engine.steering import (
    random_directions,
    require_values,
    require_writing,
    write_on,
    written_direction,
)
from core.engine.unembedding import Unembedding, Usual
from core.errors import InputError
from core.store import Run

Kind = Literal["unsteered", "steered", "random"]
N_PROBE = 8
"""Contexts of the run at which the usual norms are measured."""
N_RANDOM = 100
"""Random directions that a feature's promoted tokens are held against."""


def run_prompt_model(run: Run, device: str = "auto") -> RunPromptModel:
    """The model and SAE that a run was encoded with. Raises what ``run_parts`` raises."""
    n = int(run.manifest["corpus"]["n_contexts"])
    rows = run.contexts(np.unique(np.linspace(0, n - 1, N_PROBE).astype(np.int64)))
    return RunPromptModel(run_parts(run, device), [np.asarray(ids, np.int32) for ids in rows["token_ids"]])


class RunPromptModel:
    """A ``PromptModel`` and an ``ActivationSource`` over one loaded model and SAE.

    ``probe``: token ids of contexts that stand for usual text; none: what is usual is not measured.
    """

    def __init__(self, parts: RunParts, probe: Sequence[np.ndarray] = ()) -> None:
        self._parts, self._probe = parts, tuple(probe)
        self._tokens = PromptTokens(parts.windowing)
        self._pass = PromptPass(parts.model, parts.sae, parts.batch_tokens, parts.device)

    # --- as an ActivationSource ---------------------------------------------------------------------------

    @cached_property
    def _source(self) -> ModelSource:
        p = self._parts
        return ModelSource(p.model, p.sae, p.windowing, p.batch_tokens, p.device, p.name)

    @property
    def about(self) -> dict[str, Any]:
        """Model, SAE, windows, device and packages."""
        return self._source.about

    def measure(
        self, stimuli: Sequence[Stimulus], features: Sequence[int], advance: Callable[[float], None] = silent
    ) -> Measured:
        """See ``ActivationSource``."""
        return self._source.measure(stimuli, features, advance)

    def bos_acts(self, features: Sequence[int]) -> np.ndarray | None:
        """See ``ActivationSource``."""
        return self._source.bos_acts(features)

    # --- tokens and acts ----------------------------------------------------------------------------------

    @property
    def has_chat_template(self) -> bool:
        return self._tokens.has_chat_template

    def views(self, prompts: Sequence[Prompt]) -> tuple[TokenView, ...]:
        """See ``PromptModel``; a text ends at a million characters, as the run's documents do."""
        return self._tokens.views(prompts)

    def token_acts(self, prompts: Sequence[Prompt], features: Sequence[int], advance: Advance = silent) -> TokenActs:
        """See ``PromptModel``; a feature named twice is there once."""
        wanted = self._wanted(features)
        askers, batches = self._batches(prompts, wanted, advance)
        rows = TokenRows()
        for batch in batches:
            rows.add(batch)
        return rows.answer(wanted, askers)

    def prompt_acts(
        self, prompts: Sequence[Prompt], features: Sequence[int] | None = None, advance: Advance = silent
    ) -> PromptActs:
        """See ``PromptModel``; a feature named twice is there once."""
        wanted = None if features is None else self._wanted(features)
        n = self._parts.sae.info.d_sae if wanted is None else len(wanted)
        askers, batches = self._batches(prompts, wanted, advance)
        rows = PromptRows()
        for batch in batches:
            rows.add(batch, n)
        return rows.answer(wanted, askers)

    def _batches(
        self, prompts: Sequence[Prompt], features: np.ndarray | None, advance: Advance
    ) -> tuple[list[np.ndarray], Iterator[Batch]]:
        """Who asked for each different prompt that can be measured, and the firings of those, batch by batch."""
        views = self.views(prompts)
        askers = [np.array(a) for a in _equal(views) if not views[a[0]].problem]
        different = [views[int(a[0])] for a in askers]

        def batches() -> Iterator[Batch]:
            real = [np.flatnonzero(~v.is_special) for v in different]
            for batch in self._pass.batches([v.token_ids for v in different], real, features):
                yield batch
                advance(sum(len(askers[k]) for k in batch.prompts))
            if n := len(views) - sum(map(len, askers)):
                advance(n)

        return askers, batches()

    def _wanted(self, features: Sequence[int]) -> np.ndarray:
        """The features, ascending and each once. Raises InputError for none that the SAE has."""
        wanted, d_sae = np.unique(np.asarray(features, np.int64)), self._parts.sae.info.d_sae
        if len(wanted) and not 0 <= wanted[0] <= wanted[-1] < d_sae:
            wrong = wanted[0] if wanted[0] < 0 else wanted[-1]
            raise InputError(
                f"there is no feature {wrong}",
                f"this SAE has {d_sae:,} features, numbered 0 to {d_sae - 1}",
                "choose one of those",
            )
        return wanted

    # --- the model beyond the hook ------------------------------------------------------------------------

    def log_probs(self, prompts: Sequence[Prompt], advance: Advance = silent) -> tuple[np.ndarray, ...]:
        """See ``PromptModel``."""
        views = self.views(prompts)
        found = [np.full(len(view.token_ids), np.nan, np.float32) for view in views]
        askers = [a for a in _equal(views) if len(found[a[0]]) > 1]
        for k, logs in self._log_probs([views[a[0]].token_ids for a in askers]):
            for i in askers[k]:
                found[i][1:] = logs
            advance(len(askers[k]))
        if short := sum(len(v) <= 1 for v in found):
            advance(short)
        return tuple(found)

    def _log_probs(self, texts: Sequence[np.ndarray]) -> Iterator[tuple[int, np.ndarray]]:
        p = self._parts
        return log_probs_of(p.model, texts, p.batch_tokens, p.device)

    def decode(self, values: Mapping[int, float], n_tokens: int = 10, seed: int = 0) -> Decoded:
        """See ``PromptModel`` and ``core.engine.unembedding``. InputError for hooks that no logit can be read from."""
        unembedding, usual = self._unembedding, self._usual
        direction = self._direction(values)
        norm, scale = float(np.linalg.norm(direction)), usual.scale if usual else 1.0
        effects = unembedding.effects(direction[None], scale)[0]
        random = unembedding.largest(random_directions(norm, N_RANDOM, len(direction), seed), scale)
        order = np.argsort(-effects, kind="stable")
        n = int(np.clip(n_tokens, 0, len(order) // 2))
        return Decoded(
            norm=norm,
            resid_norm=usual.resid_norm if usual else None,
            promoted=self._named(order[:n], effects),
            suppressed=self._named(order[::-1][:n], effects),
            random_top=float(np.quantile(random, 0.95)),
            n_random=N_RANDOM,
        )

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
        """See ``PromptModel``. ``advance(1)`` per token written; texts end with EOS, so they may be shorter.

        Draws are shared: without a direction the same seed gives the unsteered text. A conversation is answered.
        """
        opening = self._opening(prompt)
        n_ctx = self._parts.model.info.n_ctx or len(opening) + n_tokens
        require_writing(strengths, n_tokens, temperature, n_ctx - len(opening))
        direction = self._direction(values)
        control = random_directions(float(np.linalg.norm(direction)), 1, len(direction), seed)[0]
        kinds: list[tuple[Kind, float, np.ndarray]] = [("unsteered", 0.0, direction)]
        for strength in map(float, strengths):
            kinds += [("steered", strength, direction), ("random", strength, control)]
        with np.errstate(over="ignore"):  # write_on says that values are not finite
            added = np.stack([strength * d for _, strength, d in kinds])
        p = self._parts
        texts = write_on(p.model, opening, added, n_tokens, temperature, seed, p.batch_tokens, advance)
        plain = dict(self._log_probs([np.concatenate([opening, text.token_ids]) for text in texts]))
        return tuple(
            Continuation(
                kind, s, t.token_ids, self._tokens.read(t.token_ids), t.log_probs, plain[i][-len(t.token_ids) :]
            )
            for i, ((kind, s, _), t) in enumerate(zip(kinds, texts, strict=True))
        )

    def _opening(self, prompt: Prompt) -> np.ndarray:
        view = self.views([prompt])[0]
        if view.problem:
            raise InputError("there is nothing to go on from", view.problem, "write a prompt")
        return self._tokens.opening(prompt)

    def _direction(self, values: Mapping[int, float]) -> np.ndarray:
        """What the SAE writes for these acts, float32 ``[d_in]``."""
        self._wanted(list(values))
        require_values(values)
        rows = None
        if self._parts.sae.info.normalize_activations != "none" and self._probe:
            ids = torch.from_numpy(np.asarray(self._probe[0], np.int64))[None]
            rows = self._parts.model.resid(ids)[0, 1:33].float()
        direction = written_direction(self._parts.sae, values, rows)
        if not np.isfinite(direction.astype(np.float64) @ direction) or not direction.any():
            raise InputError(
                "these features give no direction",
                "together they write nothing, or more than a float32 holds",
                "set them to values like their acts on text",
            )
        return direction

    @cached_property
    def _unembedding(self) -> Unembedding:
        return Unembedding(self._parts.model, len(self._tokens.readable))

    @cached_property
    def _usual(self) -> Usual | None:
        return self._unembedding.usual(self._probe, self._parts.windowing.special_ids) if self._probe else None

    def _named(self, ids: np.ndarray, effects: np.ndarray) -> tuple[TokenEffect, ...]:
        return tuple(
            TokenEffect(int(i), text, float(effects[i])) for i, text in zip(ids, self._tokens.read(ids), strict=True)
        )


def _equal(views: Sequence[TokenView]) -> list[list[int]]:
    """Numbers of the views, those with equal tokens together."""
    who: dict[bytes, list[int]] = {}
    for i, view in enumerate(views):
        who.setdefault(view.token_ids.tobytes(), []).append(i)
    return list(who.values())
