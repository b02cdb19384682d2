"""Numbers and verdicts as people read them: three significant digits, absence said in words. No streamlit."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

NOT_MEASURED = "not measured"


def missing(value: Any) -> bool:
    """Whether a cell is empty: None, NaN or pandas' NA."""
    return value is None or value is pd.NA or value != value


def number(value: Any, digits: int = 3) -> str:
    """``digits`` significant digits with thousands separated; absence as "not measured", never as 0."""
    if missing(value):
        return NOT_MEASURED
    value = float(value)
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if value == 0:
        return "0"
    size = math.floor(math.log10(abs(value)))
    if size >= 6 or size < -4:
        return f"{value:.{digits - 1}e}".replace("e+", "e").replace("e0", "e").replace("e-0", "e-")
    places = max(0, digits - 1 - size)
    text = f"{value:,.{places}f}"
    return text.rstrip("0").rstrip(".") if places > 6 else text


def count(value: Any) -> str:
    """A whole number with thousands separated."""
    return NOT_MEASURED if missing(value) else f"{int(value):,}"


def percent(share: Any) -> str:
    """A share (0..1) in percent; the caller names the denominator."""
    return NOT_MEASURED if missing(share) else f"{number(float(share) * 100)} %"


def interval(lo: Any, hi: Any) -> str:
    """``[lo, hi]``, or "" when either end is absent."""
    return "" if missing(lo) or missing(hi) else f"[{number(lo)}, {number(hi)}]"


def one_line(text: str, limit: int = 80) -> str:
    """Text of strangers on one line of at most ``limit`` characters."""
    flat = " ".join(str(text).split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"


def plural(n: int, noun: str) -> str:
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def typical(divergence: Any, null: Any, p: Any) -> tuple[str, str]:
    """Whether the top examples are typical of all firings: a short verdict and the sentence behind it.

    ``divergence`` is the Jensen-Shannon divergence in bits between peak tokens of the top 20 contexts and of
    uniformly drawn firing contexts; ``null`` the 95th percentile between two uniform draws; ``p`` its p-value.
    """
    if missing(divergence) or missing(p):
        return NOT_MEASURED, "needs at least 40 contexts in which the feature fires"
    verdict = "not typical" if float(p) <= 0.05 else "typical"
    sentence = f"its top examples are {verdict}: {number(divergence)} bits from uniformly drawn ones"
    return verdict, f"{sentence}; chance reaches {number(null)} (95 %), p = {number(p, 2)}"


def token_driven(r2: Any, null: Any) -> str:
    """What the held-out R2 of act on token id says, beside its null."""
    if missing(r2):
        return "fires in too few documents"
    chance = f"with token ids rotated {number(null)}"
    return f"the token alone explains {percent(max(float(r2), 0.0))} of the variance of act; {chance}"
