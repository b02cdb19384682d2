"""Features set by hand: what is refused before a model runs, and frames with controls beside."""

from __future__ import annotations

import math

import pytest

from core.errors import InputError
from core.lab.decoding import DecodeParams, decode_features
from core.lab.prompts import PromptTable
from tests.lab.fake_prompt_model import FakePromptModel


def test_every_strength_has_a_random_direction_beside_and_one_text_is_unsteered(model: FakePromptModel) -> None:
    asked = PromptTable.of_texts(["w1 w2", "w3"])
    result = decode_features(model, {5: 2.0, 6: -1.0}, asked, DecodeParams(strengths=(1.0, 3.0), n_tokens=4))
    rows = result.table("continuations")
    kinds = rows.groupby("prompt")["kind"].value_counts().unstack()
    assert kinds.to_dict("list") == {"random": [2, 2], "steered": [2, 2], "unsteered": [1, 1]}
    steered = rows[(rows["kind"] == "steered") & (rows["strength"] == 3)]
    assert steered["mean_log_prob"].tolist() == [1.0, 1.0]
    assert steered["mean_plain_log_prob"].tolist() == [-2.0, -2.0]
    assert result.params["values"] == {"5": 2.0, "6": -1.0}


def test_promoted_tokens_are_held_against_random_directions(model: FakePromptModel) -> None:
    result = decode_features(model, {5: 2.0})
    rows = result.table("decoded")
    assert rows.groupby("sign")["beyond_random"].sum().tolist() == [2, 2], "2 / 1 and 2 / 2 exceed 2 / 2.5"
    assert result.summary["n_beyond_random"] == 2
    assert "continuations" not in result.frames


@pytest.mark.parametrize(
    ("values", "params"),
    [
        ({}, DecodeParams()),
        ({5: 0.0}, DecodeParams()),
        ({5: math.nan}, DecodeParams()),
        ({5: math.inf}, DecodeParams()),
        ({5: 1e9}, DecodeParams()),
        (dict.fromkeys(range(101), 1.0), DecodeParams()),
        ({5: 1.0}, DecodeParams(strengths=(0.0,))),
        ({5: 1.0}, DecodeParams(strengths=(1.0,) * 9)),
        ({5: 1.0}, DecodeParams(n_tokens=0)),
        ({5: 1.0}, DecodeParams(n_tokens=201)),
        ({5: 1.0}, DecodeParams(temperature=-1.0)),
    ],
)
def test_what_cannot_be_meant_is_refused(
    model: FakePromptModel, values: dict[int, float], params: DecodeParams
) -> None:
    with pytest.raises(InputError):
        decode_features(model, values, PromptTable.of_texts(["w1"]), params)
