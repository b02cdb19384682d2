"""What every error carries, and the names it suggests."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import errors
from core.errors import DamagedError, PrismError, did_you_mean, nearest


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("PrismError", 1),
        *[(kind, 2) for kind in ("InputError", "RecipeError", "NotFoundError", "CorpusError", "FidelityError")],
        *[(kind, 3) for kind in ("MachineError", "DamagedError")],
    ],
)
def test_exit_codes_follow_whose_fault_it_is(kind, code):
    assert getattr(errors, kind)("title").exit_code == code


def test_an_error_reads_as_its_three_parts_and_goes_into_json_whole():
    error = DamagedError("broken", "expected a, found b", "mend it")
    assert str(error) == "broken\nexpected a, found b\nmend it"
    assert str(PrismError("only this")) == "only this"
    assert error.as_dict() == {
        "error": "DamagedError", "title": "broken", "detail": "expected a, found b", "remedy": "mend it",
    }  # fmt: skip


def test_near_names_are_misspellings_first_then_names_that_share_a_part():
    known = ["gpt2-small-res-jb", "gpt2-small-mlp-tm", "gemma-scope-2b-pt-res", "jb"]
    assert nearest("gpt2-smal-res-jb", known)[0] == "gpt2-small-res-jb"
    assert nearest("scope", known) == ["gemma-scope-2b-pt-res"]
    assert "'gpt2-small-res-jb'" in did_you_mean("gpt2-small-res", known)
    assert did_you_mean("zzz", known) == ""
    assert did_you_mean("", known) == ""


@given(st.text(max_size=20), st.lists(st.text(max_size=20), max_size=20), st.integers(1, 5))
def test_near_names_are_known_names_each_once(name, known, n):
    near = nearest(name, known, n)
    assert set(near) <= set(known)
    assert len(set(near)) == len(near) <= n
