"""Asking a network about many edited pictures: in its fastest form, and for its answers alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from iconoscope.results.rendering import as_bytes
from iconoscope.subject.network import Network

if TYPE_CHECKING:
    import torch

__all__ = ["AnswersOnce", "answers_to", "asked_often", "input_of"]

Floats = NDArray[np.floating]

_BATCH = 64  # pictures at the most,
_PIXELS = 300_000  # and on a processor no more than these: what layers answer to them stays in its cache


@contextmanager
def asked_often(network: Network, picture: Floats) -> Iterator[None]:
    """Ask a network in evaluation mode, in the form that answers fastest, for the time of a block; it comes back as it was.

    Parameters
    ----------
    network
        The network; its answers differ by rounding alone.
    picture
        (height, width, 3), 0..1: one of those that it will be asked about.
    """
    from iconoscope.optimization.frozen import adjacent_layers, frozen
    from iconoscope.subject.probe import LOGITS

    with network.questioned():
        pairs = adjacent_layers(network, [LOGITS], input_of(network, picture[None]))
        with frozen(network.module, pairs):
            yield


def answers_to(network: Network, pictures: Floats) -> NDArray[np.int64]:
    """Give the answers (n,) to pictures (n, height, width, 3) of 0..1: of each the class with the largest logit."""
    return _answers_to_bytes(network, as_bytes(pictures))


def _answers_to_bytes(network: Network, pictures: NDArray[np.uint8]) -> NDArray[np.int64]:
    import torch

    answers = np.empty(len(pictures), np.int64)
    height, width = pictures.shape[1:3]
    size = max(1, min(_BATCH, _PIXELS // (height * width))) if network.device.type == "cpu" else _BATCH
    with torch.inference_mode():
        for first in range(0, len(pictures), size):
            shown = network.preprocessing.normalise(pictures[first : first + size]).to(network.device)
            answers[first : first + size] = network.logits(shown).float().argmax(1).cpu().numpy()
    return answers


class AnswersOnce:
    """Asks a network about every picture once: many an edit leaves a picture as it was, or as another edit leaves it.

    Parameters
    ----------
    network
        The network, which stays the same.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        self._known: dict[bytes, int] = {}

    def __call__(self, pictures: Floats) -> NDArray[np.int64]:
        """Give the answers (n,) to pictures, as `answers_to` does."""
        shown = as_bytes(pictures)
        keys = [blake2b(picture, digest_size=16).digest() for picture in shown]
        new = {key: row for row, key in enumerate(keys) if key not in self._known}
        if new:
            answers = _answers_to_bytes(self._network, shown[list(new.values())])
            self._known.update(zip(new, answers.tolist(), strict=True))
        return np.array([self._known[key] for key in keys], np.int64)


def input_of(network: Network, pictures: Floats) -> torch.Tensor:
    """Give what a network is shown of pictures (n, height, width, 3), rounded to whole values as any file would be."""
    return network.preprocessing.normalise(as_bytes(pictures)).to(network.device)
