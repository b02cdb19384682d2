"""``prism import`` as a person types it: counts on standard output, every mistake as title, detail and remedy."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core import cli
from core.store import Store
from tests.factories import write_run
from tests.published_csv import rows, write_csv

SAE = "gemma-2-2b/20-gemmascope-res-16k"
Prism = Callable[..., tuple[int, Any]]


@pytest.fixture
def prism(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Prism:
    """Run a command on a cache of its own; its exit code and the one JSON object on standard output."""

    def run(*arguments: str) -> tuple[int, Any]:
        monkeypatch.setattr("sys.argv", ["prism", *arguments, "--cache-dir", str(tmp_path), "--json"])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        lines = capsys.readouterr().out.strip().splitlines()
        assert len(lines) == 1, "one JSON object and nothing else"
        return int(stopped.value.code or 0), json.loads(lines[0])

    return run


def lines(path: Path, *made: Any) -> str:
    path.write_text("\n".join(json.dumps(m) for m in made) + "\n")
    return str(path)


def test_labels_of_ones_own_are_added_with_counts_and_verified(prism: Prism, tmp_path: Path) -> None:
    write_run(tmp_path)
    (tmp_path / "mine.csv").write_text("feature,label,source\n1,cats,\n1,cats,\n2,dogs,Ada\n999,x,\nsix,y,\n3,,\n")
    code, said = prism("import", "labels", str(tmp_path / "mine.csv"), "--run", "toy", "--source", "Grace")
    assert code == 0
    assert (said["added"], said["features"], said["already_there"], said["rows"]) == (2, 2, 1, 6)
    assert sum(said["rejected"].values()) == 3
    assert said["rejected"]["its feature was not encoded in this run"] == 1
    labels = Store(tmp_path).run("toy").labels()
    assert labels[["label", "source"]].values.tolist() == [["cats", "Grace"], ["dogs", "Ada"]]
    assert prism("verify", "toy") == (0, {"run": "toy", "whole": True, "problems": []})
    assert prism("import", "csv", str(tmp_path / "mine.csv"), "--run", "toy", "--source", "Grace")[1]["added"] == 0


def test_axbench_and_neuronpedia_are_told_by_what_is_in_the_file(prism: Prism, tmp_path: Path) -> None:
    write_run(tmp_path, neuronpedia_id=SAE)
    model, layer = SAE.split("/")
    axbench = lines(tmp_path / "a.jsonl", {"concept": "cats", "ref": f"https://www.neuronpedia.org/{SAE}/1"})
    explained = {"modelId": model, "layer": layer, "index": "2", "description": "dogs", "typeName": "t"}
    neuronpedia = lines(tmp_path / "n.jsonl", explained)
    assert prism("import", "labels", axbench, "--run", "toy")[1]["format"] == "axbench"
    assert prism("import", "neuronpedia", neuronpedia, "--run", "toy")[1]["format"] == "neuronpedia"
    code, error = prism("import", "axbench", neuronpedia, "--run", "toy")
    assert (code, error["error"]) == (2, "InputError")
    assert "neuronpedia" in error["detail"]
    assert Store(tmp_path).run("toy").labels()["label"].tolist() == ["cats", "dogs"]


def test_labels_of_another_sae_are_refused_unless_told_that_it_fits(prism: Prism, tmp_path: Path) -> None:
    write_run(tmp_path)
    file = lines(tmp_path / "a.jsonl", {"concept": "cats", "ref": f"https://www.neuronpedia.org/{SAE}/1"})
    code, error = prism("import", "labels", file, "--run", "toy")
    assert code == 2
    assert "--any-sae" in error["remedy"]
    assert prism("import", "labels", file, "--run", "toy", "--any-sae")[1]["added"] == 1


def test_published_labels_go_into_a_run_of_their_sae(prism: Prism, tmp_path: Path, shared: Path) -> None:
    write_run(tmp_path, neuronpedia_id=SAE)
    file = shared / "labels" / "concept500_2b_l20.metadata.jsonl"
    code, said = prism("import", "labels", str(file), "--run", "toy")
    assert said["rows"] == 500
    if code == 0:
        assert said["added"] + sum(said["rejected"].values()) == 500
    else:
        assert "not encoded" in said["detail"], "none of the 500 is among the toy run's 40 features"


def test_a_published_csv_becomes_a_run_that_lists_shows_and_verifies(prism: Prism, tmp_path: Path) -> None:
    write_csv(tmp_path / "published.csv", rows())
    command = ("import", "decomposability-csv", str(tmp_path / "published.csv"), "--name", "published")
    code, said = prism(*command)
    assert code == 0
    assert {"features", "phrases", "firing_share", "max_on_bos_share", "parts_that_fire", "power"} <= said.keys()
    assert not said["already_there"]
    assert prism(*command)[1] == said | {"already_there": True}
    assert prism("verify", "published")[1]["whole"]
    listed = prism("list")[1]
    assert listed["damaged"] == []
    assert [(r["name"], r["fidelity"], r["l0"]) for r in listed["runs"]] == [("published", "not measured", None)]
    assert listed["runs"][0]["sae"] == SAE
    assert prism("show", "published")[1]["import"]["features"] == said["features"]
    feature = int(Store(tmp_path).run("published").encoded_features[0])
    assert prism("query", "published", "--feature", str(feature))[1]["stats"]["feature"] == feature
    moved = tmp_path / "elsewhere"
    shutil.copytree(tmp_path / "published", moved / "copy")
    assert Store(moved).run("copy").verify() == []


def test_an_imported_run_says_that_nothing_can_be_encoded_with_it(prism: Prism, tmp_path: Path) -> None:
    write_csv(tmp_path / "published.csv", rows(3))
    prism("import", "decomposability-csv", str(tmp_path / "published.csv"), "--name", "published")
    code, error = prism("run", "published")
    assert code == 2
    assert "was imported" in error["title"]
    made = prism("show", "published")[1]["provenance"]["command"]
    assert made == "prism import decomposability-csv published.csv --name published --replace"


@pytest.mark.parametrize(
    "arguments",
    [
        ("labels", "missing.csv", "--run", "toy"),
        ("labels", "published.csv", "--run", "toy"),
        ("labels", "published.csv", "--run", "nobody"),
        ("labels", "published.csv", "--run", "../toy"),
        ("labels", "mine.csv", "--run", "toy", "--replace"),
        ("decomposability-csv", "mine.csv", "--name", "new"),
        ("decomposability-csv", "missing.csv", "--name", "new"),
        ("decomposability-csv", "published.csv", "--name", "../new"),
        ("decomposability-csv", "published.csv", "--name", "New Run"),
        ("decomposability-csv", "published.csv", "--name", "toy"),
        ("decomposability-csv", "published.csv", "--name", "new", "--source", "me"),
    ],
)
def test_every_mistake_has_a_title_a_detail_and_a_remedy(
    arguments: tuple[str, ...], prism: Prism, tmp_path: Path
) -> None:
    write_run(tmp_path)
    write_csv(tmp_path / "published.csv", rows(3))
    (tmp_path / "mine.csv").write_text("feature,label\n1,cats\n")
    before = {p.name for p in tmp_path.iterdir() if not p.name.startswith(".lock")}
    code, error = prism("import", arguments[0], str(tmp_path / arguments[1]), *arguments[2:])
    assert code == 2
    assert all(error[part] for part in ("title", "detail", "remedy"))
    assert {p.name for p in tmp_path.iterdir() if not p.name.startswith(".lock")} == before
    assert Store(tmp_path).run("toy").labels().empty
