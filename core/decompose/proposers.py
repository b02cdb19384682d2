"""Who proposes parts and phrases: a language model, its ledger, the run's own text or a file, behind one protocol."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from core.llm.session import Session
from core.proposals import from_llm
from core.proposals.asking import Asking, Label
from core.proposals.corpus import Corpus
from core.proposals.from_corpus import GENERATOR, CorpusProposer
from core.proposals.proposal import NotProposed, Proposals

Advance = Callable[[float], None]


class Proposer(Protocol):
    """Proposals for labels. ``needs_label``: it starts from the label's text; ``own_text``: from the run's text."""

    needs_label: bool
    own_text: bool

    def propose(self, labels: Sequence[Label], sample: int, advance: Advance) -> Proposals:
        """A proposal, or why there is none, for every label; ``sample`` 1, 2 ... writes other phrases."""
        ...

    def n_steps(self, labels: Sequence[Label]) -> int:
        """How often ``advance`` will be told of progress, about."""
        ...

    def spent(self) -> str:
        """What was paid so far, for people; "" where nothing is paid."""
        ...

    def about(self) -> dict[str, Any]:
        """Who proposed, and what it took, for the manifest."""
        ...


class _Free:
    """What proposers that ask nobody say of their cost."""

    def n_steps(self, labels: Sequence[Label]) -> int:
        return len(labels)

    def spent(self) -> str:
        return ""


class FromModel:
    """A language model, or the ledger of what one said."""

    needs_label, own_text = True, False

    def __init__(self, session: Session, asking: Asking) -> None:
        self.session, self.asking = session, asking

    def propose(self, labels: Sequence[Label], sample: int, advance: Advance) -> Proposals:
        return from_llm.propose(labels, self.session, dataclasses.replace(self.asking, sample=sample), advance)

    def n_steps(self, labels: Sequence[Label]) -> int:
        return len(labels) * (self.asking.n_rounds + (self.asking.whole_calls if self.asking.n_whole else 0))

    def spent(self) -> str:
        spent = self.session.spent
        return f"{spent.n_calls} calls paid, {spent.cost_text}" if spent.n_calls else ""

    def about(self) -> dict[str, Any]:
        """What this session paid and what the whole ledger holds: tokens, money, retries, refusals, parse failures."""
        return {
            "generator": self.session.name,
            "prompts": list(self.asking.prompts),
            "asking": dataclasses.asdict(self.asking),
            "spent_now": dataclasses.asdict(self.session.spent),
            "ledger": dataclasses.asdict(self.session.ledger.totals()),
        }


class FromText(_Free):
    """Retrieval out of the run's own text: what is tested are the words it finds, not a label that the feature has."""

    needs_label, own_text = False, True

    def __init__(self, corpus: Corpus, asking: Asking) -> None:
        self.corpus, self.asking = corpus, asking

    def propose(self, labels: Sequence[Label], sample: int, advance: Advance) -> Proposals:
        """One proposal per feature, under its own words: a label that had no say in the phrases gets no verdict."""
        a = self.asking
        proposer = CorpusProposer(self.corpus, a.n_parts, a.n_phrases, a.n_whole, sample)
        return proposer.propose(list(dict.fromkeys(x.feature for x in labels)), advance)

    def about(self) -> dict[str, Any]:
        return {"generator": f"{GENERATOR}, seed {self.corpus.seed}", "prompts": []}


class FromFile(_Free):
    """Phrases that were uploaded; there is no second sample of them."""

    needs_label, own_text = True, False

    def __init__(self, proposals: Proposals, name: str) -> None:
        self.proposals, self.name = proposals, name

    @property
    def labels(self) -> tuple[Label, ...]:
        """The labels the file has phrases for."""
        known = {(p.feature, p.label): p.label_source for p in self.proposals.made}
        known |= {(p.feature, p.label): "upload" for p in self.proposals.failed}
        return tuple(Label(feature, label, source) for (feature, label), source in sorted(known.items()))

    def propose(self, labels: Sequence[Label], sample: int, advance: Advance) -> Proposals:
        advance(len(labels))
        if sample:
            return Proposals((), tuple(NotProposed(x.feature, x.label, "a file has no second sample") for x in labels))
        wanted = {(x.feature, x.label) for x in labels}
        made = tuple(p for p in self.proposals.made if (p.feature, p.label) in wanted)
        return Proposals(made, tuple(p for p in self.proposals.failed if (p.feature, p.label) in wanted))

    def about(self) -> dict[str, Any]:
        return {"generator": self.name, "prompts": []}
