"""The stages of making one run: contexts and vocabulary, fidelity check, shards, merge, statistics, manifest.

Each is either done and noted in ``work.json`` or done again. All are deterministic, so a run that was killed ends with
the same tables, byte for byte, as one that was not (on the same machine with the same packages).
"""

from __future__ import annotations

import ctypes
import dataclasses
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from core import annotation, parquet
from core.analyses.base import Progress
from core.analyses.feature_statistics import Directions, compute_feature_tables
from core.annotation import load_annotation, save_annotation
from core.engine import fidelity, models, saes, work
from core.engine.choices import chosen_features, context_size, shard_contexts
from core.engine.corpus import require_windowing, write_contexts
from core.engine.device import choose_device
from core.engine.documents import open_documents
from core.engine.encode import Encoder, padded, stored_acts
from core.engine.manifest import write_manifest
from core.engine.shards import Shard, Shards, merge, write_near_misses
from core.engine.tokens import special_ids, vocabulary_table
from core.engine.work import SHARDS, Work
from core.errors import InputError
from core.maths.near_misses import NearMisses
from core.recipe import Recipe
from core.run_folder import MANIFEST
from core.store import Run, Store
from core.tables import CONTEXTS, VOCABULARY
from core.types import Fidelity


class Job:
    """One attempt at making a run. ``recipe`` is as written, ``here`` has its paths resolved."""

    def __init__(
        self, recipe: Recipe, here: Recipe, recipe_folder: Path, store: Store, state: Work, progress: Progress
    ) -> None:
        self.recipe, self.here, self.recipe_folder = recipe, here, recipe_folder
        self.store, self.work, self.progress = store, state, progress
        self.folder = state.folder
        self.shards = Shards(self.folder / SHARDS, recipe.encode.store_dtype)
        self.device = choose_device(recipe.encode.device)

    def make(self) -> None:
        """All stages that are not done yet, up to the manifest."""
        (self.folder / MANIFEST).unlink(missing_ok=True)  # an earlier attempt's, whose tables did not verify
        if self.here.corpus.annotation:
            known = load_annotation(Path(self.here.corpus.annotation))
            save_annotation(self.folder / annotation.FOLDER, known)
        self._require_same_inputs()
        if not (self.work.has_file(CONTEXTS.name) and self.work.has_file(VOCABULARY.name)):
            self._make_contexts()
        if "fidelity" not in self.work.values:
            self._check_fidelity()
        fidelity.require_fidelity(Fidelity(**self.work.values["fidelity"]), self.recipe.fidelity.stop)
        near_misses = self._make_shards()
        self._forget("model", "encoder")  # what follows needs the memory more
        self._merge(near_misses)
        self._compute_statistics()
        write_manifest(self.work, self.recipe, self.recipe_folder, self.store, self.device, self._shard_seconds())

    def forget_if_worthless(self) -> None:
        """After a mistake of the user's: keep the folder only for shards that a later attempt may go on with."""
        if not self.shards.any_there():
            shutil.rmtree(self.folder, ignore_errors=True)

    # --- what is loaded, when it is first needed --------------------------------------------------------

    @cached_property
    def sae(self) -> saes.LoadedSAE:
        with self._timed("load", "load the SAE"):
            return saes.load_sae(self.here.sae, self.device)

    @cached_property
    def model(self) -> models.LoadedModel:
        with self._timed("load", "load the model"):
            return models.load_model(self.here.model, self.sae.info, self.device)

    @cached_property
    def features(self) -> np.ndarray:
        return chosen_features(self.recipe, self.sae.info.d_sae)

    @cached_property
    def encoder(self) -> Encoder:
        wanted = None if len(self.features) == self.sae.info.d_sae else self.features
        return Encoder(
            self.model,
            self.sae.columns(wanted),
            len(self.features),
            self.run.special_ids,
            self.recipe.encode.batch_tokens,
            self.device,
        )

    @cached_property
    def run(self) -> Run:
        """The partial folder, read as a run once its contexts are written."""
        return Run(self.folder)

    # --- stages -----------------------------------------------------------------------------------------

    def _require_same_inputs(self) -> None:
        """The weights behind the recipe's names must be those that the work was begun with."""
        known = self.work.values
        if "sae" not in known:
            self.features  # noqa: B018 (a feature the SAE does not have is refused before the model is loaded)
            self.work.note(sae=dataclasses.asdict(self.sae.info), model=self._model_facts())
            return
        lines = [
            f"the weights of the {part} have changed"
            for part, loaded in (("sae", self.sae), ("model", None if self._encoded else self.model))
            if loaded is not None and known[part]["weights_sha256"] != loaded.info.weights_sha256
        ]
        if lines:
            raise work.refusal(self.recipe.name, "there is unfinished work of this name from other weights", lines)

    def _make_contexts(self) -> None:
        size = context_size(self.recipe, self.sae.info, self.model.info.n_ctx)
        models.require_context_size(self.model.info, size)
        tokenizer, bos = self.model.tokenizer, self.sae.info.prepend_bos
        windowing = require_windowing(tokenizer, size, bos, special_ids(tokenizer))
        with self._timed("contexts", "read the corpus"):
            documents = open_documents(self.here.corpus)
            path = self.folder / f"{CONTEXTS.name}.parquet"
            counts = write_contexts(path, documents, self.recipe.corpus, windowing, self.progress)
            parquet.write_table(self.folder / f"{VOCABULARY.name}.parquet", vocabulary_table(tokenizer), VOCABULARY)
        files = {name: parquet.sha256(self.folder / f"{name}.parquet") for name in (CONTEXTS.name, VOCABULARY.name)}
        corpus = dataclasses.asdict(counts) | {
            "name": documents.name,
            "n_documents": len(documents),
            "sha256": documents.sha256,
            "revision": documents.revision,
            "context_size": size,
            "prepend_bos": bos,
            "bos_id": windowing.bos_id,
        }
        if self.work.values.get("files", files) != files:
            self._start_again()
        self.work.note(files=files, corpus=corpus)

    def _start_again(self) -> None:
        """Contexts that had to be made again came out differently: what was encoded from the old ones is void."""
        self.progress.note("the corpus has changed since this work was begun: encoding starts again")
        shutil.rmtree(self.shards.folder)
        self.shards = Shards(self.folder / SHARDS, self.recipe.encode.store_dtype)
        self.work.values.pop("fidelity", None)
        self.work.values.pop("shard_contexts", None)
        self._forget("run")

    def _check_fidelity(self) -> None:
        n = min(self.recipe.fidelity.n_contexts, self._n_contexts)
        windows = self.run.contexts(np.arange(n))
        contexts, starts = list(windows["token_ids"]), windows["start"].to_numpy()
        lengths = np.array([len(c) for c in contexts])
        bos_id, special = self.work.values["corpus"]["bos_id"], self.run.special_ids
        with self._timed("fidelity", "check that model and SAE fit"):
            found = fidelity.check_fidelity(
                self.model, self.sae, padded(contexts), lengths, special, bos_id, self.device, starts
            )
        corpus, share = self.work.values["corpus"], len(self.features) / self.sae.info.d_sae
        size = shard_contexts(found.l0 * share, corpus["n_tokens"] / corpus["n_contexts"])
        self.work.note(fidelity=work.plain(dataclasses.asdict(found)), shard_contexts=size)
        give_memory_back()

    def _make_shards(self) -> NearMisses:
        """Encode what is not there yet; returns the near misses of all contexts."""
        missing = {i for i, (first, n) in enumerate(self._ranges) if not self.shards.good(i, first, n)}
        n_left = sum(self._ranges[i][1] for i in missing)
        tokens_each = self.work.values["corpus"]["n_tokens"] / self._n_contexts
        if missing and len(missing) < len(self._ranges):
            done = len(self._ranges) - len(missing)
            self.progress.note(f"resuming: {done} of {len(self._ranges)} parts of the encoding are done")
        self.progress.stage("encode", round(n_left * tokens_each), "tokens")
        state = NearMisses.empty(len(self.features))
        for i, (first, n) in enumerate(self._ranges):
            if i in missing:
                self._make_shard(i, first, n, state)
            else:
                self.shards.offer_misses(i, state)
        return state

    def _make_shard(self, i: int, first: int, n: int, state: NearMisses) -> None:
        started = time.monotonic()
        try:
            found = self.encoder.encode(self._tokens(first, n), first, state, self.progress.advance)
            acts = stored_acts(found.act, self.recipe.encode.store_dtype)
        except InputError:
            shutil.rmtree(self.shards.folder)  # this recipe cannot be finished, so its shards are of no use
            raise
        column, _, pre, context, pos = state.rows(first)
        seconds = round(time.monotonic() - started, 3)
        self.shards.write(
            i, Shard(first, n, seconds, found.ptr, found.context, found.pos, acts, column, pre, context, pos)
        )

    def _merge(self, near_misses: NearMisses) -> None:
        n_firings = sum(self.shards.note(i)["arrays"]["act"][1] for i in range(len(self._ranges)))
        self.progress.stage("sort activations", n_firings, "activations")
        with self._timed("merge"):
            for n in merge(self.shards, len(self._ranges), self.features, self.folder):
                self.progress.advance(n)
            write_near_misses(near_misses, self.features, self.folder)
        self.work.note(n_firings=n_firings, n_features=len(self.features))

    def _compute_statistics(self) -> None:
        directions = Directions(*self.sae.directions(self.features))
        self._forget("sae")
        self.progress.stage("statistics of features", 1.0, "")
        done = 0.0

        def report(share: float) -> None:
            nonlocal done
            self.progress.advance(share - done)
            done = share

        with self._timed("statistics"):
            tables = compute_feature_tables(self.run, directions, self.run.special_ids, self.recipe.corpus.seed, report)
            for spec, table in tables.items():
                parquet.write_table(self.folder / f"{spec.name}.parquet", table, spec)

    # --- shared by the stages ---------------------------------------------------------------------------

    @property
    def _n_contexts(self) -> int:
        return self.work.values["corpus"]["n_contexts"]

    @property
    def _ranges(self) -> list[tuple[int, int]]:
        """First context and number of contexts of every shard."""
        n, size = self._n_contexts, self.work.values["shard_contexts"]
        return [(first, min(size, n - first)) for first in range(0, n, size)]

    @property
    def _encoded(self) -> bool:
        """Whether every shard is noted, so that the model is not needed any more (unless one proves damaged)."""
        return "shard_contexts" in self.work.values and self.work.n_shards_noted() == len(self._ranges)

    def _model_facts(self) -> dict[str, Any]:
        """The model as loaded, under the name the recipe gives it: a run folder names no machine's paths."""
        return dataclasses.asdict(self.model.info) | {"name": self.recipe.model.name}

    def _shard_seconds(self) -> float:
        return sum(self.shards.note(i)["seconds"] for i in range(len(self._ranges)))

    def _tokens(self, first: int, n: int) -> list[np.ndarray]:
        return list(self.run.contexts(np.arange(first, first + n))["token_ids"])

    def _forget(self, *loaded: str) -> None:
        """Drop what was loaded; it is loaded again should it be needed."""
        for name in loaded:
            self.__dict__.pop(name, None)
        give_memory_back()

    @contextmanager
    def _timed(self, stage: str, announced: str | None = None) -> Iterator[None]:
        """Add the time to the stage's, over all attempts; ``announced`` begins a stage of unknown length."""
        if announced:
            self.progress.stage(announced)
        started = time.monotonic()
        yield
        self.work.spent(stage, time.monotonic() - started)


def give_memory_back() -> None:
    """Return freed memory to the system where the C library keeps it (glibc); elsewhere this does nothing."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)
