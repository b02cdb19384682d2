"""What analyses read of a release's decoder, without the engine, is what the engine loads."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from core.analyses.decoder import load_decoder
from core.engine.saes import load_sae
from core.errors import NotFoundError
from core.recipe import SAERecipe
from tests.engine import hub_cache

GPT2 = SAERecipe(release="gpt2-small-res-jb", id=hub_cache.GPT2_ID)
BY_REPOSITORY = SAERecipe(release=hub_cache.GPT2_SAES, id=hub_cache.GPT2_ID)
SCOPE = SAERecipe(release="gemma-scope-2b-pt-res-canonical", id="layer_20/width_16k/canonical")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hub")
    hub_cache.add_gpt2_small(folder)
    hub_cache.add_gemma_scope(folder)
    return folder


@pytest.fixture(autouse=True)
def offline(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub_cache.use_cache(monkeypatch, cache)
    monkeypatch.setenv("HF_HUB_CACHE", str(cache))


def as_run(recipe: SAERecipe, features: np.ndarray) -> tuple[Any, np.ndarray]:
    """As much of a run as a decoder is read by, and the rows that the engine loads."""
    sae = load_sae(recipe, "cpu")
    rows = sae.directions(features)[0]
    norms = pd.DataFrame({"feature": features, "decoder_norm": np.linalg.norm(rows, axis=1)})
    manifest = {
        "recipe": {"sae": dataclasses.asdict(recipe)},
        "provenance": {"recipe_folder": "."},
        "sae": dataclasses.asdict(sae.info),
    }
    run = SimpleNamespace(
        name="r", path=Path("nowhere"), manifest=manifest, encoded_features=features, table=lambda *_: norms
    )
    return run, rows


@pytest.mark.parametrize("recipe", [GPT2, BY_REPOSITORY, SCOPE])
def test_the_decoder_of_a_release_is_read_from_the_hub_cache(recipe: SAERecipe) -> None:
    features = np.array([0, 3, 17, 40])
    run, rows = as_run(recipe, features)
    np.testing.assert_array_equal(load_decoder(run), rows)
    np.testing.assert_array_equal(load_decoder(run, features[[2, 0]]), rows[[2, 0]])


def test_a_release_by_its_repository_needs_no_more_than_its_name() -> None:
    run, rows = as_run(BY_REPOSITORY, np.array([1, 2]))
    del run.manifest["sae"]["hub"]
    np.testing.assert_array_equal(load_decoder(run), rows)


def test_a_release_that_is_not_here_names_the_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, _ = as_run(SCOPE, np.array([1, 2]))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(NotFoundError, match="not here") as error:
        load_decoder(run)
    assert hub_cache.SCOPE in error.value.remedy
    assert str(tmp_path) in error.value.detail


def test_a_run_that_does_not_name_the_repository_says_so() -> None:
    run, _ = as_run(GPT2, np.array([1, 2]))
    run.manifest["sae"]["hub"] = None
    with pytest.raises(NotFoundError) as error:
        load_decoder(run)
    assert "encode it again" in error.value.detail


def test_other_weights_under_the_same_name_are_refused() -> None:
    run, _ = as_run(GPT2, np.array([1, 2]))
    table = run.table()
    run.table = lambda *_: table.assign(decoder_norm=table["decoder_norm"] * 2)
    with pytest.raises(NotFoundError) as error:
        load_decoder(run)
    assert "other decoder norms" in error.value.detail


@pytest.mark.parametrize("hub", ["../../etc/x/y", "a/b/../c", "/a/b/c", "a/b/c\n"])
def test_a_name_is_not_a_path(hub: str) -> None:
    run, _ = as_run(GPT2, np.array([1, 2]))
    run.manifest["sae"] |= {"hub": hub, "release": None}
    with pytest.raises(NotFoundError) as error:
        load_decoder(run)
    assert "encode it again" in error.value.detail
