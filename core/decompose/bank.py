"""Control phrases: groups of phrases that were written, or cut, for something else than the label tested.

``shipped`` is the bank written for no model. ``text`` is cut from the run's own held-out text: each group holds windows
around one word drawn at random, made as the retrieval proposer makes the phrases of a part, so that a feature that
answers to this text whatever it says is no more UP than on any other word. Which one is right depends on where the
phrases come from: controls must be like them in everything but the meaning.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from core.analyses.activation_source import ActivationSource, Stimulus
from core.llm.control_bank import control_bank
from core.proposals.corpus import Corpus
from core.proposals.from_corpus import CorpusProposer

BankName = Literal["shipped", "text"]
GROUP = 12  # phrases a group
RESERVE = 30  # windows cut for a group, so that twelve are left without those that name a label's parts
MAX_ROUNDS = 20  # over the words of a text
MAX_UNKNOWN = 0.2  # of a bank's tokens: beyond, it is no control for this model
UNKNOWN = ("<unk>", "[UNK]")  # what tokenizers write where they have no token


@dataclass(frozen=True)
class Group:
    """Control phrases that belong together; ``name`` says by what."""

    name: str
    phrases: tuple[str, ...]


@dataclass(frozen=True)
class Bank:
    """Groups of ``GROUP`` phrases, or more of which any may go. ``sha256`` is of all text: the bank's version."""

    name: BankName
    groups: tuple[Group, ...]

    @cached_property
    def phrases(self) -> tuple[str, ...]:
        """Of all groups, one after the other; rows of the bank's acts."""
        return tuple(p for g in self.groups for p in g.phrases)

    @cached_property
    def rows(self) -> tuple[range, ...]:
        """Each group's rows."""
        ends = np.cumsum([len(g.phrases) for g in self.groups]).tolist()
        return tuple(range(end - len(g.phrases), end) for g, end in zip(self.groups, ends, strict=True))

    def some(self, n: int, seed: int) -> Bank:
        """``n`` of the groups, drawn uniformly, in their order; all of them when there are no more."""
        chosen = np.sort(np.random.default_rng([seed, 8]).permutation(len(self.groups))[:n])
        return Bank(self.name, tuple(self.groups[i] for i in chosen.tolist()))

    @property
    def sha256(self) -> str:
        text = "\n".join(f"{g.name}\t{p}" for g in self.groups for p in g.phrases)
        return hashlib.sha256(text.encode()).hexdigest()


def shipped_bank() -> Bank:
    """The bank that ships."""
    return Bank("shipped", tuple(Group(g.name, g.phrases) for g in control_bank()))


def text_bank(corpus: Corpus, n_groups: int = 310, seed: int = 0) -> Bank:
    """Groups of windows around words of the held-out text, each word once; frequent words are drawn sooner.

    Where the text has too few words for that, words come again with other windows, and there may be fewer groups.
    """
    proposer = CorpusProposer(corpus, n_phrases=RESERVE)
    rng = np.random.default_rng([seed, 4])
    held = corpus.word[corpus.unit_held_out]
    count = np.bincount(held, minlength=len(corpus.words)).astype(float)
    # drawn without replacement, weighted by the square root: so rare words, as keywords are, have their share
    order = np.argsort(rng.exponential(size=len(count)) / np.sqrt(np.maximum(count, 1e-9)), kind="stable")
    words = order[: int((count > 0).sum())].tolist()
    groups: list[Group] = []
    for _ in range(MAX_ROUNDS):
        for word in words if len(groups) < n_groups else ():
            phrases = proposer.windows_around(word, rng)
            if len(phrases) >= GROUP and len(groups) < n_groups:
                groups.append(Group(str(corpus.words[word]), tuple(phrases)))
    return Bank("text", tuple(groups))


def share_unknown(str_tokens: Sequence[str]) -> float:
    """Share of a text's tokens that stand for what the tokenizer has no token for; 0 for a text without tokens."""
    return sum(t.strip() in UNKNOWN for t in str_tokens) / max(1, len(str_tokens))


def unknown_share(source: ActivationSource, bank: Bank, feature: int, n: int = 200) -> float:
    """Share of the bank's tokens that the model has no token for (``<unk>``), on ``n`` of its phrases."""
    some = bank.phrases[:: max(1, len(bank.phrases) // n)]
    read = source.measure([Stimulus(p, (feature,)) for p in some], [feature]).str_tokens
    return share_unknown([token for text in read for token in text])
