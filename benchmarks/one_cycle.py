"""Training a small network as fast as one core can: AdamW, and a rate that rises once and falls (Smith and Topin 2019)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

__all__ = ["train_one_cycle"]

InputOf = Callable[[NDArray[np.int64], np.random.Generator], torch.Tensor]


def train_one_cycle(
    module: nn.Module,
    targets: torch.Tensor,
    input_of: InputOf,
    *,
    epochs: int,
    batch_size: int,
    peak: float,
    weight_decay: float,
    seed: int,
) -> None:
    """Train a network in place, and leave it in evaluation mode.

    Parameters
    ----------
    module
        Parameters that want no gradient stay as they are.
    targets
        (n,): the class of every picture.
    input_of
        Rows of pictures, and the generator of all draws, to the network's input (m, channels, height, width).
    epochs, batch_size
        How often every picture is seen, and how many at once.
    peak
        The highest rate.
    weight_decay
        Of AdamW.
    seed
        Of the order and of what is drawn for a picture.
    """
    steps = len(targets) // batch_size
    module.train().to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    learned = [weights for weights in module.parameters() if weights.requires_grad]
    optimizer = torch.optim.AdamW(learned, peak, weight_decay=weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, peak, total_steps=epochs * steps)
    draws = np.random.default_rng(seed)
    for _ in range(epochs):
        for batch in np.array_split(draws.permutation(len(targets)), steps):
            inputs = input_of(batch, draws).contiguous(memory_format=torch.channels_last)
            with torch.autocast("cpu", torch.bfloat16):
                answers = module(inputs)
            loss = F.cross_entropy(answers.float(), targets[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    module.to(memory_format=torch.contiguous_format).eval()  # pyright: ignore[reportCallIssue]
