"""Specs and the check that a table keeps to them."""

from __future__ import annotations

import pyarrow as pa
import pytest

from core.errors import PrismError
from core.tables import ACTIVATION_INDEX, CONTEXTS, LABELS, RUN_TABLES, activations_spec

ALL = [*RUN_TABLES, LABELS, activations_spec("float16"), activations_spec("float32")]


@pytest.mark.parametrize("spec", ALL, ids=lambda s: s.name)
def test_every_table_and_column_says_what_it_is(spec):
    assert spec.about
    assert all(column.about for column in spec.columns)
    names = [column.name for column in spec.columns]
    assert len(set(names)) == len(names)
    assert set(spec.sort) <= set(names)
    assert spec.row_group_size > 0


def test_table_names_are_different_and_can_be_file_names():
    names = [spec.name for spec in [*RUN_TABLES, LABELS, activations_spec("float16")]]
    assert len(set(names)) == len(names)
    assert all(name.isidentifier() and name == name.lower() for name in names)


@pytest.mark.parametrize("spec", ALL, ids=lambda s: s.name)
def test_a_table_of_the_specs_schema_passes_and_columns_come_in_the_specs_order(spec):
    backwards = spec.schema.empty_table().select(spec.schema.names[::-1])
    assert spec.check(backwards).schema == spec.schema


def test_the_first_wrong_column_is_named():
    table = ACTIVATION_INDEX.schema.empty_table()
    with pytest.raises(PrismError, match="lacks the column 'first_row'"):
        ACTIVATION_INDEX.check(table.drop(["first_row", "n_firings"]))
    wrong = table.set_column(1, "first_row", pa.array([], pa.int32()))
    with pytest.raises(PrismError, match=r"'first_row'.*wrong type\nexpected int64, found int32"):
        ACTIVATION_INDEX.check(wrong)
    with pytest.raises(PrismError, match="unknown columns\nactt, zeal"):
        ACTIVATION_INDEX.check(table.append_column("zeal", pa.array([], pa.int8())).append_column("actt", pa.array([])))


def test_acts_are_stored_as_the_recipe_says():
    assert activations_spec("float16").schema.field("act").type == pa.float16()
    assert activations_spec("float32").schema.field("act").type == pa.float32()
    with pytest.raises(KeyError):
        activations_spec("float64")


def test_contexts_have_small_row_groups_so_that_a_page_reads_little():
    assert CONTEXTS.row_group_size <= 1024
