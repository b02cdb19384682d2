"""What a feature does on positive and negative texts, and the rates that follow, each beside its chance."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from core.lab.prompts import n_tokens, spelt
from core.lab.testing import Measured
from core.maths.hypothesis_rates import by_length, mean_interval, token_share
from core.maths.rates import clopper_pearson
from core.maths.sparse_auroc import auroc_interval


def text_rows(measured: Measured, rows: np.ndarray, positive: np.ndarray, theta: float) -> pd.DataFrame:
    """Rows of ``ACCOUNT_TEXTS``: negatives that fire, loudest first; silent positives, longest first; the others."""
    found = measured.matrix(theta)
    most, count = found.max_act[rows, 0], found.n_firing[rows, 0]
    fires, n = count > 0, n_tokens(measured.views)[rows]
    peak = _peaks(measured)[rows]
    kind = np.select([~positive & fires, positive & ~fires, positive], [0, 1, 2], 3)
    order = np.lexsort((rows, np.where(kind == 1, -n, -most), kind))
    tokens = [measured.views[i].str_tokens[k] if k >= 0 else None for i, k in zip(rows, peak, strict=True)]
    table = pd.DataFrame({
        "prompt": rows, "text": [spelt(measured.prompts.prompts[i]) for i in rows], "positive": positive,
        "fires": fires, "counter_example": positive != fires, "max_act": most, "n_firing": count, "n_tokens": n,
        "peak_pos": pd.array(np.where(peak < 0, 0, peak), dtype="Int32"), "peak_token": tokens,
    })  # fmt: skip
    table.loc[peak < 0, "peak_pos"] = pd.NA
    return table.iloc[order].reset_index(drop=True).assign(rank=np.arange(len(table)))


def _peaks(measured: Measured) -> np.ndarray:
    """Position of the largest act of each prompt, the first of equal ones; -1 where the feature is silent."""
    acts, out = measured.acts, np.full(len(measured.views), -1, np.int64)
    order = np.lexsort((-acts.pos, acts.act))  # the last to be written is the largest and, of those, the first
    out[acts.prompt[order]] = acts.pos[order]
    return out


def rate_rows(texts: pd.DataFrame, seed: int) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """Rows of ``ACCOUNT_RATES`` from rows of texts, and what has to be said of them."""
    positive, fires = texts["positive"].to_numpy(bool), texts["fires"].to_numpy(bool)
    length = texts["n_tokens"].to_numpy(np.int64)
    expected = by_length(length, int(fires.sum()))
    at_text, balanced = _text_rates(positive, fires, expected, texts["max_act"].to_numpy(float), length)
    at_token = _token_rates(positive, texts["n_firing"].to_numpy(np.int64), length, seed)
    rows = [*at_text, *at_token]
    by_chance, notes = balanced["by_length"], []
    if not fires.any():
        notes.append("the feature fires on none of these prompts above this threshold")
    elif balanced["value_lo"] <= 0.5:
        notes.append("at text level this is not better than firing at random")
    elif by_chance > 0.5 and balanced["value_lo"] <= by_chance:
        notes.append("the positive texts are longer: firing at random on texts of these lengths would give a balanced "
                     f"accuracy of {by_chance:.2f}, so these numbers do not show that the label holds")  # fmt: skip
    if any(row["value"] is not None and row["value_lo"] is None for row in at_token):
        notes.append("some token rates have no interval: tokens of one text are alike, and it takes ten texts")
    return rows, tuple(notes)


def _row(
    level: str, measure: str, value: float, lo: Any, hi: Any, n: int, about: str, chance: float, length: Any = None
) -> dict[str, Any]:
    values = {"value": value, "value_lo": lo, "value_hi": hi, "chance": chance, "by_length": length}
    plain = {k: None if v is None or not np.isfinite(v) else float(v) for k, v in values.items()}
    return {"level": level, "measure": measure, **plain, "n": n, "about": about}


def _text_rates(
    positive: np.ndarray, fires: np.ndarray, expected: np.ndarray, most: np.ndarray, length: np.ndarray
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    n_pos, n_neg, n_fired = int(positive.sum()), int((~positive).sum()), int(fires.sum())
    right, quiet = int((fires & positive).sum()), int((~fires & ~positive).sum())
    base = n_fired / len(fires)
    sense, spare = right / n_pos, quiet / n_neg
    (s_lo, p_lo, r_lo), (s_hi, p_hi, r_hi) = clopper_pearson(
        np.array([right, quiet, right]), np.array([n_pos, n_neg, n_fired])
    )
    s_len, p_len = float(expected[positive].mean()), float(1 - expected[~positive].mean())
    b_lo, b_hi = mean_interval(sense, (s_lo, s_hi), spare, (p_lo, p_hi))
    area, longer = (_auroc(v, positive) for v in (most, length))
    (a_lo, l_lo), (a_hi, l_hi) = auroc_interval(np.array([area, longer]), n_pos, n_neg)
    expected_precision = expected[positive].sum() / expected.sum() if n_fired else None
    balanced = _row("text", "balanced accuracy", (sense + spare) / 2, b_lo, b_hi, len(fires),
                    "mean of the two", 0.5, (s_len + p_len) / 2)  # fmt: skip
    rows = [
        _row("text", "sensitivity", sense, s_lo, s_hi, n_pos, "positive texts on which it fires", base, s_len),
        _row("text", "specificity", spare, p_lo, p_hi, n_neg, "negative texts on which it is silent", 1 - base, p_len),
        balanced,
        _row("text", "precision", right / n_fired if n_fired else np.nan, r_lo if n_fired else None,
             r_hi if n_fired else None, n_fired, "texts it fires on that are positive", chance=n_pos / len(fires),
             length=expected_precision),
        _row("text", "AUROC", area, a_lo, a_hi, len(fires), "largest act on a positive text against a negative one",
             chance=0.5),
        _row("text", "AUROC of length", longer, l_lo, l_hi, len(fires), "number of tokens instead of the act", 0.5),
    ]  # fmt: skip
    return rows, balanced


def _auroc(values: np.ndarray, positive: np.ndarray) -> float:
    """Area for values of any sign; ties half."""
    order = pd.Series(values).rank().to_numpy()
    n_in, n_out = int(positive.sum()), int((~positive).sum())
    return float((order[positive].sum() - n_in * (n_in + 1) / 2) / (n_in * n_out))


def _token_rates(positive: np.ndarray, counts: np.ndarray, length: np.ndarray, seed: int) -> list[dict[str, Any]]:
    """Tokens of one text are alike: intervals are over texts, and there are none below ten texts."""
    n_pos, n_neg, n_firing = int(length[positive].sum()), int(length[~positive].sum()), int(counts.sum())
    sense, s_lo, s_hi = token_share(counts[positive], length[positive], seed)
    fired, f_lo, f_hi = token_share(counts[~positive], length[~positive], seed)
    precise, r_lo, r_hi = token_share(np.where(positive, counts, 0), counts, seed)
    spare, p_lo, p_hi = 1 - fired, 1 - f_hi, 1 - f_lo
    b_lo, b_hi = mean_interval(sense, (s_lo, s_hi), spare, (p_lo, p_hi))
    density, share = n_firing / (n_pos + n_neg), n_pos / (n_pos + n_neg)
    return [
        _row("token", "sensitivity", sense, s_lo, s_hi, n_pos, "tokens of positive texts at which it fires",
             density),
        _row("token", "specificity", spare, p_lo, p_hi, n_neg, "tokens of negative texts at which it is silent",
             chance=1 - density),
        _row("token", "balanced accuracy", (sense + spare) / 2, b_lo, b_hi, n_pos + n_neg, "mean of the two", 0.5),
        _row("token", "precision", precise, r_lo, r_hi, n_firing, "firing tokens that stand in positive texts",
             chance=share),
    ]  # fmt: skip
