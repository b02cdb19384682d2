"""P+: what a feature fires on in held-out text, at a phrase's length. Drawn uniformly, never the top ones."""

from __future__ import annotations

import numpy as np

from core.proposals.check import MAX_PHRASE
from core.proposals.corpus import Corpus
from core.proposals.proposal import Phrase
from core.store import FeatureActs

N_OWN = 40


def own_text(
    corpus: Corpus, acts: FeatureActs, feature: int, n_words: int, n: int = N_OWN, seed: int = 0
) -> list[Phrase]:
    """Up to ``n`` windows of held-out contexts in which the feature fires, one a context, contexts drawn uniformly.

    A window ends with the token of the strongest firing and its word, and holds ``n_words`` words, or what the context
    has before it: a causal model has then seen everything of the window when it comes to the peak. Fewer windows where
    fewer contexts fire; none where the feature fires in training text only.
    """
    peaks = corpus.held_out_peaks(acts)
    rng = np.random.default_rng([seed, feature, 3])
    phrases: list[Phrase] = []
    for row, pos in (peaks[i] for i in rng.permutation(len(peaks)).tolist()):
        if len(phrases) == n:
            break
        text = corpus.text_up_to(row, pos, n_words)[-MAX_PHRASE:]
        if text.strip():
            phrases.append(Phrase(text, 0, int(corpus.document[row])))
    return phrases
