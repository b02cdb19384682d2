"""What one test is of: labels, phrases, controls, the run's text, and the identity that they make."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from core.analyses.activation_source import ActivationSource
from core.analyses.base import Progress
from core.analyses.decomposition import ANALYSIS, Params
from core.decompose.bank import MAX_UNKNOWN, Bank, shipped_bank, text_bank, unknown_share
from core.decompose.own_text import own_text
from core.decompose.proposers import Proposer
from core.proposals.asking import Label
from core.proposals.corpus import Corpus
from core.proposals.proposal import Phrase, Proposals
from core.results import identity_of
from core.store import Run


class Work:
    """One test while it is made; what is needed more than once is made when first asked for."""

    def __init__(
        self,
        run: Run,
        labels: tuple[Label, ...],
        proposer: Proposer,
        source: ActivationSource,
        params: Params,
        progress: Progress,
    ) -> None:
        self.run, self.labels, self.params = run, labels, params
        self.proposer, self.source, self.progress = proposer, source, progress

    @cached_property
    def corpus(self) -> Corpus:
        corpus = getattr(self.proposer, "corpus", None)
        return corpus if isinstance(corpus, Corpus) else Corpus(self.run, self.params.seed)

    @cached_property
    def proposals(self) -> Proposals:
        return self._propose(self.labels, 0)

    @cached_property
    def again(self) -> Proposals:
        """A second sample for ``n_retest`` of the labels that have a first one."""
        n, made = self.params.n_retest, self.proposals.made
        if not n or not made:
            return Proposals(())
        chosen = np.random.default_rng([self.params.seed, 6]).permutation(len(made))[:n]
        of = {(x.feature, x.label): x for x in self.labels}
        named = [made[i] for i in sorted(chosen.tolist())]
        return self._propose([of.get((p.feature, p.label)) or Label(p.feature, "", "") for p in named], 1)

    def _propose(self, labels: Sequence[Label], sample: int) -> Proposals:
        """Ask the proposer; what it costs is said every tenth of the way."""
        total = max(1, self.proposer.n_steps(labels))
        self.progress.stage("propose phrases" + (", second sample" if sample else ""), total, "steps")
        done = 0.0

        def advance(n: float) -> None:
            nonlocal done
            before, done = done, done + n
            self.progress.advance(n)
            if int(10 * before / total) < int(10 * done / total) and self.proposer.spent():
                self.progress.note(self.proposer.spent())

        return self.proposer.propose(labels, sample, advance)

    @cached_property
    def density(self) -> dict[int, float]:
        frame = self.run.features()[["feature", "density"]]
        return {int(f): float(d) for f, d in zip(frame["feature"], frame["density"], strict=True)}

    @cached_property
    def bank(self) -> Bank:
        """The controls that are like these phrases in everything but their meaning."""
        name = self.params.bank
        if name == "auto" and self.proposer.own_text:
            name = "text"
        bank = shipped_bank()
        if name == "auto":
            unknown = unknown_share(self.source, bank, self.labels[0].feature)
            name = "text" if unknown > MAX_UNKNOWN else "shipped"
            if name == "text":
                self.progress.note(f"{unknown:.0%} of the shipped controls' words are unknown to this model: "
                                   "controls are cut from the run's own text")  # fmt: skip
        n = self.params.n_groups
        return bank.some(n, self.params.seed) if name == "shipped" else text_bank(self.corpus, n, self.params.seed)

    def own(self, feature: int, n_words: int) -> tuple[Phrase, ...]:
        """Held-out text that the feature fires on, drawn uniformly, cut to ``n_words``."""
        p = self.params
        return tuple(own_text(self.corpus, self.run.acts(feature), feature, n_words, p.n_own, p.seed))

    def fires(self, feature: int) -> bool:
        """Whether the feature fires at all in the run's text."""
        return self.density.get(feature, 0.0) > 0

    def identity(self) -> dict[str, Any]:
        """Everything that could change a number."""
        proposals = (*self.proposals.made, *self.again.made)
        failed = [dataclasses.asdict(f) for f in self.proposals.failed]
        inputs = {
            "labels": _digest([dataclasses.asdict(x) for x in self.labels]),
            "phrases": _digest([[p.as_dict() for p in proposals], failed]),
            "control bank": self.bank.sha256,
            "source": _digest({k: v for k, v in self.source.about.items() if k not in ("device", "packages")}),
        }
        return identity_of(self.run, ANALYSIS, self.params, inputs)


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
