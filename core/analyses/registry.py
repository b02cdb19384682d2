"""All analyses, in the order in which they are listed."""

from __future__ import annotations

from core.analyses import (
    conjecture,
    decomposition,
    feature_distances,
    pattern_svd,
    prototype_interpretability,
    truth,
)
from core.analyses.base import Analysis
from core.errors import NotFoundError, did_you_mean

ANALYSES: dict[str, Analysis] = {
    a.key: a
    for a in (
        truth.ANALYSIS,
        decomposition.ANALYSIS,
        pattern_svd.ANALYSIS,
        feature_distances.ANALYSIS,
        conjecture.ANALYSIS,
        prototype_interpretability.ANALYSIS,
    )
}


def analysis(key: str) -> Analysis:
    """The analysis of that key; NotFoundError with the nearest ones otherwise."""
    if key not in ANALYSES:
        raise NotFoundError(
            f"there is no analysis {key!r}",
            did_you_mean(key, ANALYSES) or f"analyses: {', '.join(ANALYSES) or 'none'}",
            "list them with `prism analyze --help`",
        )
    return ANALYSES[key]
