"""A view as one HTML file that opens from disk: no script, no request, light and dark as the reader's system. Pure.

The content security policy allows inline style and nothing else, so that even markup that slipped through escaping
could neither run nor fetch.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from dashboard import style
from dashboard.tokens import visible
from dashboard.wording import count, missing, number

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
LOOK = """<style>
:root{color-scheme:light dark;font-family:"Source Sans 3","Source Sans Pro",system-ui,sans-serif;line-height:1.5}
body{margin:0 auto;max-width:75rem;padding:1.5rem;background:light-dark(#ffffff,#14171c);
color:light-dark(#0d1117,#e6e8eb)}
a{color:light-dark(#1d4fb8,#8ab8ff)}
section{margin:0 0 2rem}
h1,h2,h3,h4{line-height:1.25}
footer{border-top:1px solid;padding-top:1rem;font-size:.9rem;overflow-wrap:anywhere}
pre{white-space:pre-wrap;font-size:.85rem}
.p-t{font-size:1rem}
@media print{body{max-width:none;padding:0}.p-g{content-visibility:visible}}
</style>"""


def document(title: str, sections: Sequence[str], footer: str, link: str) -> str:
    """The whole file. ``sections`` and ``footer`` are escaped HTML; ``title`` and ``link`` are plain text.

    Only a link that is a web address becomes one that can be clicked.
    """
    made = f"{datetime.now(UTC):%Y-%m-%d %H:%M} (UTC)"
    address = escape(link)
    back = f'<a href="{address}" rel="noreferrer">{address}</a>' if link.startswith(("http://", "https://")) else ""
    body = "".join(f"<section>{section}</section>" for section in sections if section)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="referrer" content="no-referrer"><meta name="color-scheme" content="light dark">'
        f"<title>{escape(visible(title))}</title>{LOOK}{style.CSS}</head>"
        f"<body><main>{body}</main><footer>{footer}<p>This view, live: {back or 'not given'}</p>"
        f"<p>Saved by SAE Prism on {made}.</p></footer></body></html>\n"
    )


def table_html(frame: pd.DataFrame, title: str, max_rows: int = 300) -> str:
    """A table's first rows as people read them; absent values as "not measured", everything escaped."""
    head = "".join(f'<th scope="col">{escape(visible(str(c)))}</th>' for c in frame.columns)
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(_said(v))}</td>" for v in row) + "</tr>"
        for row in frame.head(max_rows).itertuples(index=False, name=None)
    )
    shown = f"{count(min(max_rows, len(frame)))} of {count(len(frame))} rows"
    caption = f"<caption>{escape(visible(title))}: {shown}</caption>"
    return (
        f'<div class="p-scroll"><table class="p-list">{caption}<thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _said(value: Any) -> str:
    if isinstance(value, (list, tuple, np.ndarray)):
        return ", ".join(_said(v) for v in value)
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if missing(value):
        return number(None)
    if isinstance(value, (int, np.integer)):
        return count(value)
    return number(value) if isinstance(value, (float, np.floating)) else visible(str(value))
