"""The controls of every page of a run, in the order in which they stand in its link, and how to open a page.

They stand together because opening a page writes its whole link at once: a second, longer address for the same view
would make the Back button stop twice.
"""

from __future__ import annotations

import re

import streamlit as st

from core.errors import InputError, PrismError
from dashboard import filters, nav, readers, subject
from dashboard.lab import lab_controls
from dashboard.patterns import pattern_readers
from dashboard.patterns.pattern_data import Prototypes
from dashboard.patterns.pattern_map import MAX_SIDE
from dashboard.patterns.pattern_window import read_window
from dashboard.subject import Control, choice, text, whole
from dashboard.verdicts import verdict_data
from dashboard.verdicts.verdict_bos import SWITCH
from dashboard.verdicts.verdict_wording import KINDS, THETAS

WIDTHS = ("8", "16", "32", "64", "whole")
SCALES = ("linear", "log")
SORTS = ("worst first", "best first", "feature", "densest first", "class")
BY = ("density", "token R²", "label kind", "label source")
GROUPS = ("all", "part", "whole", "own", "near", "other", "label", "shuffled")
VIEWS = ("verdict", "activations")
SHOWN = {
    "home": ("run", "features"),
    "feature": ("run", "feature", "features"),
    "lists": ("run", "features"),
    "decomposability": ("run",),
    "phrases": ("run", "feature"),
    "pattern_svd": ("run",),
    "distances": ("run", "feature", "features"),
    "conjecture": ("run",),
    "limits": ("run",),
    "prompts": ("run", "feature"),
}
AFFINITIES = ("jaccard", "dice", "overlap", "phi", "decoder_cosine", "c_cosine", "c_euclid")
SIMILARITIES = ("cosine", "euclid")
MAPS = ("neighbours", "cluster", "list", "densest", "medoids", "random")
DRAGS = ("zooms", "lists")

HOME = (
    text("home_find", 200),
    text("home_q", 60),
    choice("home_flag", "any", filters.FLAGS),
    text("home_where", 160, filters.parse_where),
    choice("home_sort", "feature", filters.SORTS),
    choice("home_order", "up", ("up", "down")),
    whole("home_page", 1, 1, 100_000),
)
FEATURE = (
    choice("feature_step", "all", ("all", "list")),
    choice("feature_scale", "linear", SCALES),
    choice("feature_width", "16", WIDTHS),
    whole("feature_top", 8, 0, 50),
    whole("feature_random", 8, 0, 50),
    whole("feature_band", 2, 0, 20),
    whole("feature_near", 5, 0, 20),
    whole("feature_seed", 0, 0, 999_999),
)


def lists() -> tuple[Control, ...]:
    """The two features compared come from the list; they are its first two unless chosen."""
    options = [str(f) for f in subject.features()] or [""]
    return (
        choice("lists_a", options[0], options),
        choice("lists_b", options[min(1, len(options) - 1)], options),
        choice("lists_scale", "linear", SCALES),
        whole("lists_n", 6, 1, 30),
    )


def feature() -> tuple[Control, ...]:
    """The verdict comes first wherever the run has decomposition tests."""
    return (
        choice("feature_view", VIEWS[0] if _results() else VIEWS[1], VIEWS),
        _test("feature_test"),
        choice("feature_theta", THETAS[0], THETAS),
        choice("feature_bos", SWITCH[0], SWITCH),
        whole("feature_shown", 5, 0, 50),
        *FEATURE,
    )


def decomposability() -> tuple[Control, ...]:
    """Everything that decides which labels are listed, in which order, drawn how."""
    results = _results()
    keys, shown = [result.key for result in results] or [""], verdict_data.overview(results)
    sources = sorted({str(s) for result in results for s in result.tests["label_source"].unique()})
    return (
        choice("decomposability_result", shown.key if shown else "", keys),
        choice("decomposability_kind", "any", ("any", *KINDS)),
        choice("decomposability_source", "any", ("any", *sources)),
        text("decomposability_q", 60),
        text("decomposability_lo", 16, share),
        text("decomposability_hi", 16, share),
        choice("decomposability_sort", SORTS[0], SORTS),
        choice("decomposability_show", "list", ("list", "plots")),
        whole("decomposability_page", 1, 1, 100_000),
        choice("decomposability_by", BY[0], BY),
    )


