"""The running top 20 against a full sort."""

from __future__ import annotations

import numpy as np
import pytest

from core.maths.near_misses import N_KEPT, NearMisses, scan


def world(n_rows: int, n_columns: int, seed: int, distinct: int | None) -> tuple[np.ndarray, np.ndarray]:
    """acts and hidden_pre; with ``distinct`` values only, so that ties are everywhere."""
    rng = np.random.default_rng(seed)
    pre = rng.normal(-1, 1, (n_rows, n_columns)).astype(np.float32)
    if distinct:
        pre = np.round(pre * distinct) / np.float32(distinct)
    return np.where(pre > 0.4, pre, 0).astype(np.float32), pre


def best_by_sorting(acts: np.ndarray, pre: np.ndarray, context: np.ndarray, pos: np.ndarray) -> list[list[tuple]]:
    columns = []
    for j in range(acts.shape[1]):
        quiet = np.flatnonzero(acts[:, j] <= 0)
        ranked = sorted(quiet, key=lambda r: (-pre[r, j], context[r], pos[r]))
        columns.append([(float(pre[r, j]), int(context[r]), int(pos[r])) for r in ranked[:N_KEPT]])
    return columns


def found(state: NearMisses) -> list[list[tuple]]:
    column, _, pre, context, pos = state.rows()
    rows = list(zip(pre.tolist(), context.tolist(), pos.tolist(), strict=True))
    return [[row for row, c in zip(rows, column, strict=True) if c == j] for j in range(len(state.context))]


@pytest.mark.parametrize("distinct", [None, 4])
@pytest.mark.parametrize("n_columns", [1, 33, 70])
def test_pieces_in_any_order_give_the_twenty_highest_of_the_whole(n_columns: int, distinct: int | None) -> None:
    n_rows = 300
    acts, pre = world(n_rows, n_columns, n_columns, distinct)
    context = (np.arange(n_rows) // 10).astype(np.int32)
    pos = (np.arange(n_rows) % 10).astype(np.int16)
    state, order = NearMisses.empty(n_columns), np.random.default_rng(0).permutation(n_rows)
    for chunk in np.array_split(order, 7):
        row = np.arange(len(chunk), dtype=np.int32)
        scan(acts[chunk].copy(), pre[chunk].copy(), row, context[chunk], pos[chunk], state)
    assert found(state) == best_by_sorting(acts, pre, context, pos)


def test_scan_returns_every_firing_once_in_order() -> None:
    acts, pre = world(50, 70, 3, None)
    row = np.arange(100, 150, dtype=np.int32)
    rows, columns, values = scan(acts, pre, row, row, row.astype(np.int16), NearMisses.empty(70))
    i, j = np.nonzero(acts)
    assert rows.tolist() == (i + 100).tolist()
    assert columns.tolist() == j.tolist()
    assert values.tolist() == acts[i, j].tolist()


def test_negative_acts_are_no_firings() -> None:
    acts = np.array([[-1.0, 2.0]], np.float32)  # a JumpReLU with a negative threshold can give such
    one = np.zeros(1, np.int32)
    _, columns, _ = scan(acts, acts, one, one, one.astype(np.int16), NearMisses.empty(2))
    assert columns.tolist() == [1]


def test_offering_the_parts_of_a_state_rebuilds_it() -> None:
    acts, pre = world(200, 5, 9, 4)
    rows, pos = np.arange(200, dtype=np.int32), np.zeros(200, np.int16)
    whole, first, rebuilt = NearMisses.empty(5), NearMisses.empty(5), NearMisses.empty(5)
    scan(acts, pre, rows, rows, pos, whole)
    scan(acts[:90], pre[:90], rows[:90], rows[:90], pos[:90], first)
    for part in (first.rows(), whole.rows(90)):
        column, _, hidden_pre, context, at = part
        rebuilt.offer(column, hidden_pre, context, at)
    assert found(rebuilt) == found(whole)


def test_fewer_rows_than_are_kept_leave_room_unused() -> None:
    state = NearMisses.empty(2)
    pre = np.full((3, 2), -1, np.float32)
    rows = np.arange(3, dtype=np.int32)
    scan(np.zeros_like(pre), pre, rows, rows, rows.astype(np.int16), state)
    assert [len(column) for column in found(state)] == [3, 3]
    assert np.isneginf(state.threshold).all()
