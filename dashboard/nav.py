"""All pages, in the order in which the sidebar lists them."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st


@dataclass(frozen=True)
class PageSpec:
    """One page. ``analysis`` is the key of the analysis it draws, None for pages that draw the run itself."""

    key: str  # script in app_pages/, URL path and prefix of its controls
    title: str
    icon: str
    section: str
    help: str
    analysis: str | None = None

    @property
    def script(self) -> str:
        return f"app_pages/{self.key}.py"


PAGES: tuple[PageSpec, ...] = (
    PageSpec("home", "Home", ":material/home:", "Browse", "Find a feature; the runs and all their features."),
    PageSpec("feature", "Feature", ":material/target:", "Browse", "One feature: numbers, contexts, neighbours."),
    PageSpec("lists", "Feature list", ":material/list:", "Browse", "Features to step through, save and compare."),
    PageSpec("prompts", "Prompt lab", ":material/science:", "Try", "Features on your own text."),
    PageSpec(
        "decomposability",
        "Decomposability",
        ":material/rule:",
        "Check",
        "Which labels hold, and which fail.",
        "decomposition",
    ),
    PageSpec(
        "phrases",
        "Phrases",
        ":material/format_quote:",
        "Check",
        "Every phrase of one test, and your own.",
        "decomposition",
    ),
    PageSpec("truth", "Planted truth", ":material/fact_check:", "Check", "Which concepts the SAE found.", "truth"),
    PageSpec("pattern_svd", "Prototypes", ":material/grain:", "Structure", "What fires together.", "pattern_svd"),
    PageSpec(
        "distances",
        "Distances",
        ":material/hub:",
        "Structure",
        "Which features are near, by what.",
        "feature_distances",
    ),
    PageSpec("conjecture", "Conjecture", ":material/balance:", "Structure", "Do distances say it?", "conjecture"),
    PageSpec("limits", "Limits of this host", ":material/speed:", "About", "What is off here, and how much you get."),
)


def navigation() -> list[st.Page]:
    """The pages as ``st.navigation`` wants them; the first is the page at the root address.

    A flat list: the headings that Streamlit 1.67 draws for sections break the list for screen readers.
    """
    return [
        st.Page(
            spec.script, title=spec.title, icon=spec.icon, url_path=spec.key, default=spec is PAGES[0], help=spec.help
        )
        for spec in PAGES
    ]


def script(key: str) -> str:
    """The script of a page, for ``st.switch_page``."""
    return next(spec.script for spec in PAGES if spec.key == key)
