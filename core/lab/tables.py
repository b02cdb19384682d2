"""The tables of the prompt lab: columns, units and what absence means. A saved set holds the same."""

from __future__ import annotations

import pyarrow as pa

from core.tables import Column, TableSpec, f32, f64, flag, i32, text

_prompt = Column("prompt", i32, "", "number of the prompt, from 0")
_feature = Column("feature", i32, "", "SAE unit")


def _interval(name: str, unit: str, how: str) -> tuple[Column, Column]:
    return Column(f"{name}_lo", f64, unit, f"95 % interval, {how}"), Column(f"{name}_hi", f64, unit, "its upper end")


PROMPTS = TableSpec(
    "prompts",
    "the prompts, and each as the model sees it",
    (
        _prompt,
        Column("text", text, "", "as written; turns with their roles, one a line"),
        Column("turns", text, "", 'JSON list of {"role", "content"}; null: plain text'),
        Column("label", text, "", "what its author says of it; null: nothing"),
        Column("group", text, "", "null: none"),
        Column("document", text, "", "prompts of one document are alike; null: each stands alone"),
        Column("n_tokens", i32, "tokens", "positions that are scored; 0: nothing can be measured"),
        Column("n_cut", i32, "tokens", "dropped after the SAE's context"),
        Column("problem", text, "", "why nothing can be measured; null: nothing is wrong"),
        Column("token_ids", pa.list_(i32), "", "special tokens included"),
        Column("str_tokens", pa.list_(text), "", "parallel to token_ids"),
        Column("is_special", pa.list_(flag), "", "BOS, EOS, PAD, control tokens: never scored"),
        Column("is_unknown", pa.list_(flag), "", "stands for text that the vocabulary lacks"),
        Column("log_probs", pa.list_(f32), "nats", "log p(token | all before it), NaN at first; null: not measured"),
    ),
    sort=("prompt",),
    row_group_size=1024,
)

TOKEN_ACTS = TableSpec(
    "token_acts",
    "every firing of the chosen features: act > 0 at a position that is not special",
    (
        _feature,
        _prompt,
        Column("pos", i32, "tokens", "position in token_ids"),
        Column("act", f32, "SAE units", "post-nonlinearity, always > 0"),
    ),
    sort=("feature", "prompt", "pos"),
)

CELLS = TableSpec(
    "cells",
    "chosen features x prompts",
    (
        _prompt,
        _feature,
        Column("max_act", f32, "SAE units", "largest act; null for a prompt without tokens, here and below"),
        Column("mean_act", f32, "SAE units", "over all scored tokens, silent ones as 0"),
        Column("last_act", f32, "SAE units", "at the last scored token"),
        Column("n_firing", i32, "tokens", "act > theta"),
        Column("fires", flag, "", "n_firing > 0"),
    ),
    sort=("prompt", "feature"),
)

TESTED = TableSpec(
    "tested",
    "what each chosen feature does on the prompts, beside what it does in the run",
    (
        _feature,
        Column("label", text, "", "the feature's first label; null: none"),
        Column("n_prompts", i32, "prompts", "that can be measured"),
        Column("n_fired", i32, "prompts", "with a token above theta"),
        Column("share", f64, "share of prompts", "n_fired / n_prompts; null without prompts"),
        *_interval("share", "share of prompts", "Clopper-Pearson"),
        Column("token_share", f64, "share of tokens", "of the prompts' tokens above theta"),
        Column("run_density", f64, "share of tokens", "act > theta in the run's text; null: no run was given"),
        Column("act_max", f32, "SAE units", "largest act on the prompts; null: silent"),
        Column("run_act_max", f32, "SAE units", "largest act in the run; null: silent there"),
    ),
    sort=("feature",),
)

