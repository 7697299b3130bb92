"""Whether pictures that were asked for are all made, to their last step."""

from __future__ import annotations

import numpy as np

from iconoscope.results import Visualization

__all__ = ["check_finished"]


def check_finished(pictures: Visualization, count: int, steps: int | None) -> None:
    """Go on with Ctrl-C where it ended pictures before their last step: kept, they would pass for the whole.

    `optimize` gives what it has come to and no error, with the objective of the steps that were done.

    Raises
    ------
    KeyboardInterrupt
        If there are fewer pictures than `count`, they have fewer than `steps` steps, or their answers are not known.
    """
    steps_made = pictures.objective.shape[1]
    steps_asked = int(pictures.question.settings["steps"]) if steps is None else steps
    if (
        len(pictures) < count
        or steps_made < steps_asked
        or np.isnan(pictures.objective).any()
        or np.isnan(pictures.moved_activation).any()
    ):
        raise KeyboardInterrupt
