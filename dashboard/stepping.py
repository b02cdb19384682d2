"""Next, previous, random: callbacks that move the subject from feature to feature."""

from __future__ import annotations

import numpy as np

from core.store import Run
from dashboard import readers, subject


def move(run: Run, feature: int, by: int, through_list: bool) -> None:
    """One on (+1) or back (-1), round the ends, through the list at hand or all encoded features.

    A feature that is not among them goes to the nearest number in that direction.
    """
    steps = np.array(subject.features()) if through_list and subject.features() else run.encoded_features
    here = np.flatnonzero(steps == feature)
    if len(here):
        subject.choose(feature=int(steps[(here[0] + by) % len(steps)]))
    else:
        further = steps[steps > feature] if by > 0 else steps[steps < feature]
        subject.choose(feature=int((further.min() if by > 0 else further.max()) if len(further) else steps[0]))


def move_anywhere(run: Run) -> None:
    """To a feature that fires, each equally likely."""
    frame = readers.feature_table(run).frame
    alive = frame.loc[frame["n_firings"] > 0, "feature"].to_numpy()
    subject.choose(feature=int(np.random.default_rng().choice(alive if len(alive) else run.encoded_features)))


def keep(feature: int) -> None:
    """Put the feature on the list at hand, or take it off."""
    now = subject.features()
    subject.choose(features=[f for f in now if f != feature] if feature in now else [*now, feature])
