"""The answers of real images: the measure of what may be asked of a picture."""

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

__all__ = ["ALL", "OWN", "ReferenceAnswers", "ReferenceImages", "read_reference"]

OWN, ALL = 90, 99
"""The percentile from which on the answers of real images count as strong: of images of the class, or of all sorts of them."""

BATCH = 16
"""Images that are asked about at once."""


@dataclass(frozen=True, eq=False)
class ReferenceImages:
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

    def answers(self, network: Network, objectives: Sequence[Objective]) -> dict[Objective, ReferenceAnswers]:
        """Ask all of them about all of the objectives, in one pass."""
        objectives = tuple(dict.fromkeys(objectives))
        sizes = {min(BATCH, len(self.pixels) - first) for first in range(0, len(self.pixels), BATCH)}
        scores = {(objective, size): Scores([objective] * size, network) for objective in objectives for size in sizes}
        layers = dict.fromkeys(layer for objective in scores.values() for layer in objective.layers)
        batches: dict[tuple[Objective, bool], list[torch.Tensor]] = {}
        for before_relu in (False, True):
            with probe(network, layers, before_relu=before_relu) as read, torch.inference_mode():
                for first in track(range(0, len(self.pixels), BATCH), "asking real images"):
                    pixels = self.pixels[first : first + BATCH]
                    answers = read(network.preprocessing.normalise(pixels).to(network.device))
                    for objective in objectives:
                        values = scores[objective, len(pixels)](answers)
                        batches.setdefault((objective, before_relu), []).append(values.cpu())
        summed: dict[Objective, ReferenceAnswers] = {}
        for objective in objectives:
            behind, before = (torch.cat(batches[objective, before_relu]) for before_relu in (False, True))
            # Compared are the images of the class, if one is asked for; else all.
            unit = objective.sole_class
            compared = self.classes == (None if unit is None else unit.index)
            summed[objective] = ReferenceAnswers(
                behind=behind.numpy(),
                before=before.numpy()[compared if compared.any() else slice(None)],
                percentile=OWN if compared.any() and not compared.all() else ALL,
                deviation=float(before.std(correction=0)) or 1.0,
            )
        return summed


@dataclass(frozen=True)
class ReferenceAnswers:
    """The answers of real images to an objective.

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


def read_reference(network: Network, images: Any) -> ReferenceImages:
    """Read real images: whatever `load_images` takes, with labels if they have any.

    Raises
    ------
    QuestionError
        If there is none.
    ImagesError
        If none can be read.
    """
    if isinstance(images, ReferenceImages):
        return images
    pixels: list[NDArray[np.uint8]] = []
    labels: list[Any] = []
    for image in load_images(images).readable():
        pixels.append(network.preprocessing.shown(image))
        labels.append(image.label)
    if not pixels:
        raise QuestionError("There are no images to compare with.")
    return ReferenceImages(np.stack(pixels), match_labels(network.names, labels))
