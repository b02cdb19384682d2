"""Tokens become one escaped block that shows what is there and runs nothing."""

from __future__ import annotations

from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.examples import Example, Group
from dashboard.tokens import example_html, groups_html, level, token_html, visible


class Seen(HTMLParser):
    """What a browser would see: tags, attributes and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def example(tokens: list[str], acts: list[float], start: int = 0, **more: object) -> Example:
    values: dict = {"context": 7, "document": 3, "source": "row 3", "start": start, "value": max(acts), "peak": 0}
    values |= {"miss": None, "cut_before": False, "cut_after": False, "special": np.zeros(len(tokens), bool)}
    return Example(tokens=tokens, acts=np.array(acts, np.float32), **(values | more))


@pytest.mark.parametrize(
    ("token", "shown"),
    [
        (" the", " the"),
        ("\n", "↵"),
        ("a\tb", "a⇥b"),
        ("", "∅"),
        ("\x00", "␀"),
        ("\u200b", "<U+200B>"),
        ("\u202eevil", "<U+202E>evil"),
        ("👩\u200d🔬", "👩\u200d🔬"),
        ("\u200d", "<U+200D>"),
        ("naÃ¯ve", "naÃ¯ve"),
        ("<0xE2>", "<0xE2>"),
        ("שלום", "שלום"),
    ],
)
def test_what_would_be_invisible_gets_a_sign_and_the_rest_stays(token: str, shown: str) -> None:
    assert visible(token) == shown


@given(st.text(max_size=8), st.integers(0, 500), st.floats(0, 1e6), st.floats(1e-3, 1e6))
def test_no_token_makes_a_tag_an_attribute_or_a_new_line(token: str, pos: int, act: float, top: float) -> None:
    seen = Seen(token_html(token, pos, act, top))
    assert [tag for tag, _ in seen.tags] == ["mark"] if level(act, top) else True
    assert all(set(attrs) <= {"class", "title"} for _, attrs in seen.tags)
    assert seen.text == visible(token)
    assert "\n" not in seen.text


def test_hover_says_token_position_act_and_share_of_max() -> None:
    ((tag, attrs),) = Seen(token_html(" cat", 12, 1.98, 3.96)).tags
    assert (tag, attrs["class"]) == ("mark", "p-a5")
    assert attrs["title"] == "' cat' · position 12 · act 1.98 · 50.0 % of max"


def test_the_leading_space_is_kept_and_not_coloured() -> None:
    assert token_html(" cat", 0, 1, 1).startswith(" <mark")
    assert Seen(token_html(" ", 0, 1, 1)).text == " "


@pytest.mark.parametrize(
    ("act", "step"), [(0, 0), (-1, 0), (0.001, 1), (0.1, 1), (0.11, 2), (0.95, 10), (1, 10), (2, 10)]
)
def test_level_is_tenths_of_the_maximum_rounded_up(act: float, step: int) -> None:
    assert level(act, 1.0) == step


def test_level_is_zero_when_nothing_fires() -> None:
    assert level(1.0, 0.0) == 0
    assert level(float("nan"), 1.0) == 0


def test_sanitiser_patterns_never_stand_in_a_hover() -> None:
    for token in ("</title", "-->", "</script>", "--!>", "<!--"):
        ((_, attrs),) = Seen(token_html(token, 0, 1, 1)).tags
        assert "</" not in attrs["title"]
        assert "--" not in attrs["title"]


def test_quiet_tokens_share_one_element_whose_hover_tells_them_apart() -> None:
    seen = Seen(example_html(example([" a", " b", " c", " d"], [0, 0, 2, 0], start=5), 2.0))
    spans = [attrs["title"] for tag, attrs in seen.tags if tag == "span" and "act 0" in attrs.get("title", "")]
    assert spans == ["' a' ' b' · positions 5 to 6 · act 0", "' d' · position 8 · act 0"]
    assert " a b c d" in seen.text


def test_special_tokens_and_the_near_miss_are_marked_without_colour() -> None:
    special = np.array([True, False, False])
    html = example_html(example(["<s>", " x", " y"], [0, 0, 0], miss=1, value=-0.25, special=special), 2.0)
    tags = Seen(html).tags
    assert next(a for t, a in tags if a.get("class") == "p-sp")["title"].endswith("special: masked")
    assert next(a for t, a in tags if t == "u")["title"] == "' x' · position 1 · did not fire: pre-activation -0.250"


def test_cuts_are_shown() -> None:
    assert "… " in example_html(example([" x"], [1.0], cut_before=True), 1.0)
    assert " …" in example_html(example([" x"], [1.0], cut_after=True), 1.0)


def test_a_block_holds_all_groups_and_says_when_one_is_empty() -> None:
    groups = [Group("Top <b>", "1 of 2", [example([" x"], [1.0])]), Group("Near misses", "0", [])]
    seen = Seen(groups_html(groups, 1.0))
    assert [tag for tag, _ in seen.tags].count("h2") == 2
    assert "b" not in [tag for tag, _ in seen.tags]
    assert "none" in seen.text
