"""What is kept of a batch of images."""

import numpy as np
import torch

from iconoscope.exemplars.loader import Batch
from iconoscope.exemplars.shard import NOT_FINITE, _BatchAnswers


def test_an_image_with_one_answer_that_is_no_number_is_left_out():
    """Of any of its answers, one number is enough; what was sampled of it goes too."""
    count = 5
    summary = {name: torch.arange(count * 3.0).view(count, 3) for name in ("maximum", "mean", "penultimate", "logits")}
    summary |= {"position": torch.arange(count * 3).view(count, 3).int(), "sampled": torch.rand(count, 3, 2)}
    for row, (name, wrong) in enumerate(
        [("maximum", torch.inf), ("mean", torch.nan), ("penultimate", -torch.inf), ("logits", torch.nan)]
    ):
        summary[name] = summary[name].clone()
        summary[name][row, 1] = wrong
    batch = Batch(
        np.array([7, 3, 9, 4, 8]), np.zeros((count, 2, 2, 3), np.uint8), {"broken.png": "it is"}, count + 1, 10
    )
    part = _BatchAnswers.of(batch, summary)
    assert part.answers.rows.tolist() == [8] and part.answers.logits.tolist() == [[12, 13, 14]]
    assert part.answers.failed == {"broken.png": "it is", **dict.fromkeys((7, 3, 9, 4), NOT_FINITE)}
    assert part.position.tolist() == [[12, 13, 14]] and np.array_equal(part.sampled, summary["sampled"][4:].numpy())
