"""Tables of the comparison of prototypes with features, and what the command line says of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import pyarrow as pa

from core.tables import Column, TableSpec

_i32, _f64, _text = pa.int32(), pa.float64(), pa.string()
GROUP = "feature | svd | varimax | nmf | feature, rows shuffled (the null)"

GROUPS = TableSpec(
    "groups",
    "means over components, with 95 % intervals by bootstrap over components",
    (
        Column("group", _text, "", GROUP),
        Column("n", _i32, "components", "in the group"),
        Column("k", _i32, "components", "prototypes found; 0: none stands above its null, and no group has any"),
        Column("n_rows", _f64, "rows", "median size of a component: the same by design"),
        Column("auroc", _f64, "0..1", "held-out rows told from others by a bag of tokens; chance 0.5"),
        Column("auroc_lo", _f64, "0..1", "lower end"),
        Column("auroc_hi", _f64, "0..1", "upper end"),
        Column("intruder", _f64, "share", "of trials in which the odd text of five is found; chance 0.2"),
        Column("intruder_lo", _f64, "share", "lower end"),
        Column("intruder_hi", _f64, "share", "upper end"),
        Column("topic_f1", _f64, "0..1", "with the planted topic of the text, chosen on the other half; null: none"),
        Column("topic_f1_lo", _f64, "0..1", "lower end"),
        Column("topic_f1_hi", _f64, "0..1", "upper end"),
        Column("concept_f1", _f64, "0..1", "with the planted concept at the row, chosen on the other half; null: none"),
        Column("concept_f1_lo", _f64, "0..1", "lower end"),
        Column("concept_f1_hi", _f64, "0..1", "upper end"),
    ),
    sort=(),
)
COMPONENTS = TableSpec(
    "components",
    "every component and how well it can be described",
    (
        Column("group", _text, "", GROUP),
        Column("number", _i32, "", "feature, or prototype (repeated at several densities)"),
        Column("n_rows", _i32, "rows", "that are the component's"),
        Column("auroc", _f64, "0..1", "as in groups; null: fewer than 5 rows in a half"),
        Column("intruder", _f64, "share", "as in groups; null: fewer than 4 documents"),
        Column("topic_f1", _f64, "0..1", "as in groups"),
        Column("concept_f1", _f64, "0..1", "as in groups"),
    ),
    sort=(),
)


def summarise(tables: Mapping[str, pd.DataFrame]) -> dict[str, list[dict[str, Any]]]:
    """The groups as rows for the command line."""
    groups = tables["groups"]
    frame = groups.drop(columns=["k"]).astype(object).where(groups.drop(columns=["k"]).notna(), None)
    return {"how well components can be described; chance 0.5 and 0.2": frame.to_dict("records")}
