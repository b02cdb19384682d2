"""What a decomposition test stores: one result folder ``<run>/decomposition/<key>/`` with these tables."""

from __future__ import annotations

import pyarrow as pa

from core.tables import Column, TableSpec

_i32, _f32, _f64, _text, _flag = pa.int32(), pa.float32(), pa.float64(), pa.string(), pa.bool_()
_ints, _floats, _texts = pa.list_(_i32), pa.list_(_f32), pa.list_(_text)

TESTS = TableSpec(
    "tests",
    "one row per label tested: its class, the sentence that says why, and every headline number",
    (
        Column("test", _i32, "", "0-based id, also the row number"),
        Column("feature", _i32, "", "SAE unit"),
        Column("label", _text, "", "the label tested"),
        Column("label_source", _text, "", "who or what wrote it"),
        Column("style", _text, "", "isolated | published"),
        Column("proposer", _text, "", "llm | upload | corpus | truth"),
        Column("generator", _text, "", "model and endpoint, file or method that wrote the phrases, or was to"),
        Column("kind", _text, "", "class at theta5; NOT-PROPOSED where no phrases could be had"),
        Column("reason", _text, "", "one sentence: why this class, or why no proposal"),
        Column("kind_theta0", _text, "", "class at theta 0; null: not proposed"),
        Column("reason_theta0", _text, "", "why; null: not proposed"),
        Column("theta5", _f64, "SAE units", "95th percentile of max act on the control bank; null: there is none"),
        Column("bos_act", _f32, "SAE units", "act at BOS, before any text; in no rate; null: not known, or no BOS"),
        Column("r0", _f64, "share", "bank phrases that fire at theta5, on the half that did not set it"),
        Column("r0_lo", _f64, "share", "95 % interval, bootstrap over groups"),
        Column("r0_hi", _f64, "share", "upper end"),
        Column("r0_theta0", _f64, "share", "bank phrases that fire at all"),
        Column("own_rate", _f64, "share", "rP: own text cut to the phrases' length fires; null: none measured"),
        Column("whole_rate", _f64, "share", "rG: phrases for the whole label fire; null: none measured"),
        Column("parts_rate", _f64, "share", "all parts' phrases fire; null: none measured"),
        Column("n_parts", _i32, "parts", "parts tested"),
        Column("n_parts_up", _i32, "parts", "parts that beat the control bank; null: no control phrases"),
        Column("n_parts_firing", _i32, "parts", "parts with any firing phrase: the published reading"),
        Column("n_phrases", _i32, "phrases", "phrases of parts that were measured"),
        Column("n_needed", _i32, "phrases", "per part, to decide; null: decided, or 200 would not do"),
        Column("index", _f64, "share", "DI = (mean part rate - r0) / (rG - r0); null unless the whole label fires"),
        Column("index_lo", _f64, "share", "95 % interval, bootstrap over phrases"),
        Column("index_hi", _f64, "share", "upper end"),
        Column("evenness", _f64, "share", "1/parts .. 1; null: no part's phrase fired"),
        Column("differ_p", _f64, "share", "permutation p that all parts have one rate"),
        Column("published_class", _text, "", "every | some | no part activates, after our class; null: no counterpart"),
        Column("published_count", _text, "", "the same read off counts alone, without controls"),
        Column("failure", _f64, "share", "how badly the label fails: own rate - whole label rate; null: not measured"),
        Column("problems", _texts, "", "what is not as it was asked for, in sentences"),
        Column("asked", _texts, "", "keys of the ledger: what the language model was asked, also in vain"),
    ),
    sort=("test",),
)

GROUPS = TableSpec(
    "groups",
    "how often each group of phrases fires, at both thresholds: the dots of the verdict screen",
    (
        Column("test", _i32, "", "row of tests"),
        Column("theta", _text, "", "theta5 | theta0"),
        Column("group", _text, "", "own | whole | part | pooled | near | other | label | shuffled"),
        Column("part_index", _i32, "", "0-based for parts, -1 otherwise"),
        Column("name", _text, "", "the part's word; the group's name otherwise"),
        Column("n", _i32, "phrases", "measured"),
        Column("fired", _i32, "phrases", "with max act > threshold at a non-special token"),
        Column("rate", _f64, "share", "fired / n; null when n = 0"),
        Column("lo", _f64, "share", "95 % interval: Clopper-Pearson; other: 2.5 % of control groups' rates"),
        Column("hi", _f64, "share", "upper end; other: 97.5 % of control groups' rates"),
        Column("upper", _f64, "share", "one-sided 95 % limit, the one ABSENT compares"),
        Column("absent_below", _f64, "share", "ABSENT: upper limit below this"),
        Column("p", _f64, "share", "rank among control groups of the same n; null: no test"),
        Column("adjusted_p", _f64, "share", "over the parts; parts only"),
        Column("up", _flag, "", "beats the control bank; null: no test"),
        Column("absent", _flag, "", "shown not to fire; null: no test"),
        Column("suspect", _flag, "", "parts only: p <= .05 unadjusted, not UP"),
    ),
    sort=("test", "theta", "group", "part_index"),
)

PHRASES = TableSpec(
    "phrases",
    "every phrase measured for a test, with every token's act",
    (
        Column("test", _i32, "", "row of tests"),
        Column("group", _text, "", "own | whole | part | near | other | label | shuffled; other: the strongest few"),
        Column("part_index", _i32, "", "0-based for parts, -1 otherwise"),
        Column("phrase_index", _i32, "", "0-based inside its group (and part)"),
        Column("phrase", _text, "", "the text"),
        Column("call", _i32, "", "which separate asking it came from"),
        Column("document", _i32, "", "document it was cut from; null: written, not cut"),
        Column("str_tokens", _texts, "", "tokens as the model saw them, special tokens left out"),
        Column("acts", _floats, "SAE units", "one per token"),
        Column("max_act", _f32, "SAE units", "0 = did not fire; null: not measured (empty after cleaning)"),
        Column("n_firing", _i32, "tokens", "tokens with act > 0"),
    ),
    sort=("test", "group", "part_index", "phrase_index"),
    row_group_size=4_096,
)

CLASS_RATES = TableSpec(
    "class_rates",
    "how often each class was given, and how often it is given to labels swapped between features",
    (
        Column("kind", _text, "", "class"),
        Column("n", _i32, "labels", "labels given this class"),
        Column("share", _f64, "share", "of labels tested"),
        Column("share_lo", _f64, "share", "95 % interval (Clopper-Pearson)"),
        Column("share_hi", _f64, "share", "upper end"),
        Column("n_swapped", _i32, "labels", "swapped labels given this class"),
        Column("swapped_share", _f64, "share", "of swapped labels that could be tested; null: none, or no claim"),
        Column("swapped_lo", _f64, "share", "95 % interval (exact, or bootstrap over features swapped twice)"),
        Column("swapped_hi", _f64, "share", "upper end"),
    ),
    sort=("kind",),
)

RETESTS = TableSpec(
    "retests",
    "labels tested a second time with other phrases, for Cohen's kappa; empty when no retest was asked for",
    (
        Column("test", _i32, "", "row of tests"),
        Column("kind", _text, "", "class the first time"),
        Column("kind_again", _text, "", "class the second time"),
    ),
    sort=("test",),
)

TABLES = (TESTS, GROUPS, PHRASES, CLASS_RATES, RETESTS)
