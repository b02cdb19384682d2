"""Task 3: features that behave differently on two groups of prompts.

Effects stand beside the best that shuffled groups give, and the ranking is by what a feature does on prompts that did
not choose it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from core.analyses.base import Progress, Silent
from core.analyses.prompt_model import PromptActs, PromptModel, TokenView
from core.errors import InputError, did_you_mean
from core.lab.prompts import PromptTable, n_tokens, require, usable
from core.lab.result import LabResult, frame
from core.lab.tables import CONTRASTED, FOLDS, NULL_BEST
from core.lab.testing import feature_labels, views_frame
from core.lab.whole_prompts import prompt_matrix
from core.maths.firing_lift import discovery_rate
from core.maths.group_contrast import HeldOut, Shuffled, compare_shuffled, difference_intervals, exact_p, held_out
from core.maths.sparse_auroc import SparseRanks, auroc_interval
from core.store import Run

MIN_UNITS = 3


@dataclass(frozen=True)
class ContrastParams:
    """``a`` and ``b`` name the groups; "": the first and second of the prompts', which then must be the only two.

    ``theta``: firing is act > theta. ``alpha``: false discovery rate. ``n_intervals``: best ranks whose difference of
    shares gets a bootstrap interval.
    """

    a: str = ""
    b: str = ""
    theta: float = 0.0
    alpha: float = 0.05
    n_folds: int = 5
    n_shuffles: int = 1000
    n_intervals: int = 200
    seed: int = 0


@dataclass(frozen=True)
class _Groups:
    """The prompts compared: ``rows`` of the table, ``member`` those of a, ``unit`` what is exchangeable."""

    rows: np.ndarray
    member: np.ndarray
    unit: np.ndarray
    names: tuple[str, str]
    notes: tuple[str, ...]
    of_documents: bool

    def n_units(self, member: np.ndarray) -> int:
        return len(np.unique(self.unit[member]))


def contrast_groups(
    model: PromptModel,
    run: Run | None,
    prompts: PromptTable,
    params: ContrastParams | None = None,
    progress: Progress | None = None,
) -> LabResult:
    """Tables ``contrasted``, ``folds``, ``null_best`` and ``prompts``.

    ``run`` gives the labels of features and which of them were encoded; None: all features, without labels.
    """
    said = progress or Silent()
    said.stage("read the tokens")
    views = model.views(prompts.prompts)
    group_names(prompts, params or ContrastParams())  # before anything long begins
    said.stage("measure all features", len(prompts), "prompts")
    all_of_it = run is None or len(run.encoded_features) == run.manifest["sae"].get("d_sae")
    wanted = None if run is None or all_of_it else run.encoded_features.tolist()
    acts = model.prompt_acts(prompts.prompts, wanted, said.advance)
    return contrast_in(run, prompts, views, acts, params, said)


def contrast_in(
    run: Run | None,
    prompts: PromptTable,
    views: tuple[TokenView, ...],
    acts: PromptActs,
    params: ContrastParams | None = None,
    progress: Progress | None = None,
) -> LabResult:
    """The same for acts that were measured already; needs no model."""
    p, said = params or ContrastParams(), progress or Silent()
    groups = _groups(prompts, views, p)
    features = np.unique(acts.feature)
    matrix = prompt_matrix(acts, groups.rows, features, p.theta)
    fires = np.flatnonzero(np.diff(matrix.indptr))
    require(bool(len(fires)), "no feature fires on these prompts", "above this threshold", "lower it: --theta 0")
    matrix, features = matrix[:, fires], features[fires]
    said.stage("shuffle the groups")
    ranks = SparseRanks.of(matrix)
    shuffled = compare_shuffled(ranks, groups.member, groups.unit, p.n_shuffles, p.seed)
    said.stage("choose and judge")
    n_folds = min(p.n_folds, groups.n_units(groups.member), groups.n_units(~groups.member))
    judged = held_out(matrix, groups.member, groups.unit, n_folds, p.seed)
    table = _rows(features, matrix, ranks, groups, shuffled, judged, p)
    table["label"] = feature_labels(run, table["feature"].to_numpy())
    frames = {
        "contrasted": frame(CONTRASTED, table),
        "folds": frame(FOLDS, [_fold_row(row, features) for row in judged.chosen]),
        "null_best": frame(NULL_BEST, {"distance": shuffled.best}),
        "prompts": views_frame(prompts, views),
    }
    summary = _summary(table, groups, shuffled, judged, p)
    used = asdict(p) | {"a": groups.names[0], "b": groups.names[1], "n_folds": n_folds}
    return LabResult("contrast", used, summary, (*prompts.notes, *groups.notes, *_notes(views, groups)), frames)


def group_names(prompts: PromptTable, params: ContrastParams) -> tuple[str, str]:
    """The names of the two groups; InputError where they are not clear."""
    known = [g for g in dict.fromkeys(prompts.groups) if g]
    said = f"groups found: {', '.join(repr(g[:40]) for g in known[:10]) or 'none'}"
    for name in (params.a, params.b):
        if name and name not in known:
            raise InputError(f"no prompt is of group {name[:80]!r}", f"{said}. {did_you_mean(name, known)}".strip(),
                             "name two groups that are there")  # fmt: skip
    rest = [g for g in known if g not in (params.a, params.b)]
    missing = (not params.a) + (not params.b)
    if (missing and len(rest) != missing) or (params.a and params.a == params.b):
        raise InputError("two groups of prompts are compared", said, "name both: --a NAME --b NAME")
    a = params.a or rest.pop(0)
    return a, params.b or rest.pop(0)


def _groups(prompts: PromptTable, views: tuple[TokenView, ...], p: ContrastParams) -> _Groups:
    names = group_names(prompts, p)
    kept = np.array([i for i, g in enumerate(prompts.groups) if g in names], np.int64)
    left = len(prompts) - len(kept)
    rows, notes = usable(prompts.only(kept.tolist()), [views[i] for i in kept])
    rows = kept[rows]
    member = np.array([prompts.groups[i] == names[0] for i in rows], bool)
    words = [prompts.documents[i] if prompts.documents and prompts.documents[i] else f"\0{i}" for i in rows]
    unit = np.unique(np.array(words, dtype=str), return_inverse=True)[1] if len(words) else np.zeros(0, np.int64)
    said = (f"{left} prompts are in neither group",) if left else ()
    groups = _Groups(rows, member, unit, names, (*notes, *said), bool(prompts.documents))
    for name, group in zip(names, (member, ~member), strict=True):
        n = groups.n_units(group)
        what = "documents" if prompts.documents else "different prompts that can be measured"
        require(n >= MIN_UNITS, f"the group {name[:80]!r} is too small", f"it has {n} {what}",
                f"give at least {MIN_UNITS}, better 20")  # fmt: skip
    return groups


def _rows(
    features: np.ndarray,
    matrix: sparse.csc_matrix,
    ranks: SparseRanks,
    groups: _Groups,
    shuffled: Shuffled,
    judged: HeldOut,
    p: ContrastParams,
) -> pd.DataFrame:
    """Rows of ``CONTRASTED`` without labels, best first."""
    member = groups.member
    auroc = ranks.auroc(member[:, None])[:, 0]
    lo, hi = auroc_interval(auroc, groups.n_units(member), groups.n_units(~member))
    fires = (matrix > 0).astype(np.float64).tocsc()
    share_a, share_b = (np.asarray(fires[np.flatnonzero(g)].sum(0)).ravel() / g.sum() for g in (member, ~member))
    pvalue = shuffled.p if groups.of_documents else exact_p(matrix, ranks, member)
    q = discovery_rate(pvalue)
    table = pd.DataFrame({
        "feature": features, "share_a": share_a, "share_b": share_b, "difference": share_a - share_b,
        "auroc": auroc, "auroc_lo": lo, "auroc_hi": hi, "cliffs_delta": 2 * auroc - 1,
        "held_out_auroc": judged.auroc, "n_folds_best": judged.n_best, "p": pvalue, "q": q, "p_max": shuffled.p_max,
        "found": q <= p.alpha,
    })  # fmt: skip
    order = np.lexsort((features, pvalue, -np.nan_to_num(judged.auroc, nan=-1.0)))
    best = order[: p.n_intervals]
    ends = np.full((2, len(features)), np.nan)
    ends[:, best] = difference_intervals(fires[:, best], member, groups.unit, p.seed)
    table = table.assign(difference_lo=ends[0], difference_hi=ends[1])
    return table.iloc[order].reset_index(drop=True).assign(rank=np.arange(len(features)))


def _fold_row(row: tuple[int, int, float, float, int, int], features: np.ndarray) -> dict[str, Any]:
    fold, column, chosen, out, n_a, n_b = row
    return {"fold": fold, "feature": int(features[column]), "auroc_chosen": chosen, "auroc_held_out": out,
            "n_a": n_a, "n_b": n_b}  # fmt: skip


def _summary(
    table: pd.DataFrame, groups: _Groups, shuffled: Shuffled, judged: HeldOut, p: ContrastParams
) -> dict[str, Any]:
    """The best feature beside the best of shuffled groups, and what choosing one is worth."""
    best = table.loc[(table["auroc"] - 0.5).abs().idxmax()]
    out = [row[3] for row in judged.chosen]
    return {
        "a": groups.names[0], "b": groups.names[1], "n_a": int(groups.member.sum()), "n_b": int((~groups.member).sum()),
        "n_tested": len(table), "n_found": int(table["found"].sum()), "alpha": p.alpha,
        "best_feature": int(best["feature"]), "best_auroc": float(best["auroc"]), "best_p_max": float(best["p_max"]),
        "shuffled_best_median": 0.5 + float(np.median(shuffled.best)),
        "shuffled_best_95": 0.5 + float(np.quantile(shuffled.best, 0.95)),
        "chosen_held_out_auroc": float(np.mean(out)) if out else None,
    }  # fmt: skip


def _notes(views: tuple[TokenView, ...], groups: _Groups) -> tuple[str, ...]:
    """Says so where length alone tells the groups apart, and what is shuffled."""
    lengths = n_tokens(views)[groups.rows].astype(float)
    matrix = sparse.csc_matrix(lengths[:, None])
    area = float(SparseRanks.of(matrix).auroc(groups.member[:, None])[0, 0])
    lo, hi = auroc_interval(np.array([area]), groups.n_units(groups.member), groups.n_units(~groups.member))
    longer = groups.names[0] if area > 0.5 else groups.names[1]
    notes = [f"{'documents are' if groups.of_documents else 'each prompt is'} taken as independent"]
    if lo[0] > 0.5 or hi[0] < 0.5:
        notes.append(f"prompts of {longer!r} are longer (length alone: AUROC {area:.2f}), and longer text fires more")
    return tuple(notes)
