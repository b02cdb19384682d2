"""Where in texts a feature fires, and at which tokens."""

from __future__ import annotations

import numpy as np
import pandas as pd

from core.lab.testing import Measured

N_PLACES = 10
MAX_TOKENS = 2_000
"""Different tokens listed: those with most firings."""


def scored_tokens(measured: Measured, rows: np.ndarray, positive: np.ndarray, theta: float) -> pd.DataFrame:
    """One row a scored token of the texts ``rows``: kind and tenth of its text, its act (0: silent)."""
    offsets = np.cumsum([0, *(len(v.str_tokens) for v in measured.views)])
    acts = np.zeros(int(offsets[-1]), np.float32)
    acts[offsets[measured.acts.prompt] + measured.acts.pos] = measured.acts.act
    real = [np.flatnonzero(~measured.views[i].is_special) for i in rows]
    counts = np.array([len(r) for r in real])
    ordinal = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    act = acts[np.concatenate([offsets[i] + r for i, r in zip(rows, real, strict=True)])]
    tokens = [measured.views[i].str_tokens[k] for i, r in zip(rows, real, strict=True) for k in r.tolist()]
    return pd.DataFrame({
        "positive": np.repeat(positive, counts), "place": ordinal * N_PLACES // np.repeat(counts, counts),
        "str_token": np.array(tokens, dtype=object), "act": act, "fires": act > theta,
    })  # fmt: skip


def place_rows(tokens: pd.DataFrame) -> pd.DataFrame:
    """Rows of ``ACCOUNT_PLACES``: all ten stretches of both kinds, also empty ones."""
    cell = tokens["positive"].to_numpy(bool) * N_PLACES + tokens["place"].to_numpy(np.int64)
    fires = tokens["fires"].to_numpy(bool)
    return pd.DataFrame({
        "positive": np.repeat([False, True], N_PLACES), "decile": np.tile(np.arange(N_PLACES), 2),
        "n_tokens": np.bincount(cell, minlength=2 * N_PLACES),
        "n_firing": np.bincount(cell[fires], minlength=2 * N_PLACES),
    })  # fmt: skip


def token_rows(tokens: pd.DataFrame) -> pd.DataFrame:
    """Rows of ``ACCOUNT_TOKENS``: tokens with a firing, most firings first."""
    fired = tokens[tokens["str_token"].isin(tokens.loc[tokens["fires"], "str_token"].unique())]
    yes, fires = fired["positive"], fired["fires"]
    counted = fired.assign(
        n_firing_positive=(yes & fires), n_positive=yes, n_firing_negative=(~yes & fires), n_negative=~yes,
        max_act=fired["act"],
    )  # fmt: skip
    names = ["n_firing_positive", "n_positive", "n_firing_negative", "n_negative"]
    sums = dict.fromkeys(names, "sum") | {"max_act": "max"}
    found = counted.groupby("str_token", sort=True)[list(sums)].agg(sums).reset_index()
    order = np.lexsort((-found["max_act"], -(found["n_firing_positive"] + found["n_firing_negative"])))
    return found.iloc[order[:MAX_TOKENS]]
