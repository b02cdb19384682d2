"""Share: the link of exactly this view, the view as one HTML file, and the data behind it with its manifest."""

from __future__ import annotations

from html import escape

import streamlit as st

from core.store import Run
from dashboard import downloads, export_html, files, readers, subject, views_html
from dashboard.lab import lab_show


@st.dialog("Share this view", width="medium", on_dismiss="rerun")  # charts take over the kind of picture
def render_share() -> None:
    _render_link()
    name = subject.run_name()
    if name is None:
        return
    run = readers.run(name)
    _render_file(run)
    _render_data(run)


def _render_link() -> None:
    st.caption("The same view, for anyone who can reach this dashboard. Your own texts are not part of it.")
    st.code(files.link(), language=None, wrap_lines=True)
    if len(subject.link_query()) > subject.MAX_LINK:
        st.caption("This link is long: save the list under a name, or shorten the search.")
    with st.expander("Embed it in another page"):
        st.code(f'<iframe src="{files.link({"embed": "true"})}" width="100%" height="800"></iframe>', language="html")


def _render_file(run: Run) -> None:
    base, page = files.address()
    here, query, own = files.link(), dict(st.session_state.get("seen", {})), lab_show.sections(page)

    def made() -> bytes:
        view = views_html.view_of(page, run, query, base)
        return export_html.document(view.title, own or view.sections, view.footer, here).encode()

    st.download_button(
        "This view as one HTML file", made, f"{_stem(page)}.html", "text/html", on_click="ignore",
        icon=":material/description:", key="share_html", help="opens from disk, without a network or a dashboard",
    )  # fmt: skip
    licence = (run.manifest.get("corpus") or {}).get("licence") or "not stated"
    st.caption("It holds your prompts." if own else f"It holds text of the corpus; its licence: {licence}")


def _render_data(run: Run) -> None:
    state = st.session_state
    offered = state.get("offered", {}) if state.get("offered_view") == subject.link_query() else {}
    for page, (what, frame) in offered.items():
        st.html(f"<strong>The data behind it: {escape(page)} {escape(what)}</strong>")
        with st.container(horizontal=True):
            files.render_data_buttons(run, page, what, frame, files.FORMS, key="share_")
    st.segmented_control("Charts are saved by their camera button as", files.PICTURES, key="picture_choice",
                         default=state.get("picture_kind", files.PICTURES[0]), required=True,
                         on_change=_keep_picture_kind)  # fmt: skip


def _keep_picture_kind() -> None:
    st.session_state.picture_kind = st.session_state.picture_choice


def _stem(page: str) -> str:
    what = str(subject.feature()) if page == "feature" else "view"
    return downloads.stem(subject.run_name(), page, what)
