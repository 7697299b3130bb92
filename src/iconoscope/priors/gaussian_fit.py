"""The fit of a Gaussian of pictures: level by level, and then the latents of real images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch.nn import functional as F

from iconoscope.errors import PriorError
from iconoscope.priors.gaussian import CODE, GaussianPrior, PyramidLevel, enlarged, padded, shrunk, windowed
from iconoscope.priors.principal_components import Moments, PrincipalComponents
from iconoscope.priors.training_images import TrainingImages

__all__ = ["fit_gaussian"]

WHOLE = 64
"""Up to this side, pixels, pictures are learnt whole; larger ones as a pyramid."""

PATCH, PATCH_COMPONENTS = 16, 96
"""Side of a patch of the finer levels, and how many of its components are kept."""

CODES = 16 * 10**6
"""How many numbers the latents of real images that are kept may be."""

ALL = 100.0
"""A class of few images says little of itself: it is drawn to all of them, as if it had so many more."""


def fit_gaussian(training: TrainingImages, *, name: str, components: int, reference: int, seed: int) -> GaussianPrior:
    """Learn a Gaussian; see `fit_prior`."""
    classes = tuple(sorted({label for label in training.labels if label is not None}))
    labels = np.array([-1 if label is None else classes.index(label) for label in training.labels])
    base, levels = _pyramid(training, components)
    if not len(base.deviations):
        raise PriorError("All of the images are the same: there is nothing to be learnt of how they vary.")
    plain = GaussianPrior(name, base, levels, classes=classes)
    chosen = _balanced_choice(labels, min(reference, CODES // plain.size), seed)
    codes, centres = _encoded(plain, training, labels, chosen)
    return GaussianPrior(
        name,
        base,
        levels,
        classes=classes,
        centres=centres,
        codes=codes if len(chosen) else None,
        labels=torch.from_numpy(labels[chosen]).to(torch.int16) if len(chosen) else None,
        names=[training.names[index] for index in chosen],
    )


def _pyramid(training: TrainingImages, most: int) -> tuple[PrincipalComponents, list[PyramidLevel]]:
    """Learn the coarsest level, and then what each finer one adds to it, in as many passes."""
    coarsest, *finer = _sizes(training.size, len(training))
    moments = Moments((3, *coarsest))
    for pictures in training.pictures("learning what images may be"):
        moments.add(shrunk(pictures, coarsest))
    base = moments.components(most)
    base = replace(base, vectors=base.vectors.half().float())  # as they are saved
    levels: list[PyramidLevel] = []
    for size in finer:
        below = GaussianPrior("", base, levels)
        window = windowed(PATCH)
        moments = Moments((3, PATCH, PATCH))
        for pictures in training.pictures(f"learning what is added at {size[0]}x{size[1]}"):
            for batch in pictures.split(16):
                detail = shrunk(batch, size) - enlarged(below.decode(below.encode(batch)), size)
                patches = F.unfold(padded(detail, PATCH), PATCH, stride=PATCH // 2).transpose(1, 2)
                moments.add(patches.reshape(-1, 3, PATCH, PATCH) * window)
        parts = moments.components(PATCH_COMPONENTS)
        kernel = parts.vectors * window * parts.deviations.view(-1, 1, 1, 1)
        back = parts.vectors * window / parts.deviations.view(-1, 1, 1, 1)
        levels.append(PyramidLevel(size, kernel.half().float(), back.half().float()))
    return base, levels


def _sizes(sides: tuple[int, int], count: int) -> list[tuple[int, int]]:
    """Give the sizes of a pyramid from coarse to fine: whole pictures as large as there are images enough for."""
    sizes = [sides]
    while max(sizes[-1]) > WHOLE or (len(sizes) > 1 and 3 * sizes[-1][0] * sizes[-1][1] > 2 * count):
        if min(sizes[-1]) < PATCH:
            break
        sizes.append((-(-sizes[-1][0] // 2), -(-sizes[-1][1] // 2)))
    return sizes[::-1]


def _balanced_choice(labels: np.ndarray, most: int, seed: int) -> np.ndarray:
    """Choose images to keep, of every class as many; `labels` (images,) are class indices. Gives sorted indices."""
    drawn = np.random.default_rng(seed).permutation(len(labels))
    rank = np.zeros(len(labels), int)  # of an image among the drawn ones of its class
    for label in np.unique(labels):
        of_class = drawn[labels[drawn] == label]
        rank[of_class] = np.arange(len(of_class))
    return np.sort(drawn[np.argsort(rank[drawn], kind="stable")][:most])


def _encoded(
    prior: GaussianPrior, training: TrainingImages, labels: np.ndarray, chosen: np.ndarray
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Give latents of the chosen images, and mean and standard deviation of those of every class and their mirror images."""
    codes: list[torch.Tensor] = []
    sums = torch.zeros(2, len(prior.classes), prior.size, dtype=torch.float64)
    first = 0
    for pictures in training.pictures("encoding"):
        latents = prior.encode(pictures)
        in_batch = chosen[(chosen >= first) & (chosen < first + len(latents))] - first
        codes.append((latents[in_batch] / CODE).round().clamp(-127, 127).to(torch.int8))
        classes = torch.from_numpy(labels[first : first + len(latents)])
        first += len(latents)
        for encoded in (latents, prior.encode(pictures.flip(3))) if prior.classes else ():
            labelled = classes >= 0
            sums[0].index_add_(0, classes[labelled], encoded[labelled].double())
            sums[1].index_add_(0, classes[labelled], encoded[labelled].double().square())
    if not prior.classes:
        return torch.cat(codes), None
    counts = torch.from_numpy(np.bincount(labels[labels >= 0], minlength=len(prior.classes)))[:, None] * 2
    mean = sums[0] / counts
    spread = (sums[1] / counts - mean.square()).clamp_min(0).sqrt()
    share = counts / (counts + ALL)
    centres = torch.stack([share * mean, (share * spread.square() + (1 - share)).sqrt()])
    return torch.cat(codes), centres.half().float()
