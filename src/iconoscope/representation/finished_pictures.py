"""Pictures made along directions or for units, of which all are made to their last step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from iconoscope.optimization import optimize
from iconoscope.results import Visualization
from iconoscope.subject.network import Network

__all__ = ["finished_pictures"]


def finished_pictures(
    network: Network, objectives: Sequence[Any], *, steps: int | None, seed: int, **settings: Any
) -> Visualization:
    """Make a picture for each objective by `optimize`, and go on with Ctrl-C where that ended them.

    `optimize` gives what it has come to and no error, with the objective of the steps that were done: kept, that would pass for
    the whole.

    Raises
    ------
    KeyboardInterrupt
        If there are fewer pictures than objectives, they have fewer than `steps` steps, or their answers are not known.
    """
    pictures = optimize(network, objectives, steps=steps, seed=seed, **settings)
    steps_made = pictures.objective.shape[1]
    steps_asked = int(pictures.question.settings["steps"]) if steps is None else steps
    if (
        len(pictures) < len(objectives)
        or steps_made < steps_asked
        or np.isnan(pictures.objective).any()
        or np.isnan(pictures.moved_activation).any()
    ):
        raise KeyboardInterrupt
    return pictures