def phrases() -> tuple[Control, ...]:
    return (
        _test("phrases_test"),
        choice("phrases_theta", THETAS[0], THETAS),
        choice("phrases_group", "all", GROUPS),
        choice("phrases_show", "all", ("all", "fires", "silent")),
        whole("phrases_page", 1, 1, 10_000),
    )


def pattern_svd() -> tuple[Control, ...]:
    """Method and prototype; "" and 0 where there are none."""
    found = _prototypes()
    methods = found.methods if found else []
    k = int(found.matrix["k"]) if found else 0
    return (
        choice("pattern_svd_method", methods[0] if methods else "", methods or [""]),
        whole("pattern_svd_number", 0, 0, max(0, k - 1)),
    )


def distances() -> tuple[Control, ...]:
    """What near means, and which features the map shows."""
    return (
        choice("distances_by", AFFINITIES[0], AFFINITIES),
        choice("distances_map", "list" if len(subject.features()) > 1 else MAPS[0], MAPS),
        whole("distances_n", 200, 2, MAX_SIDE),
        choice("distances_drag", DRAGS[0], DRAGS),
        text("distances_window", 40, lambda part: part and read_window(part)),
        text("distances_pair", 24, two_features),
    )


def two_features(value: str) -> None:
    """InputError unless it is "" or two numbers such as 12,40."""
    if value and not re.fullmatch(r"[0-9]{1,9},[0-9]{1,9}", value):
        raise InputError(f"{value[:20]!r} is no pair of features such as 12,40")


def conjecture() -> tuple[Control, ...]:
    """Which similarity is drawn over k, and which variant pair by pair."""
    try:
        pairs = pattern_readers.scatters(readers.run(subject.run_name() or ""))
    except PrismError:
        pairs = []
    return (
        choice("conjecture_similarity", SIMILARITIES[0], SIMILARITIES),
        choice("conjecture_pairs", pairs[0] if pairs else "", pairs or [""]),
    )


def _prototypes() -> Prototypes | None:
    """None where there are none or they cannot be read, which the page says when it draws them."""
    try:
        return pattern_readers.require_prototypes(readers.run(subject.run_name() or ""))
    except PrismError:
        return None


def share(value: str) -> float | None:
    """A share written in a link; None for "". InputError otherwise."""
    if value and not filters.NUMBER.fullmatch(value):
        raise InputError(f"{value[:20]!r} is not a number")
    return float(value) if value else None


def _results() -> tuple[readers.Tested, ...]:
    """The results of the run at hand; none where they cannot be read, which the page says when it draws them."""
    try:
        return readers.decompositions(readers.run(subject.run_name() or ""))
    except PrismError:
        return ()


def _test(key: str) -> Control:
    """Which of the feature's tests is shown; "" where there is none."""
    number = subject.feature()
    found = verdict_data.tests_of(_results(), -1 if number is None else number)
    ids = [ref.id for ref in found] or [""]
    return choice(key, ids[0], ids)


def of(page: str) -> tuple[tuple[str, ...], tuple[Control, ...]]:
    """What the link of a page names: parts of the subject, and its controls."""
    made = {"feature": feature, "lists": lists, "decomposability": decomposability, "phrases": phrases}
    made |= {"pattern_svd": pattern_svd, "distances": distances, "conjecture": conjecture}
    made["prompts"] = lab_controls.prompts
    return SHOWN[page], made[page]() if page in made else HOME


def open_page(page: str) -> None:
    """Leave for another page of the same subject, with its whole link; not from a callback."""
    st.switch_page(nav.script(page), query_params=subject.link(*of(page)))


def go(page: str) -> None:
    """The same from a callback: the next run of the script leaves before it draws anything."""
    st.session_state.going = page


def follow() -> None:
    """Leave for where a callback said, if one did."""
    if "going" in st.session_state:
        open_page(st.session_state.pop("going"))
