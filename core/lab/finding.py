"""Task 2: features that fire consistently on these prompts and not elsewhere.

Elsewhere is the run's own text. A longer text fires more, so every prompt is compared with stretches of the run's
contexts as long as itself: with their beginnings and with stretches anywhere in them. A feature has to fire more on the
prompts than on both, and all its numbers are against the one that makes it look less special. What fires at the start
of any text does not come out, nor does what the run's texts speak of later on, nor a strong but ordinary feature.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from core.analyses.base import Progress, Silent
from core.analyses.prompt_model import PromptActs, PromptModel, TokenView
from core.lab.prompts import PromptTable, n_tokens, require, usable
from core.lab.result import LabResult, frame
from core.lab.tables import FOUND
from core.lab.testing import feature_labels, views_frame
from core.lab.whole_prompts import ANYWHERE, BEGINNINGS, Base, base_of_run, prompt_matrix
from core.maths.firing_lift import discovery_rate, fisher_more, lift_interval
from core.maths.rates import clopper_pearson
from core.maths.sparse_auroc import SparseRanks, auroc_interval
from core.store import Run

MIN_PROMPTS = 3


@dataclass(frozen=True)
class FindParams:
    """``theta``: firing is act > theta. ``alpha``: false discovery rate. ``max_contexts`` to compare with at most."""

    theta: float = 0.0
    alpha: float = 0.05
    max_contexts: int = 20_000
    seed: int = 0


def find_features(
    model: PromptModel,
    run: Run,
    prompts: PromptTable,
    params: FindParams | None = None,
    progress: Progress | None = None,
) -> LabResult:
    """Tables ``found`` (features that fire on a prompt or a cut context, best first) and ``prompts``."""
    said = progress or Silent()
    said.stage("read the tokens")
    views = model.views(prompts.prompts)
    said.stage("measure all features", len(prompts), "prompts")
    features = run.encoded_features
    wanted = None if len(features) == run.manifest["sae"].get("d_sae") else features.tolist()
    acts = model.prompt_acts(prompts.prompts, wanted, said.advance)
    return find_in(run, prompts, views, acts, params, said)


def find_in(
    run: Run,
    prompts: PromptTable,
    views: tuple[TokenView, ...],
    acts: PromptActs,
    params: FindParams | None = None,
    progress: Progress | None = None,
) -> LabResult:
    """The same for acts that were measured already; needs no model."""
    p, said = params or FindParams(), progress or Silent()
    rows, notes = one_a_document(prompts, *usable(prompts, views), p.seed)
    require(len(rows) >= MIN_PROMPTS, "too few prompts to find features with",
            f"{len(rows)} different ones can be measured", f"give at least {MIN_PROMPTS}, better 20")  # fmt: skip
    features = run.encoded_features
    mine = prompt_matrix(acts, rows, features, p.theta)
    said.stage("read the run's firings", len(features), "features")
    base = base_of_run(run, n_tokens(views)[rows], features, p.theta, p.max_contexts, p.seed, said.advance)
    said.stage("compare")
    table = _compare(features, mine, base, p)
    table["label"] = feature_labels(run, table["feature"].to_numpy())
    n_silent = len(features) - len(table)
    summary = {
        "n_prompts": len(rows), "n_contexts": len(base.cuts.context), "n_tested": len(table), "n_silent": n_silent,
        "n_found": int(table["found"].sum()), "alpha": p.alpha,
        "median_tokens": float(np.median(n_tokens(views)[rows])),
    }  # fmt: skip
    about = (f"compared with {len(base.cuts.context):,} contexts of the run, cut to the prompts' lengths",
             f"{n_silent:,} features are silent on prompts and contexts: they are not tested")  # fmt: skip
    frames = {"found": frame(FOUND, table), "prompts": views_frame(prompts, views)}
    return LabResult("find", asdict(p), summary, (*prompts.notes, *notes, *base.notes, *about), frames)


def one_a_document(
    prompts: PromptTable, rows: np.ndarray, notes: tuple[str, ...], seed: int
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Prompts of one document are no independent evidence: one of each is drawn."""
    if not prompts.documents:
        return rows, notes
    names = np.array([prompts.documents[i] or f"\0{i}" for i in rows], object)
    order = np.random.default_rng([seed, 25]).permutation(len(rows))
    kept = np.sort(order[np.unique(names[order].astype(str), return_index=True)[1]])
    left = len(rows) - len(kept)
    said = (f"{left} prompts left out: others of their document are there",) if left else ()
    return rows[kept], (*notes, *said)


def _compare(features: np.ndarray, mine: sparse.csc_matrix, base: Base, p: FindParams) -> pd.DataFrame:
    """Rows of ``FOUND`` without labels: features that fire anywhere, best first."""
    fired = np.diff(mine.indptr)
    tested = np.flatnonzero(fired + np.diff(base.beginnings.indptr) + np.diff(base.anywhere.indptr))
    mine = mine[:, tested]
    first, second = (_against(mine, b[:, tested]) for b in (base.beginnings, base.anywhere))
    table = first.where(first["p"] >= second["p"], second)
    table["base"] = np.where(first["p"] >= second["p"], BEGINNINGS, ANYWHERE)
    x = fired[tested]
    lo, hi = clopper_pearson(x, mine.shape[0])
    q = discovery_rate(table["p"].to_numpy())
    most = np.asarray(mine.max(0).todense()).ravel()
    table = table.assign(
        feature=features[tested], n_fired=x, share=x / mine.shape[0], share_lo=lo, share_hi=hi, q=q, found=q <= p.alpha,
        max_act=np.where(x > 0, most, np.nan),
    )  # fmt: skip
    order = np.lexsort((table["feature"], -table["auroc"], table["p"]))
    return table.iloc[order].reset_index(drop=True).assign(rank=np.arange(len(table)))


def _against(mine: sparse.csc_matrix, base: sparse.csc_matrix) -> pd.DataFrame:
    """The numbers of every feature that depend on what it is compared with."""
    n, n_base = mine.shape[0], base.shape[0]
    x, y = np.diff(mine.indptr).astype(int), np.diff(base.indptr).astype(int)
    member = np.arange(n + n_base) < n
    auroc = SparseRanks.of(sparse.vstack([mine, base]).tocsc()).auroc(member[:, None])[:, 0]
    base_lo, base_hi = clopper_pearson(y, n_base)
    lift_lo, lift_hi = lift_interval(x, n, y, n_base)
    area_lo, area_hi = auroc_interval(auroc, n, n_base)
    return pd.DataFrame({
        "base_share": y / n_base, "base_lo": base_lo, "base_hi": base_hi,
        "lift": np.divide(x / n, y / n_base, out=np.full(len(x), np.nan), where=y > 0),
        "lift_lo": lift_lo, "lift_hi": lift_hi, "auroc": auroc, "auroc_lo": area_lo, "auroc_hi": area_hi,
        "p": fisher_more(x, n, y, n_base),
    })  # fmt: skip
