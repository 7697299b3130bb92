"""How good are pictures that were made of classes? Judged by another network, and against real images of the classes.

None of the figures is enough by itself: a picture may be recognised for a pattern that only networks see, be like real images
in its features and look like none, or be smooth as they are and show nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

import iconoscope as ico
from iconoscope.optimization import Transforms
from iconoscope.subject.network import Network
from iconoscope.subject.probe import LOGITS, probe

__all__ = ["Judge", "Quality"]

NEAREST = 5
MOVES = 8


@dataclass(frozen=True, kw_only=True)
class Quality:
    """What was found of pictures, one for each class and seed.

    Attributes
    ----------
    recognised, probability : float
        The share that the judge calls what they were made of, and the mean probability that it gives.
    all_seeds : int
        Classes that are recognised at every seed.
    cosine, real_cosine : float
        Mean cosine of the judge's last features to the five nearest real images of the class, of the pictures and of other real
        images.
    kept : float
        The share that is recognised when the pictures are moved, turned and scaled.
    spectrum, real_spectrum : float
        Mean distance of the logarithm of the radial power spectrum to its mean over real images, of the pictures and of real
        images.
    """

    recognised: float
    probability: float
    all_seeds: int
    cosine: float
    real_cosine: float
    kept: float
    spectrum: float
    real_spectrum: float


class Judge:
    """A network and real images of its classes.

    Parameters
    ----------
    network
        The judge.
    features
        The layer whose spatial mean are its features.
    images
        Labelled images, (n, height, width, 3) of 0..255, and their classes.
    """

    def __init__(self, network: Network, features: str, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> None:
        self.network, self.layer = network, features
        self._labels = torch.from_numpy(labels)
        self._real = self._look(torch.from_numpy(images).permute(0, 3, 1, 2) / 255)[1]
        self._profiles = radial(images.mean(3) / 255)

    @torch.inference_mode()
    def _look(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Give probabilities and features of unit length, of pictures (n, 3, height, width) of 0..1."""
        mean, std = (
            torch.tensor(x)[:, None, None] for x in (self.network.preprocessing.mean, self.network.preprocessing.std)
        )
        found: list[tuple[torch.Tensor, torch.Tensor]] = []
        with self.network.questioned(), probe(self.network, [LOGITS, self.layer]) as read:
            for some in pictures.split(200):
                answers = read((some - mean) / std)
                found.append((answers[LOGITS].softmax(1), answers[self.layer].mean((2, 3))))
        probabilities, features = (torch.cat(each) for each in zip(*found, strict=True))
        return probabilities, torch.nn.functional.normalize(features, dim=1)

    def judge(self, pictures: NDArray[np.float32], classes: NDArray[np.int64]) -> Quality:
        """Judge pictures (n, height, width, 3) of 0..1 that were made of classes (n,)."""
        made, target = torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous(), torch.from_numpy(classes)
        probabilities, features = self._look(made)
        right = probabilities.argmax(1) == target
        moves = Transforms(jitter=3, rotation=15, scale=(0.85, 1.2))
        draws = [torch.Generator().manual_seed(place) for place in range(len(made))]
        kept = [
            float(
                (self._look(moves(made, (made.shape[2], made.shape[3]), numbers))[0].argmax(1) == target).float().mean()
            )
            for numbers in moves.draw(MOVES, draws)
        ]
        mean = self._profiles.mean(0)
        return Quality(
            recognised=float(right.float().mean()),
            probability=float(probabilities[torch.arange(len(target)), target].mean()),
            all_seeds=sum(bool(right[target == one].all()) for one in target.unique()),
            cosine=self._cosine(features, target, alone=False),
            real_cosine=self._cosine(self._real, self._labels, alone=True),
            kept=float(np.mean(kept)),
            spectrum=float(np.abs(radial(pictures.mean(3)) - mean).mean()),
            real_spectrum=float(np.abs(self._profiles - mean).mean()),
        )

    def _cosine(self, features: torch.Tensor, classes: torch.Tensor, *, alone: bool) -> float:
        """Give the mean cosine to the nearest real images of the class; `alone` leaves out a real image itself."""
        alike = features @ self._real.T
        alike[classes[:, None] != self._labels[None]] = -1
        if alone:
            alike.fill_diagonal_(-1)
        return float(alike.topk(NEAREST, 1).values.mean())


def radial(grey: NDArray[np.floating]) -> NDArray[np.float64]:
    """Give the logarithm (base 10) of the power of pictures (n, side, side) at each distance from the spectrum's origin."""
    side = grey.shape[1]
    window = np.hanning(side)[:, None] * np.hanning(side)[None]
    power = np.abs(np.fft.fft2((grey - grey.mean((1, 2), keepdims=True)) * window)) ** 2
    steps = np.abs(np.fft.fftfreq(side) * side)
    ring = np.hypot(steps[:, None], steps[None]).round().astype(int).ravel()
    rings = range(1, side // 2)
    return np.stack([np.log10(power.reshape(len(grey), -1)[:, ring == each].mean(1) + 1e-9) for each in rings], 1)


def real_images(network: Network, parquet: str, each: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Give so many images of each of a network's classes, and their classes."""
    pixels, labels = [], []
    counts = dict.fromkeys(network.classes, 0)
    for image in ico.load_images(parquet):
        name = str(image.label)
        if name in counts and counts[name] < each:
            counts[name] += 1
            pixels.append(image.pixels)
            labels.append(network.class_index(name))
        if min(counts.values()) == each:
            break
    return np.stack(pixels), np.array(labels)
