"""A run's own model and SAE as ``ActivationSource``: any texts against any features in one pass over the texts.

Texts are de-duplicated, tokenised as the run's contexts were, sorted by length and batched; each batch goes through
the model once, up to the hook, and through the wanted columns of the SAE.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from core.analyses.activation_source import Measured, Stimulus
from core.engine import models, saes, work
from core.engine.corpus import Windowing, require_windowing
from core.engine.device import choose_device
from core.engine.encode import CPU_BATCH_TOKENS, _batches, chunk_rows, padded
from core.engine.tokens import special_ids, str_tokens
from core.errors import InputError, MachineError
from core.recipe import located, stored_recipe
from core.store import Run


@dataclasses.dataclass(frozen=True)
class RunParts:
    """What a run was encoded with, loaded: ``batch_tokens`` and ``name`` as its recipe says, ``device`` as chosen."""

    model: models.LoadedModel
    sae: saes.LoadedSAE
    windowing: Windowing
    batch_tokens: int
    device: str
    name: str


def run_source(run: Run, device: str = "auto") -> ModelSource:
    """The model and SAE that a run was encoded with, as a source of acts. Raises what ``run_parts`` raises."""
    parts = run_parts(run, device)
    return ModelSource(parts.model, parts.sae, parts.windowing, parts.batch_tokens, parts.device, parts.name)


def run_parts(run: Run, device: str = "auto") -> RunParts:
    """The model and SAE that a run was encoded with, loaded from its recipe.

    Raises what loading raises, and InputError when the weights are no longer those of the run.
    """
    recipe = stored_recipe(run.manifest["recipe"])
    folder = (run.path / run.manifest["provenance"]["recipe_folder"]).resolve()
    here = located(recipe, folder)
    chosen = choose_device(device)
    sae = saes.load_sae(here.sae, chosen)
    model = models.load_model(here.model, sae.info, chosen)
    for part, info in (("sae", sae.info), ("model", model.info)):
        known = run.manifest[part].get("weights_sha256")
        if known and info.weights_sha256 != known:
            raise InputError(
                f"the weights of the {part} are not those that {run.name!r} was encoded with",
                "acts on new text would not be comparable with what is stored",
                f"bring the old files back, or encode anew: prism run {run.name} --replace",
            )
    size = int(run.manifest["corpus"]["context_size"])
    windowing = require_windowing(model.tokenizer, size, sae.info.prepend_bos, special_ids(model.tokenizer))
    return RunParts(model, sae, windowing, recipe.encode.batch_tokens, chosen, recipe.model.name)


class ModelSource:
    """An ``ActivationSource`` over a loaded model and SAE."""

    def __init__(
        self, model: Any, sae: Any, windowing: Windowing, batch_tokens: int = 4096, device: str = "cpu", name: str = ""
    ) -> None:
        self._model, self._sae, self._windowing, self._device = model, sae, windowing, device
        self._batch_tokens = min(batch_tokens, CPU_BATCH_TOKENS) if device == "cpu" else batch_tokens
        self._readable = np.array(str_tokens(windowing.tokenizer), dtype=object)
        self._special = np.array(sorted(windowing.special_ids), np.int64)
        self._name = name or model.info.name

    @property
    def about(self) -> dict[str, Any]:
        """Model, SAE, windows, device and packages."""
        model = dataclasses.asdict(self._model.info)
        return {
            "source": "the run's own model",
            "model": {k: v for k, v in model.items() if k != "device"} | {"name": self._name},
            "sae_sha256": self._sae.info.weights_sha256,
            "context_size": self._windowing.context_size,
            "prepend_bos": self._windowing.bos_id is not None,
            "device": self._device,
            "packages": work.packages(),
        }

    def measure(
        self, stimuli: Sequence[Stimulus], features: Sequence[int], advance: Callable[[float], None] = lambda n: None
    ) -> Measured:
        """See ``ActivationSource``. A text longer than a context is measured as far as it fits, and says so."""
        unique: dict[str, list[int]] = {}
        for i, stimulus in enumerate(stimuli):
            unique.setdefault(stimulus.text, []).append(i)
        texts = list(unique)
        ids, problems = self._tokenised(texts)
        column = {feature: c for c, feature in enumerate(features)}
        keep = [sorted({column[f] for i in unique[t] for f in stimuli[i].features}) for t in texts]
        most, kept = self._pass(ids, np.asarray(features, np.int64), keep, lambda k: advance(len(unique[texts[k]])))
        row = np.empty(len(stimuli), np.int64)
        for k, text in enumerate(texts):
            row[unique[text]] = k
        acts = {(i, f): kept[int(row[i]), column[f]] for i, s in enumerate(stimuli) for f in s.features}
        return Measured(
            max_act=most[row],
            str_tokens=tuple(self._read(ids[int(row[i])]) if s.features else () for i, s in enumerate(stimuli)),
            acts=acts,
            problems={i: problems[int(row[i])] for i in range(len(stimuli)) if int(row[i]) in problems},
        )

    def bos_acts(self, features: Sequence[int]) -> np.ndarray | None:
        """See ``ActivationSource``."""
        bos = self._windowing.bos_id
        if bos is None:
            return None
        sae = self._sae.columns(np.asarray(features, np.int64))
        return self._acts(sae, np.array([[bos]], np.int64), [np.zeros(1, np.int64)], 1, len(features))[0]

    def _tokenised(self, texts: list[str]) -> tuple[list[np.ndarray], dict[int, str]]:
        """Every text's first window, BOS included where the SAE wants it; why a text has none, or not all of it."""
        ids: list[np.ndarray] = []
        problems = {}
        for k, text in enumerate(texts):
            windows = [w for w in self._windowing.windows(text) if w[2]] if text.strip() else []
            ids.append(windows[0][1] if windows else np.zeros(0, np.int32))
            if not windows:
                problems[k] = "there is no token in it"
            elif len(windows) > 1:
                problems[k] = f"only its first {windows[0][2]} tokens fit into a context"
        return ids, problems

    def _pass(
        self,
        ids: list[np.ndarray],
        features: np.ndarray,
        keep: list[list[int]],
        done: Callable[[int], None],
    ) -> tuple[np.ndarray, dict[tuple[int, int], np.ndarray]]:
        """Largest acts ``[n_texts, n_features]`` and every token's act of the kept columns."""
        most = np.full((len(ids), len(features)), np.nan, np.float32)
        kept = {(k, c): np.zeros(0, np.float32) for k, columns in enumerate(keep) for c in columns}
        sae = self._sae.columns(features)
        size = chunk_rows(len(features) if self._sae.info.elementwise else self._sae.info.d_sae, self._device)
        there = np.array([k for k, tokens in enumerate(ids) if len(tokens)], np.int64)
        for batch in _batches([ids[k] for k in there], self._batch_tokens) if len(there) else ():
            numbers = there[batch]
            tokens = [ids[k] for k in numbers]
            real = [np.flatnonzero(~np.isin(t, self._special)) for t in tokens]
            acts = self._acts(sae, padded(tokens), real, size, len(features))
            ends = np.cumsum([len(r) for r in real])
            most[numbers] = np.maximum.reduceat(acts, ends - [len(r) for r in real], axis=0)
            for k, end, r in zip(numbers.tolist(), ends.tolist(), real, strict=True):
                kept |= {(k, c): acts[end - len(r) : end, c].copy() for c in keep[k]}
                done(k)
        for k in set(range(len(ids))) - set(there.tolist()):
            done(k)
        return most, kept

    @torch.inference_mode()
    def _acts(self, sae: Any, tokens: np.ndarray, real: list[np.ndarray], size: int, n: int) -> np.ndarray:
        """float32 ``[n_real, n]``: acts at the batch's real positions, text by text."""
        resid = self._model.resid(torch.from_numpy(tokens).to(self._device))
        places = np.concatenate([i * tokens.shape[1] + r for i, r in enumerate(real)])
        rows = resid.reshape(-1, resid.shape[-1]).index_select(0, torch.from_numpy(places).to(self._device))
        out = np.empty((len(places), n), np.float32)
        for start in range(0, len(places), size):
            acts, _ = sae.encode(rows[start : start + size])
            out[start : start + size] = acts.float().cpu().numpy()
        if not np.isfinite(out).all():
            raise MachineError(
                "the model gives values that are not finite",
                "it overflows in its dtype on these phrases",
                "encode the run in a wider one: --set model.dtype=float32",
            )
        return out

    def _read(self, ids: np.ndarray) -> tuple[str, ...]:
        return tuple(str(t) for t in self._readable[ids[~np.isin(ids, self._special)]])
