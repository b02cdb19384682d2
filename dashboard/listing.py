"""Short tables of features as HTML: read by screen readers, wrapped on phones, each number a link. No streamlit.

The big table of the home page is Streamlit's; for ten rows its canvas costs more than the rest of a page.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from html import escape
from typing import Any

import pandas as pd

from dashboard.tokens import visible
from dashboard.wording import count, number, one_line

TITLES = {
    "cosine": "cosine",
    "density": "density",
    "act_max": "act max",
    "token_r2": "token R²",
    "top_divergence_p": "p of top divergence",
    "flag": "flag",
    "n_firings": "firings",
    "loading": "loading",
    "n_both": "both fire",
    "jaccard": "Jaccard",
    "dice": "Dice",
    "overlap": "overlap",
    "phi": "phi",
    "decoder_cosine": "decoder cosine",
    "c_cosine": "C cosine",
    "c_euclid": "C distance",
}


def listing_html(frame: pd.DataFrame, title: str, columns: Sequence[str], href: Callable[[int], str]) -> str:
    """One row per feature: number (a link), label, top tokens, then ``columns``; absent values as "not measured"."""
    head = "".join(f'<th scope="col">{escape(t)}</th>' for t in ("feature", *(TITLES[c] for c in columns), "about"))
    rows = "".join(_row(row, columns, href) for row in frame.to_dict("records"))
    table = f"<caption>{escape(title)}</caption><thead><tr>{head}</tr></thead><tbody>{rows}</tbody>"
    return f'<div class="p-scroll"><table class="p-list">{table}</table></div>'


def _row(row: Mapping[Hashable, Any], columns: Sequence[str], href: Callable[[int], str]) -> str:
    feature = int(row["feature"])
    link = f'<a href="{escape(href(feature))}" target="_self" data-feature="{feature}">{feature}</a>'
    cells = "".join(f"<td>{escape(_said(row[c]))}</td>" for c in columns)
    label = f"{escape(visible(one_line(row['label'], 120)))} " if row["label"] else ""
    about = f'{label}<small dir="auto">{escape(visible(row["tokens"]))}</small>'
    return f'<tr><th scope="row">{link}</th>{cells}<td class="p-about">{about}</td></tr>'


def _said(value: Any) -> str:
    if isinstance(value, str):
        return value
    return count(value) if isinstance(value, int) else number(value)
