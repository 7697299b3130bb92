"""What hypotheses are made from: pictures, the network's answers to them, and the network itself, to be asked again."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from iconoscope.auditing.answers import answers_to, input_of

if TYPE_CHECKING:
    from iconoscope.subject.network import Network

__all__ = [
    "Halves",
    "Photographs",
    "enlarged",
    "filled_from_around",
    "full_size",
    "margin_of",
    "reduced",
    "shift_elsewhere",
]

Floats = NDArray[np.floating]
Bools = NDArray[np.bool_]
Rows = NDArray[np.int64]

_BATCH = 64
_MARGIN = 1 / 8  # of a side
_PATH = 4  # steps from the blurred picture to the picture: what a pixel adds to an answer is summed along them


@dataclass(frozen=True)
class Halves:
    """Pictures that a hypothesis is made from, and those that it is tested on.

    Attributes
    ----------
    fit, test
        (n,): which pictures belong to either; none belongs to both, and what is left out to neither.
    """

    fit: Bools
    test: Bools

    @staticmethod
    def drawn(predicted: NDArray[np.int64], *, seed: int, without: Collection[int] = ()) -> Halves:
        """Draw two halves, each with half of the pictures of every answer, but for the answers that are left out.

        >>> halves = Halves.drawn(np.array([0, 0, 0, 0, 1, 1, 2]), seed=0, without=[2])
        >>> int(halves.fit[:4].sum()), int(halves.fit[4:].sum()), (halves.fit ^ halves.test).tolist()[-2:]
        (2, 1, [True, False])
        """
        generator = np.random.default_rng(seed)
        fit, test = np.zeros((2, len(predicted)), np.bool_)
        for of_class in np.setdiff1d(predicted, list(without)):
            members = generator.permutation(np.flatnonzero(predicted == of_class))
            fit[members[::2]] = test[members[1::2]] = True
        return Halves(fit, test)

    @property
    def exchanged(self) -> Halves:
        """The same, made from what this one is tested on."""
        return Halves(self.test, self.fit)


@dataclass(frozen=True, eq=False)
class Photographs:
    """n pictures at the network's size, and what the network answers.

    Attributes
    ----------
    network
        That is asked.
    pixels
        (n, height, width, 3) float32, 0..1.
    ground
        The same without the objects, where it is known where they are; else the pixels.
    free
        (n, height, width, 1) float32, 0..1: where a hypothesis may change a picture, which is beside the object where it is
        known; None if everywhere.
    predicted
        (n,): the answers.
    """

    network: Network
    pixels: Floats
    ground: Floats
    free: Floats | None
    predicted: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.pixels.shape[1], self.pixels.shape[2]

    @property
    def objects_hidden(self) -> bool:
        """Whether nobody knows where the objects are, so that they are in what hypotheses are made from."""
        return self.free is None

    @property
    def unit(self) -> float:
        """Pixels that are a 32nd of the shorter side: the scale that fine and coarse are told apart by."""
        return min(self.shape) / 32

    def bounded(self, edited: Floats, rows: Rows) -> Floats:
        """Leave the objects of edited pictures as they were, where it is known where they are."""
        if self.free is None:
            return edited.clip(0, 1)
        free = self.free[rows]
        return (edited * free + self.pixels[rows] * (1 - free)).clip(0, 1)

    def drawn_alike(self, rows: Rows, pool: Bools, generator: np.random.Generator) -> Rows:
        """Draw for every picture one of the pool that is answered alike; itself where there is none."""
        alike = np.array(rows)
        for answer in np.unique(self.predicted[rows]):
            drawn_from = np.flatnonzero(pool & (self.predicted == answer))
            asking = self.predicted[rows] == answer
            if len(drawn_from):
                alike[asking] = generator.choice(drawn_from, int(asking.sum()))
        return alike

    def answers(self, pictures: Floats) -> NDArray[np.int64]:
        """Give the answers (n,) to pictures (n, height, width, 3)."""
        return answers_to(self.network, pictures)

    def contributions(self) -> Floats:
        """Give what every pixel adds to the log-probability of the answer, on the way from the blurred picture, (n, h, w).

        Integrated gradients (Sundararajan et al. 2017), in a few steps, from a baseline that is the picture itself without what
        is fine: what is flat adds nothing.
        """
        import torch

        summed = np.empty((len(self), *self.shape), np.float32)
        for first in range(0, len(self), _BATCH):
            batch = slice(first, first + _BATCH)
            pictures = self.pixels[batch]
            sharp, blurred = (input_of(self.network, version) for version in (pictures, self._blurred(pictures)))
            answer = torch.from_numpy(self.predicted[batch])[:, None].to(sharp.device)
            total = torch.zeros_like(sharp)
            for step in range(_PATH):
                at = blurred + (step + 0.5) / _PATH * (sharp - blurred)
                with torch.enable_grad():
                    at.requires_grad_()
                    log_probability = self.network.logits(at).float().log_softmax(1).gather(1, answer)
                    (gradient,) = torch.autograd.grad(log_probability.sum(), at)
                total += gradient
            summed[batch] = ((sharp - blurred) * total / _PATH).sum(1).float().cpu().numpy()
        return summed

    def _blurred(self, pictures: Floats) -> Floats:
        """Blur by a tenth of the shorter side; of large pictures a small one is blurred."""
        factor = max(1, int(self.unit))
        small = ndimage.gaussian_filter(
            reduced(pictures, factor), (0, 3 * self.unit / factor, 3 * self.unit / factor, 0), mode="nearest"
        )
        return enlarged(small, self.shape)


def margin_of(rows: int, columns: int) -> Bools:
    """Mark the margin of a picture of so many pixels, cells or blocks, (rows, columns): where an object seldom is.

    It is an eighth of the picture above, to the left and to the right. Objects stand on what is below.

    >>> margin_of(4, 4).astype(int)
    array([[1, 1, 1, 1],
           [1, 0, 0, 1],
           [1, 0, 0, 1],
           [1, 0, 0, 1]])
    """
    above, beside = (max(1, round(_MARGIN * side)) for side in (rows, columns))
    margin = np.ones((rows, columns), np.bool_)
    margin[above:, beside : columns - beside] = False
    return margin


def reduced(pictures: Floats, factor: int) -> Floats:
    """Reduce pictures (n, height, width, channels) by a whole factor, by the mean of squares; what is over is cut off.

    >>> reduced(np.arange(8.0).reshape(1, 2, 4, 1), 2).ravel()
    array([2.5, 4.5], dtype=float32)
    """
    if factor == 1:
        return pictures
    count, height, width, channels = pictures.shape
    rows, columns = height // factor, width // factor
    squares = pictures[:, : rows * factor, : columns * factor].reshape(count, rows, factor, columns, factor, channels)
    return squares.mean((2, 4), dtype=np.float32)


def enlarged(pictures: Floats, shape: tuple[int, int]) -> Floats:
    """Enlarge pictures (n, rows, columns, channels) to a size, bilinear."""
    if pictures.shape[1:3] == shape:
        return pictures
    import torch

    channels_first = torch.from_numpy(np.ascontiguousarray(pictures.transpose(0, 3, 1, 2), np.float32))
    larger = torch.nn.functional.interpolate(channels_first, size=shape, mode="bilinear", align_corners=False)
    return larger.numpy().transpose(0, 2, 3, 1)


def full_size(covered: Floats, factor: int, shape: tuple[int, int]) -> Floats:
    """Enlarge what is covered of reduced pictures (n, rows, columns, 1) to a size; what was cut off is not covered.

    >>> full_size(np.ones((1, 1, 1, 1)), 2, (3, 2))[0, ..., 0]
    array([[1., 1.],
           [1., 1.],
           [0., 0.]])
    """
    large = covered.repeat(factor, 1).repeat(factor, 2)
    return np.pad(large, ((0, 0), *((0, shape[axis] - large.shape[1 + axis]) for axis in (0, 1)), (0, 0)))


def shift_elsewhere(shape: tuple[int, int], generator: np.random.Generator) -> tuple[int, int]:
    """Draw a shift down and across, round the edges, by a quarter of each side at the least."""
    down, across = (int(generator.integers(size // 4, size - size // 4 + 1)) for size in shape)
    return down, across


def filled_from_around(pictures: Floats, small: Floats, covered: Floats, factor: int, sigma: float) -> Floats:
    """Fill what is covered from what is around it: by a blur of the small pictures that does not see what is covered.

    Parameters
    ----------
    pictures
        (n, height, width, 3).
    small
        (n, rows, columns, 3): the same, reduced.
    covered
        (n or 1, rows, columns, 1): 1 where it is to be filled.
    factor
        By which they were reduced.
    sigma
        Of the blur, pixels of the small pictures.
    """
    blur = (0, sigma, sigma, 0)
    uncovered = 1 - covered
    around = ndimage.gaussian_filter(small * uncovered, blur, mode="nearest")
    around /= ndimage.gaussian_filter(uncovered, blur, mode="nearest") + 1e-6
    filled = pictures.copy()
    height, width = small.shape[1] * factor, small.shape[2] * factor
    part = filled[:, :height, :width]
    part += covered.repeat(factor, 1).repeat(factor, 2) * (enlarged(around, (height, width)) - part)
    return filled
