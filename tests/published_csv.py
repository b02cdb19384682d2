"""A csv in the published layout of phrases tried on features, with everything that is known to be wrong with it."""

from __future__ import annotations

import csv
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

COLUMNS = (
    "iteration", "phrase", "sub_component", "activating_phrase", "max_value", "max_token", "feature_index",
    "num_tokens_activated", "total_activation", "raw_data",
)  # fmt: skip
SAE = ("gemma-2-2b", "20-gemmascope-res-16k")
WORDS = (
    "rain", "fell", "on", "<b>roads</b>", "when", "trains", "carried", "it's", "(goods)", '"across"', "#borders",
    "naïve", "🦊", "markets",
)  # fmt: skip
HOSTILE = (
    "__import__('os').system('touch hacked')",
    "{'tokens': __import__('os').listdir('/'), 'values': [1.0, 2.0]}",
    "{'tokens': ['<bos>', ' a'], 'values': [1.0, (lambda: 2.0)()]}",
    "{'tokens': ['<bos>', ' a'] * 10**9, 'values': [1.0, 2.0]}",
    "{" * 5000,
    "{'tokens': " + "[" * 3000 + "]" * 3000 + ", 'values': []}",
    "{'tokens': ['<bos>', ' a'], 'values': [1.0, 1e999]}",
    "{'tokens': ['<bos>', ' a'], 'values': [1.0, -2.0]}",
    "{'tokens': ['<bos>', ' a'], 'values': [1.0, True]}",
    "{'tokens': ['<bos>', ' a'], 'values': [1.0]}",
    "{'tokens': ['<bos>'], 'values': [1.0]}",
    "{'tokens': [1, 2], 'values': [1.0, 2.0]}",
    "['<bos>', 1.0]",
    "{'tokens': ['<bos>', ' a'], 'values': [1.0, 2.0], 'index': '999'}",
    "{'tokens': ['<bos>', ' a'], 'values': [1.0, 2.0], 'modelId': 'gpt2-small', 'layer': '6-res-jb'}",
    "nan",
    "x" * 10_000_000,
)


def row(
    feature: int, part: str, text: str, tokens: Sequence[str], values: Sequence[float], label: str = "", **changed: Any
) -> dict[str, Any]:
    """One row as the published script wrote it: its maximum and counts include BOS, its total does not."""
    top = max(range(len(values)), key=values.__getitem__)
    reply = {
        "modelId": SAE[0], "layer": SAE[1], "index": str(feature), "tokens": list(tokens), "values": list(values),
        "maxValue": values[top], "maxValueTokenIndex": top, "minValue": 0, "dfaValues": [],
    }  # fmt: skip
    return {
        "iteration": 1, "phrase": label or f"label of {feature}", "sub_component": part, "activating_phrase": text,
        "max_value": values[top], "max_token": tokens[top], "feature_index": feature,
        "num_tokens_activated": sum(v > 0 for v in values), "total_activation": sum(values[1:]),
        "raw_data": repr(reply),
    } | changed  # fmt: skip


def rows(n_features: int = 12, seed: int = 0) -> list[dict[str, Any]]:
    """Features of different rates, BOS maxima, repeated rows, errors and rows without a reply, in random order."""
    rng = random.Random(seed)
    made = []
    for feature in rng.sample(range(16_384), n_features):
        rate, bos = rng.choice([0.0, 0.02, 0.1, 0.4]), rng.choice([0.0, 5.0, 60.0])
        for part in rng.sample(WORDS, 5):
            for k in range(3):
                words = [rng.choice(WORDS) for _ in range(rng.randint(3, 12))]
                values = [bos, *(round(20 * rng.random(), 3) if rng.random() < rate else 0.0 for _ in words)]
                made.append(row(feature, part, f"{' '.join(words)} {k}", ["<bos>", *(f" {w}" for w in words)], values))
    made += [dict(r) for r in rng.sample(made, len(made) // 4)]
    for r in rng.sample(made, len(made) // 10):
        r["raw_data"] = ""
    for r in rng.sample(made, 5):
        r["raw_data"], r["max_value"] = "", "Error: 405"
    rng.shuffle(made)
    return made


def hostile_rows() -> list[dict[str, Any]]:
    """Rows none of which may be used."""
    ok = ("part", "a phrase", ["<bos>", " a"], [0.0, 1.0])
    bad = [row(7, *ok, raw_data=cell) for cell in HOSTILE]
    bad += [row(7, *ok, feature_index=index) for index in ("", "-1", "1e3", "12.5", "9" * 30, "<b>")]
    bad += [row(7, *ok, **{column: text}) for column in ("phrase", "activating_phrase") for text in ("", "x" * 9000)]
    return [*bad, row(7, *ok, sub_component="  ")]


def write_csv(path: Path, made: Iterable[dict[str, Any]], columns: Sequence[str] = COLUMNS) -> Path:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(made)
    return path
