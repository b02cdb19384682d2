"""Planted truth in a few rows: by kind of concept, by outcome, by feature. What the command line and the page say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from core.maths.matching_outcomes import FOUND_F1

OUTCOMES = ("found", "split", "merged", "absorbed", "not found")
LEVELS = ("token", "span")


def summarise(tables: Mapping[str, pd.DataFrame]) -> dict[str, list[dict[str, Any]]]:
    """All summaries of a result as rows; numbers that are not there are None."""
    frames = {
        "best single feature: median F1 and share of concepts with F1 >= 0.8, beside their null": by_kind(
            tables["truth"]
        ),
        "what became of the concepts; null: found, split, merged or absorbed by chance": by_outcome(tables["concepts"]),
        "what the features stand for": by_match(tables["feature_truth"]),
    }
    return {
        title: frame.astype(object).where(frame.notna(), None).to_dict("records") for title, frame in frames.items()
    }


def by_kind(truth: pd.DataFrame) -> pd.DataFrame:
    """One row per level and kind, over its concepts that are frequent enough to judge, best single feature.

    Columns: level, kind, n (concepts), f1 (median), share (of them with F1 >= .8), null and null_share (the same of
    the null), coverage (median share of the concept's tokens that are fired on; NaN at token level: recall).
    """
    rows = []
    for level in LEVELS:
        singles = truth[(truth["form"] == "single") & (truth["level"] == level)]
        for kind, scored in singles.groupby("kind", sort=True):
            rows.append(
                {
                    "level": level,
                    "kind": kind,
                    "n": len(scored),
                    "f1": scored["f1"].median(),
                    "share": float((scored["f1"] >= FOUND_F1).mean()),
                    "null": scored["f1_null"].median(),
                    "null_share": float((scored["f1_null"] >= FOUND_F1).mean()),
                    "coverage": scored["coverage"].median() if level == "span" else np.nan,
                }
            )
    columns = ["level", "kind", "n", "f1", "share", "null", "null_share", "coverage"]
    return pd.DataFrame(rows, columns=columns)


def by_outcome(concepts: pd.DataFrame) -> pd.DataFrame:
    """One row per kind: how many concepts of each outcome, how many too rare to judge ("rare"), and how many are found,
    split, merged or absorbed on moved firings ("null").
    """
    rows = []
    for kind, of_kind in concepts.groupby("kind", sort=True):
        seen = of_kind["outcome"].value_counts()
        row: dict[str, Any] = {"kind": kind} | {outcome: int(seen.get(outcome, 0)) for outcome in OUTCOMES}
        by_chance = of_kind["outcome_null"].dropna()
        too_rare = int(of_kind["outcome"].isna().sum())
        rows.append(row | {"rare": too_rare, "null": int((by_chance != "not found").sum())})
    return pd.DataFrame(rows)


def by_match(features: pd.DataFrame) -> pd.DataFrame:
    """Counts of features: matched with a concept, by chance, unmatched, firing in too few documents, never firing."""
    judged = features["concept"].notna()
    counts = {
        "matched": int(features["matched"].sum()),
        "matched by chance": int(features["matched_null"].sum()),
        "unmatched": int((judged & ~features["matched"]).sum()),
        "too rare to judge": int((~judged & (features["n_documents"] > 0)).sum()),
        "silent in the scored half": int((features["n_documents"] == 0).sum()),
    }
    return pd.DataFrame([{"features": name, "n": n} for name, n in counts.items()])
