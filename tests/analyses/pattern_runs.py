"""Runs on disk whose features fire by topic of the document, or independently."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

from core.store import Run
from tests.factories import WORDS, World, write_run

N_TOPICS = 4


@cache
def topic_world(structured: bool = True, n_contexts: int = 400, n_pos: int = 16, d_sae: int = 40) -> World:
    """Features 2.. belong to topic ``feature % 4`` and fire there ten times as often; 0 is dead, 1 always fires.

    Documents are four contexts of one topic, whose words are four times as frequent in them. Not ``structured``:
    features fire at the same rates, wherever.
    """
    rng = np.random.default_rng(0)
    document = np.arange(n_contexts) // 4
    topic = rng.integers(0, N_TOPICS, n_contexts // 4 + 1)[document]
    weights = np.where(np.arange(len(WORDS)) % N_TOPICS == np.arange(N_TOPICS)[:, None], 4.0, 1.0)
    tokens = np.stack([1 + rng.choice(len(WORDS), n_pos, p=weights[t] / weights[t].sum()) for t in topic])
    tokens[:, 0] = 0
    member = np.arange(d_sae) % N_TOPICS == topic[:, None]
    rate = np.where(member, 0.3, 0.03) if structured else np.full(member.shape, 0.1)
    acts = rng.gamma(2.0, 1.0, (n_contexts, n_pos, d_sae)) * (rng.random((n_contexts, n_pos, d_sae)) < rate[:, None])
    acts[..., 0], acts[..., 1], acts[:, 0] = 0, 1.5, 0
    return World(tokens.astype(np.int32), acts.astype(np.float32), document)


@cache
def token_world(n_contexts: int = 400, n_pos: int = 16, d_sae: int = 40) -> World:
    """Feature j fires half of the time on tokens of group ``j % 4`` and never elsewhere; given the token, at random."""
    rng = np.random.default_rng(0)
    tokens = rng.integers(1, len(WORDS) + 1, (n_contexts, n_pos)).astype(np.int32)
    tokens[:, 0] = 0
    follows = (tokens % N_TOPICS)[..., None] == np.arange(d_sae) % N_TOPICS
    acts = follows * (rng.random((n_contexts, n_pos, d_sae)) < 0.5) * rng.gamma(2.0, 1.0, (n_contexts, n_pos, d_sae))
    acts[:, 0] = 0
    return World(tokens, acts.astype(np.float32), np.arange(n_contexts) // 4)


def topic_run(folder: Path, structured: bool = True, **shape: int) -> Run:
    """The world as a run."""
    return write_run(folder, "topics" if structured else "null", topic_world(structured, **shape))
