"""What a link names: run, feature, list of features, and the controls of the page, kept in the URL by hand.

Streamlit's own ``bind="query-params"`` leaves defaults out of the URL (so that a moved default would change old
links), drops what it cannot read without a word, and is unseen by AppTest. Here every value is written out in a fixed
order, what cannot be read is named, and equal views have equal links.

The URL is read once per run of the script, before any widget. It is believed when it differs from the one seen last
(a link that was opened, the Back button) unless this run was started by one of our widgets: the browser may then
still show the URL of the click before.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode
from zlib import crc32

import streamlit as st

from core.errors import InputError, PrismError
from core.store import Run
from dashboard import readers

MAX_LINK = 500
KEYS = ("run", "feature", "features")
OF_ONE_FEATURE = ("feature_test",)
"""Controls that mean nothing for another feature."""


@dataclass(frozen=True)
class Control:
    """A widget of one page that is part of its link. ``key`` begins with the page's name; ``read`` may raise."""

    key: str
    default: Any
    read: Callable[[str], Any]


def choice(key: str, default: str, options: Sequence[str]) -> Control:
    def read(text: str) -> str:
        if text not in options:
            raise InputError(f"{key} is one of {', '.join(options)}")
        return text

    return Control(key, default, read)


def whole(key: str, default: int, lo: int, hi: int) -> Control:
    def read(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", text) or not lo <= int(text) <= hi:
            raise InputError(f"{key} is a whole number from {lo} to {hi}")
        return int(text)

    return Control(key, default, read)


def text(key: str, max_chars: int, check: Callable[[str], Any] = str) -> Control:
    def read(value: str) -> str:
        if len(value) > max_chars:
            raise InputError(f"{key} has at most {max_chars} characters")
        check(value)
        return value

    return Control(key, "", read)


# --- the subject -----------------------------------------------------------------------------------------


def run_name() -> str | None:
    return st.session_state.get("subject_run")


def feature() -> int | None:
    return st.session_state.get("subject_feature")


def features() -> tuple[int, ...]:
    """The list at hand; empty without one."""
    return st.session_state.get("subject_features", ())


def choose(run: str | None = None, feature: int | None = None, features: Sequence[int] | None = None) -> None:
    """Change the subject, from a widget's callback or before ``st.switch_page``; None leaves a part as it is."""
    state = st.session_state
    if run is not None and run != run_name():
        state.subject_run, state.subject_feature, state.subject_features = run, None, ()
    if feature is not None:
        state.subject_feature = feature
    if features is not None:
        state.subject_features = tuple(dict.fromkeys(int(f) for f in features))
    state.link_error = None
    state.acted = True


def acted(*keys: str) -> None:
    """Take over what the widgets of these controls now say (without keys: all of the page); ``on_change`` of each.

    What is taken over lives apart from the widgets: Streamlit forgets a widget that is not drawn, and its key then
    holds the value it had when it was first drawn.
    """
    state = st.session_state
    for key in keys or state.get("controls_here", ()):
        if key in state:
            state.remembered[key] = state[key]
    state.acted = True


def remember(**values: Any) -> None:
    """Give controls new values, from a callback or before leaving for their page."""
    st.session_state.setdefault("remembered", {}).update(values)
    st.session_state.acted = True


def adopt_url() -> None:
    """Take over what the URL names, before any widget; raises the PrismError that says what is wrong with it."""
    state, url = st.session_state, st.query_params.to_dict()
    by_widget = state.pop("acted", False)
    state.incoming = {}
    if url != state.get("seen") and not by_widget:
        state.link_error = None
        state.seen, state.incoming = url, url
        try:
            _adopt(url)
        except PrismError as error:
            state.link_error = error
    if run_name() is None and state.get("link_error") is None and (names := readers.run_names()):
        choose(run=names[0])
        state.pop("acted")
    if state.get("link_error") is not None:
        raise state.link_error


def _adopt(url: dict[str, str]) -> None:
    state = st.session_state
    if "run" in url:
        readers.store().run(url["run"])
        if url["run"] != run_name():
            state.subject_run, state.subject_feature = url["run"], None
        state.subject_features = ()
    elif run_name() is None and (names := readers.run_names()):
        state.subject_run = names[0]
    if ("feature" in url or "features" in url) and (name := run_name()):
        run = readers.run(name)
        if "feature" in url:
            state.subject_feature = run.require_feature(_whole(url["feature"]))
        if url.get("features"):
            state.subject_features = read_features(run, url["features"])


def read_features(run: Run, text: str) -> tuple[int, ...]:
    """The features of a written list such as ``12, 40``, each once, each encoded in the run."""
    numbers = [_whole(part) for part in re.split(r"[,;.\s]+", text.strip()) if part]
    return tuple(run.require_feature(n) for n in dict.fromkeys(numbers))


def _whole(value: str) -> int:
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", value.strip()):
        raise InputError(
            f"{value[:40]!r} is not a feature" if value.strip() else "the link names no feature",
            "a feature is a whole number, 0 to the width of the SAE less one",
            "correct the link, or choose a feature on the home page",
        )
    return int(value)


# --- the page's controls and the URL ---------------------------------------------------------------------


def settle(shown: Sequence[str], controls: Sequence[Control] = ()) -> list[str]:
    """Give the page's controls their values and write the URL; call it before the page's widgets.

    ``shown`` are the parts of the subject that the page is about. Returns a sentence for each value of an opened link
    that could not be used.
    """
    state, complaints = st.session_state, []
    memory = state.setdefault("remembered", {})
    state.controls_here = [control.key for control in controls]
    for control in controls:
        value, wrong = _value(control, memory)
        if wrong:
            complaints.append(wrong)
        if control.key not in state or state[control.key] != value:
            state[control.key] = value
        memory[control.key] = value
    write_url(shown, controls)
    state.incoming = {}  # spent: a part of the page may run again alone
    state.pop("acted", None)
    return complaints


def _value(control: Control, memory: dict[str, Any]) -> tuple[Any, str]:
    incoming = st.session_state.get("incoming", {})
    if incoming:  # a link is whole: what it leaves out has its default, not what was here before
        if control.key not in incoming:
            return control.default, ""
        try:
            return control.read(incoming[control.key]), ""
        except PrismError as error:
            found = incoming[control.key][:40]
            return control.default, f"the link says {control.key}={found}: {error.title}. It shows {control.default!r}."
    return _known(control, memory), ""


def _known(control: Control, memory: dict[str, Any]) -> Any:
    """The value here, before or by default; one that is no longer possible (a feature now off the list) gives way."""
    value = memory.get(control.key, control.default)
    try:
        control.read(_written(value))
    except PrismError:
        return control.default
    return value


def link(shown: Sequence[str], controls: Sequence[Control] = ()) -> dict[str, str]:
    """The whole link of a view in its fixed order, every value written out."""
    subject = {"run": run_name(), "feature": feature(), "features": ",".join(map(str, features())) or None}
    query = {key: str(subject[key]) for key in KEYS if key in shown and subject[key] is not None}
    memory = st.session_state.get("remembered", {})
    return query | {c.key: _written(_known(c, memory)) for c in controls}


def write_url(shown: Sequence[str], controls: Sequence[Control] = ()) -> None:
    """Write the whole view into the URL, if it is not there already."""
    query = link(shown, controls)
    if list(query.items()) != list(st.query_params.to_dict().items()):
        st.query_params.from_dict(query)
    st.session_state.seen = query


def link_query() -> str:
    """The query string of the view as it was last written."""
    return urlencode(st.session_state.get("seen", {}))


def link_digest() -> int:
    """Equal for equal views: the key of widgets whose selection belongs to one view only."""
    return crc32(link_query().encode())


def feature_link(feature: int) -> str:
    """The relative address of another feature, everything else of the view as it is."""
    seen = st.session_state.get("seen", {})
    known = {key: value for key, value in seen.items() if key.startswith("feature") and key not in OF_ONE_FEATURE}
    return "feature?" + urlencode({"run": run_name() or ""} | known | {"feature": feature})


def prototype_link(method: str, number: int, run: str = "") -> str:
    """The relative address of a prototype, of the run at hand unless another is named."""
    return "pattern_svd?" + urlencode(
        {"run": run or run_name() or "", "pattern_svd_method": method, "pattern_svd_number": number}
    )


def _written(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
