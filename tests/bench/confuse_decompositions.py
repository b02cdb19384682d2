"""Constructed features through the whole decomposition test, as the README's table. By hand, some minutes:

python -m tests.bench.confuse_decompositions [--each 20] [--seeds 5]

Unlike ``simulate_verdicts``, which starts from acts, this runs everything: a stored run, own text, controls cut from
its text, measurement, verdicts, swapped labels.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np

from core.analyses.base import Silent
from core.analyses.decomposition import Params
from core.decompose.tester import decompose
from core.maths.rates import clopper_pearson
from core.maths.verdict_rules import CLASSES, UNDECIDED
from core.proposals.asking import Label
from tests.bench.simulate_verdicts import table
from tests.decompose.planted import KINDS, Planted, PlantedSource
from tests.decompose.test_tester import Given


def confusion(each: int, seeds: int) -> None:
    got: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
    swapped: Counter[str] = Counter()
    for seed in range(seeds):
        world = Planted(each=each, seed=seed)
        with tempfile.TemporaryDirectory() as folder:
            run = world.write(Path(folder))
            labels = [Label(j, world.label(j), "planted") for j in range(len(world.kinds))]
            params = Params(proposer="upload", bank="text", seed=seed)
            result = decompose(run, labels, Given(world), PlantedSource(world), params, Silent())
            for kind, found in zip(world.kinds, result.table("tests")["kind"], strict=True):
                got[kind][found] += 1
            swapped.update(pair["kind"] for pair in result.manifest["swapped_pairs"])
    rows = []
    for kind, right in KINDS.items():
        n = sum(got[kind].values())
        wrong = sum(k for c, k in got[kind].items() if c not in right | {UNDECIDED})
        lo, hi = (float(x) for x in clopper_pearson(np.array(wrong), np.array(n)))
        share = f"{100 * wrong / n:.1f} ({100 * lo:.1f}-{100 * hi:.1f})"
        rows.append([kind, *(got[kind][c] for c in CLASSES), share])
    table(f"{each} x {seeds} seeds, end to end", ("constructed", *CLASSES, "false decisive % (95 %)"), rows)
    print("\nswapped labels:", dict(swapped))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=int, default=20, help="constructed features per kind and seed")
    parser.add_argument("--seeds", type=int, default=5)
    args = parser.parse_args()
    confusion(args.each, args.seeds)


if __name__ == "__main__":
    main()
