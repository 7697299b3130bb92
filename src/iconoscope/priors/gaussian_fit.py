"""How a Gaussian of pictures is learnt: level by level, and then the latents of real images."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

from iconoscope.errors import PriorError
from iconoscope.priors.gaussian import CODE, GaussianPrior, Level, enlarged, padded, shrunk, windowed
from iconoscope.priors.principal_components import Components, Moments
from iconoscope.priors.training_images import Material

__all__ = ["learn"]

WHOLE = 64
"""Up to this side, pixels, pictures are learnt whole; larger ones as a pyramid."""

PATCH, PATCH_COMPONENTS = 16, 96
"""Side of a patch of the finer levels, and how many of its components are kept."""

CODES = 16 * 10**6
"""How many numbers the latents of real images that are kept may be."""

ALL = 100.0
"""A class of few images says little of itself: it is drawn to all of them, as if it had so many more."""


def learn(material: Material, *, name: str, components: int, reference: int, seed: int) -> GaussianPrior:
    """Learn a Gaussian; see `fit_prior`."""
    classes = tuple(sorted({label for label in material.labels if label is not None}))
    places = np.array([-1 if label is None else classes.index(label) for label in material.labels])
    base, levels = _learnt(material, components)
    if not len(base.deviations):
        raise PriorError("All of the images are the same: there is nothing to be learnt of how they vary.")
    plain = GaussianPrior(name, base, levels, classes=classes)
    kept = _chosen(places, min(reference, CODES // plain.size), seed)
    codes, centres = _encoded(plain, material, places, kept)
    return GaussianPrior(
        name,
        base,
        levels,
        classes=classes,
        centres=centres,
        codes=codes if len(kept) else None,
        labels=torch.from_numpy(places[kept]).to(torch.int16) if len(kept) else None,
        names=[material.names[place] for place in kept],
    )


def _learnt(material: Material, most: int) -> tuple[Components, list[Level]]:
    """Learn the coarsest level, and then what each finer one adds to it, in as many passes."""
    coarsest, *finer = _sizes(material.size, len(material))
    moments = Moments((3, *coarsest))
    for pictures in material.pictures("learning what images may be"):
        moments.add(shrunk(pictures, coarsest))
    found = moments.components(most)
    base = Components(found.mean, found.vectors.half().float(), found.deviations, found.explained)
    levels: list[Level] = []
    for size in finer:
        below = GaussianPrior("", base, levels)
        window = windowed(PATCH)
        moments = Moments((3, PATCH, PATCH))
        for pictures in material.pictures(f"learning what is added at {size[0]}x{size[1]}"):
            for some in pictures.split(16):
                detail = shrunk(some, size) - enlarged(below.decode(below.encode(some)), size)
                patches = F.unfold(padded(detail, PATCH), PATCH, stride=PATCH // 2).transpose(1, 2)
                moments.add(patches.reshape(-1, 3, PATCH, PATCH) * window)
        parts = moments.components(PATCH_COMPONENTS)
        kernel = parts.vectors * window * parts.deviations.view(-1, 1, 1, 1)
        back = parts.vectors * window / parts.deviations.view(-1, 1, 1, 1)
        levels.append(Level(size, kernel.half().float(), back.half().float()))
    return base, levels


def _sizes(sides: tuple[int, int], count: int) -> list[tuple[int, int]]:
    """Give the sizes of a pyramid from coarse to fine: whole pictures as large as there are images enough for."""
    sizes = [sides]
    while max(sizes[-1]) > WHOLE or (len(sizes) > 1 and 3 * sizes[-1][0] * sizes[-1][1] > 2 * count):
        if min(sizes[-1]) < PATCH:
            break
        sizes.append((-(-sizes[-1][0] // 2), -(-sizes[-1][1] // 2)))
    return sizes[::-1]


def _chosen(places: np.ndarray, most: int, seed: int) -> np.ndarray:
    """Choose images to keep: of every class as many."""
    drawn = np.random.default_rng(seed).permutation(len(places))
    turn = np.zeros(len(places), int)
    for label in np.unique(places):
        own = drawn[places[drawn] == label]
        turn[own] = np.arange(len(own))
    return np.sort(drawn[np.argsort(turn[drawn], kind="stable")][:most])


def _encoded(
    prior: GaussianPrior, material: Material, places: np.ndarray, kept: np.ndarray
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Give latents of the chosen images, and mean and standard deviation of those of every class and their mirror images."""
    codes: list[torch.Tensor] = []
    sums = torch.zeros(2, len(prior.classes), prior.size, dtype=torch.float64)
    wanted, first = set(kept.tolist()), 0
    for pictures in material.pictures("encoding"):
        latents = prior.encode(pictures)
        own = [place for place in range(len(latents)) if first + place in wanted]
        codes.append((latents[own] / CODE).round().clamp(-127, 127).to(torch.int8))
        labels = torch.from_numpy(places[first : first + len(latents)])
        first += len(latents)
        for some in (latents, prior.encode(pictures.flip(3))) if prior.classes else ():
            known = labels >= 0
            sums[0].index_add_(0, labels[known], some[known].double())
            sums[1].index_add_(0, labels[known], some[known].double().square())
    if not prior.classes:
        return torch.cat(codes), None
    counts = torch.from_numpy(np.bincount(places[places >= 0], minlength=len(prior.classes)))[:, None] * 2
    mean = sums[0] / counts
    spread = (sums[1] / counts - mean.square()).clamp_min(0).sqrt()
    share = counts / (counts + ALL)
    centres = torch.stack([share * mean, (share * spread.square() + (1 - share)).sqrt()])
    return torch.cat(codes), centres.half().float()
