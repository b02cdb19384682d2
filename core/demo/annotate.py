"""The planted truth of documents, in the layout that any annotated corpus has (`core.annotation`)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from core.annotation import Annotation
from core.demo.world import Document, World

#: partition of the text in which a kind of concept is judged at span level; sentences for every other kind
SPAN_LEVEL = {"region": "block", "stage": "stage", "topic": "document"}


def annotate(world: World, documents: Sequence[Document]) -> Annotation:
    """What is true of ``documents``, which are rows 0, 1, 2 ... of the corpus file."""
    ids = {name: i for i, (name, _) in enumerate(world.concepts)}
    tokens = [
        (row, token, ids[concept])
        for row, document in enumerate(documents)
        for token, held in enumerate(document.concepts)
        for concept in sorted(held, key=ids.__getitem__)
    ]
    spans = [
        (row, s.level, s.start, s.end)
        for row, document in enumerate(documents)
        for s in sorted(document.spans, key=lambda s: (s.level, s.start))
    ]
    token_frame = pd.DataFrame(tokens, columns=["document", "token", "concept"])
    token_frame = token_frame.astype({"document": "int32", "token": "int32", "concept": "int16"})
    span_frame = pd.DataFrame(spans, columns=["document", "level", "start", "stop"])
    n_tokens = sum(len(d.tokens) for d in documents)
    held = np.bincount(token_frame["concept"], minlength=len(ids))
    concepts = pd.DataFrame(
        {
            "concept": [name for name, _ in world.concepts],
            "kind": [kind for _, kind in world.concepts],
            "level": [SPAN_LEVEL.get(kind, "sentence") for _, kind in world.concepts],
            "prevalence": held / max(1, n_tokens),
        }
    )
    span_frame = span_frame.astype({"document": "int32", "start": "int32", "stop": "int32"})
    return Annotation(concepts, token_frame, span_frame)
