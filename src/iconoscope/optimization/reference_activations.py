"""What real images answer: the measure of what may be asked of a picture."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from iconoscope.errors import QuestionError
from iconoscope.optimization.objective import Objective
from iconoscope.optimization.scores import Scores
from iconoscope.progress import track
from iconoscope.subject.images import load_images
from iconoscope.subject.network import Network
from iconoscope.subject.probe import probe
from iconoscope.vocabulary.labels import match_labels

__all__ = ["ALL", "OWN", "Answers", "Natural", "read_natural"]

OWN, ALL = 90, 99
"""What percentile of the answers of real images counts as strong: of images of the class, or of all sorts of them."""

BATCH = 16
"""Images that are asked about at once."""


@dataclass(frozen=True, eq=False)
class Natural:
    """Real images, as the network is shown them.

    Attributes
    ----------
    pixels : ndarray of uint8, (images, height, width, channels)
        At the size of the network's input.
    classes : ndarray of int, (images,)
        Which class of the network they are of, -1 where nothing says.
    """

    pixels: NDArray[np.uint8]
    classes: NDArray[np.int64]

    @property
    def digest(self) -> str:
        """Digest of the images and of their classes."""
        return hashlib.sha256(self.pixels.tobytes() + self.classes.tobytes()).hexdigest()

    def answers(self, network: Network, asked: Sequence[Objective]) -> dict[Objective, Answers]:
        """Ask all of them about all of the objectives, in one pass."""
        asked = tuple(dict.fromkeys(asked))
        sizes = {min(BATCH, len(self.pixels) - first) for first in range(0, len(self.pixels), BATCH)}
        scores = {(each, size): Scores([each] * size, network) for each in asked for size in sizes}
        layers = dict.fromkeys(layer for each in scores.values() for layer in each.layers)
        found: dict[tuple[Objective, bool], list[torch.Tensor]] = {}
        for rectified in (True, False):
            with probe(network, layers, before_relu=not rectified) as read, torch.inference_mode():
                for first in track(range(0, len(self.pixels), BATCH), "asking real images"):
                    shown = network.preprocessing.normalise(self.pixels[first : first + BATCH]).to(network.device)
                    answers = read(shown)
                    for each in asked:
                        values = scores[each, len(shown)](answers)
                        found.setdefault((each, rectified), []).append(values.cpu())
        return {each: self._summed(each, *(torch.cat(found[each, way]) for way in (True, False))) for each in asked}

    def _summed(self, objective: Objective, behind: torch.Tensor, before: torch.Tensor) -> Answers:
        meant = self._meant(objective)
        return Answers(
            behind=behind.numpy(),
            before=before.numpy()[meant],
            percentile=ALL if meant.all() else OWN,
            deviation=float(before.std(correction=0)) or 1.0,
        )

    def _meant(self, objective: Objective) -> NDArray[np.bool_]:
        """Say which images are to be compared with: those of the class, if a class is asked for; else all."""
        everything = np.ones(len(self.pixels), bool)
        unit = objective.sole_class
        own = everything if unit is None else self.classes == unit.index
        return own if own.any() else everything


@dataclass(frozen=True)
class Answers:
    """What real images answer to an objective.

    Attributes
    ----------
    behind : ndarray of float32, (images,)
        Of all images, behind the ReLU if one follows.
    before : ndarray of float32
        Before it, as pictures are optimised; if the objective is a class and there are labels, of the images of that class.
    percentile : int
        Which percentile of these counts as strong.
    deviation : float
        Standard deviation of the answers of all images, before the ReLU: what counts as much or little.
    """

    behind: NDArray[np.float32]
    before: NDArray[np.float32]
    percentile: int = ALL
    deviation: float = 1.0

    @property
    def strongest(self) -> float:
        """The strongest answer of all."""
        return float(self.behind.max())

    def cap(self, times: float) -> float:
        """Give so many times a strong answer; where that is below zero, what lies as far on the other side of it."""
        strong = float(np.percentile(self.before, self.percentile))
        return strong + (times - 1) * abs(strong)


def read_natural(network: Network, images: Any) -> Natural:
    """Read real images: whatever `load_images` takes, with labels if they have any.

    Raises
    ------
    QuestionError
        If there is none.
    ImagesError
        If none can be read.
    """
    if isinstance(images, Natural):
        return images
    kept: list[NDArray[np.uint8]] = []
    labels: list[Any] = []
    for image in load_images(images).readable():
        kept.append(network.preprocessing.shown(image))
        labels.append(image.label)
    if not kept:
        raise QuestionError("There are no images to compare with.")
    return Natural(np.stack(kept), match_labels(network.names, labels))
