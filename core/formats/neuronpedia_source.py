"""Neuronpedia's activation endpoint as ``ActivationSource``: decomposition tests without the model on this machine.

A request is one feature and four texts, so only what is needed is asked for, and all answers are kept in a journal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from core.analyses.activation_source import Measured, Stimulus
from core.errors import InputError
from core.formats.neuronpedia_activation import NeuronpediaActivations
from core.store import Run


class NeuronpediaSource:
    """An ``ActivationSource`` over one SAE that Neuronpedia serves.

    Its acts have the decoder's norm folded in: rates and thresholds of one source belong together, and are not mixed
    with those of a run's own model.
    """

    def __init__(self, client: NeuronpediaActivations) -> None:
        self.client = client

    @classmethod
    def of_run(cls, run: Run, journal: Path, **options: Any) -> NeuronpediaSource:
        """The source of a run's SAE, if Neuronpedia has it; InputError otherwise."""
        sae = run.manifest["sae"].get("neuronpedia_id")
        if not sae:
            raise InputError(
                f"Neuronpedia does not know the SAE of {run.name!r}",
                "its files name no neuronpedia_id",
                "let the run's own model measure: --source run",
            )
        return cls(NeuronpediaActivations(sae, journal, **options))

    @property
    def about(self) -> dict[str, Any]:
        """Service and SAE."""
        client = self.client
        return {
            "source": "Neuronpedia",
            "base_url": client.endpoint.base_url,
            "sae": f"{client.model}/{client.source}",
            "device": "Neuronpedia",
        }

    def measure(
        self, stimuli: Sequence[Stimulus], features: Sequence[int], advance: Callable[[float], None] = lambda n: None
    ) -> Measured:
        """See ``ActivationSource``; ``features`` that no stimulus needs are not asked for."""
        most = np.full((len(stimuli), len(features)), np.nan, np.float32)
        tokens: list[tuple[str, ...]] = [()] * len(stimuli)
        acts: dict[tuple[int, int], np.ndarray] = {}
        problems: dict[int, str] = {}
        done = [0] * len(stimuli)
        wanted = [set(features if s.needed is None else s.needed) | set(s.features) for s in stimuli]
        for column, feature in enumerate(features):
            rows = [i for i, needed in enumerate(wanted) if feature in needed]
            for i, found in zip(rows, self.client.fetch_acts(feature, [stimuli[i].text for i in rows]), strict=True):
                real = ~found.special
                if found.act_max is None:
                    problems[i] = found.problem or "there is no token in it"
                else:
                    most[i, column] = found.act_max
                if feature in stimuli[i].features:
                    tokens[i] = tuple(t for t, r in zip(found.tokens, real, strict=True) if r)
                    acts[i, feature] = found.acts[real]
                done[i] += 1
                if done[i] == len(wanted[i] & set(features)):
                    advance(1)
        return Measured(most, tuple(tokens), acts, problems)

    def bos_acts(self, features: Sequence[int]) -> np.ndarray | None:
        """See ``ActivationSource``; out of answers that are there already, else a request per feature."""
        found = [self.client.fetch_bos_act(feature) for feature in features]
        if all(act is None for act in found):
            return None
        return np.array([np.nan if act is None else act for act in found], np.float32)