FOUND = TableSpec(
    "found",
    "features on these prompts against stretches of the run's contexts as long as the prompts",
    (
        _feature,
        Column("rank", i32, "", "0: smallest p, then largest AUROC"),
        Column("label", text, "", "the feature's first label; null: none"),
        Column("n_fired", i32, "prompts", "with a token above theta"),
        Column("share", f64, "share of prompts", "consistency: n_fired / prompts"),
        *_interval("share", "share of prompts", "Clopper-Pearson"),
        Column(
            "base", text, "", "beginnings | anywhere: stretches of the run's contexts that make it look less special"
        ),
        Column("base_share", f64, "share of contexts", "of those stretches with a token above theta"),
        *_interval("base", "share of contexts", "Clopper-Pearson"),
        Column("lift", f64, "ratio", "share / base_share; null where no stretch fires"),
        *_interval("lift", "ratio", "of log ratio with half a firing added (Pettigrew)"),
        Column("auroc", f64, "share", "largest act on a prompt against on a stretch, ties half"),
        *_interval("auroc", "share", "Newcombe 2006, method 5"),
        Column("p", f64, "share", "Fisher's exact test, one-sided: more on the prompts; the larger of both bases"),
        Column("q", f64, "share", "Benjamini-Hochberg over all features tested"),
        Column("found", flag, "", "q <= alpha"),
        Column("max_act", f32, "SAE units", "largest on the prompts; null: silent there"),
    ),
    sort=("rank",),
)

CONTRASTED = TableSpec(
    "contrasted",
    "features that behave differently on two groups of prompts: positive is more in group a",
    (
        _feature,
        Column("rank", i32, "", "0: largest held-out AUROC"),
        Column("label", text, "", "the feature's first label; null: none"),
        Column("share_a", f64, "share of prompts", "of group a with a token above theta"),
        Column("share_b", f64, "share of prompts", "of group b"),
        Column("difference", f64, "share of prompts", "share_a - share_b"),
        *_interval("difference", "share of prompts", "bootstrap over prompts or documents; null beyond the best ranks"),
        Column("auroc", f64, "share", "largest act on a prompt of a against one of b, ties half; below .5: more in b"),
        *_interval("auroc", "share", "Newcombe 2006, method 5; n are documents where given"),
        Column("cliffs_delta", f64, "share", "2 auroc - 1"),
        Column("held_out_auroc", f64, "share", "mean over folds, turned the way the other folds point; chance .5"),
        Column("n_folds_best", i32, "folds", "folds in which it was among the ten best of the others"),
        Column("p", f64, "share", "two-sided: fires on more, or fires stronger where it fires"),
        Column("q", f64, "share", "Benjamini-Hochberg over all features tested"),
        Column("p_max", f64, "share", "of shuffled groups whose best feature is at least as far from .5"),
        Column("found", flag, "", "q <= alpha"),
    ),
    sort=("rank",),
)

FOLDS = TableSpec(
    "folds",
    "the best feature chosen without a fold, and what it does on that fold",
    (
        Column("fold", i32, "", "from 0"),
        _feature,
        Column("auroc_chosen", f64, "share", "on the folds it was chosen on, turned to be >= .5"),
        Column("auroc_held_out", f64, "share", "on the fold left out, turned the same way; chance .5"),
        Column("n_a", i32, "prompts", "of group a in the fold"),
        Column("n_b", i32, "prompts", "of group b in the fold"),
    ),
    sort=("fold",),
)

NULL_BEST = TableSpec(
    "null_best",
    "the best feature of shuffled groups, one row a shuffle",
    (Column("distance", f64, "share", "largest |AUROC - .5| over features"),),
    sort=("distance",),
)

ACCOUNT_TEXTS = TableSpec(
    "account_texts",
    "every prompt of a hypothesis, counter-examples first",
    (
        _prompt,
        Column("rank", i32, "", "0: loudest negative ... silent positives ... then what agrees"),
        Column("text", text, "", "as written"),
        Column("positive", flag, "", "the hypothesis says that the feature fires on it"),
        Column("fires", flag, "", "some token above theta"),
        Column("counter_example", flag, "", "positive != fires"),
        Column("max_act", f32, "SAE units", "0: silent"),
        Column("n_firing", i32, "tokens", "act > theta"),
        Column("n_tokens", i32, "tokens", "that are scored"),
        Column("peak_pos", i32, "tokens", "position of the largest act in the prompt's tokens; null: silent"),
        Column("peak_token", text, "", "its token; null: silent"),
    ),
    sort=("rank",),
)

ACCOUNT_RATES = TableSpec(
    "account_rates",
    "a hypothesis in numbers",
    (
        Column("level", text, "", "text | token"),
        Column("measure", text, "", "sensitivity, specificity, balanced accuracy ..."),
        Column("value", f64, "share", "null: not defined"),
        *_interval("value", "share", "Clopper-Pearson for texts, bootstrap over texts for tokens; null: not defined"),
        Column("n", i32, "", "texts or tokens it is a share of; null where it is not"),
        Column("chance", f64, "share", "what firing at random places gives; null: not defined"),
        Column("by_length", f64, "share", "what random firing gives on texts of these lengths; null: not defined"),
        Column("about", text, "", "in words"),
    ),
    sort=(),
)

ACCOUNT_PLACES = TableSpec(
    "account_places",
    "where in the texts the feature fires: ten equal stretches of each text",
    (
        Column("positive", flag, "", "of positive or negative texts"),
        Column("decile", i32, "", "0: the first tenth of a text's scored tokens"),
        Column("n_tokens", i32, "tokens", "scored tokens there"),
        Column("n_firing", i32, "tokens", "act > theta"),
    ),
    sort=("positive", "decile"),
)

ACCOUNT_TOKENS = TableSpec(
    "account_tokens",
    "which tokens the feature fires at",
    (
        Column("str_token", text, "", "the token"),
        Column("n_firing_positive", i32, "tokens", "firings in positive texts"),
        Column("n_positive", i32, "tokens", "occurrences in positive texts"),
        Column("n_firing_negative", i32, "tokens", "firings in negative texts"),
        Column("n_negative", i32, "tokens", "occurrences in negative texts"),
        Column("max_act", f32, "SAE units", "largest act at it"),
    ),
    sort=(),
)

DECODED = TableSpec(
    "decoded",
    "tokens that the direction promotes and suppresses",
    (
        Column("sign", text, "", "promoted | suppressed"),
        Column("rank", i32, "", "0: most"),
        Column("token_id", i32, "", ""),
        Column("str_token", text, "", "the token"),
        Column("logit", f32, "nats", "change before the softmax"),
        Column("beyond_random", flag, "", "larger than what random directions of the same norm reach at their best"),
    ),
    sort=("sign", "rank"),
)

CONTINUATIONS = TableSpec(
    "continuations",
    "what the model goes on with",
    (
        Column("prompt", i32, "", "number of the prompt, from 0"),
        Column("kind", text, "", "unsteered | steered | random"),
        Column("strength", f64, "", "multiplies the direction; 0: unsteered"),
        Column("text", text, "", "the continuation"),
        Column("str_tokens", pa.list_(text), "", "its tokens"),
        Column("token_ids", pa.list_(i32), "", "their ids"),
        Column("log_probs", pa.list_(f32), "nats", "of its tokens as they were written"),
        Column("plain_log_probs", pa.list_(f32), "nats", "of the same tokens from the model untouched"),
        Column("mean_log_prob", f64, "nats", "mean of log_probs; null without tokens"),
        Column("mean_plain_log_prob", f64, "nats", "mean of plain_log_probs"),
    ),
    sort=("prompt",),
)

SPECS = {
    s.name: s
    for s in (PROMPTS, TOKEN_ACTS, CELLS, TESTED, FOUND, CONTRASTED, FOLDS, NULL_BEST, ACCOUNT_TEXTS, ACCOUNT_RATES,
              ACCOUNT_PLACES, ACCOUNT_TOKENS, DECODED, CONTINUATIONS)
}  # fmt: skip
