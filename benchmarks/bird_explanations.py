"""What methods say of the parts of birds: ours, Captum's, and controls that know nothing of the network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from time import process_time

import numpy as np
import torch
from numpy.typing import NDArray

import iconoscope as ico
from benchmarks.bird_data import NAMES, Bird
from benchmarks.part_protocols import Importance, part_importance, widened
from benchmarks.peers import attribute
from iconoscope.occlusion.fills import FillLike, read_fill
from iconoscope.occlusion.geometry import make_grid
from iconoscope.subject.network import Network

__all__ = ["METHODS", "Explained", "Wanted", "compared_with_captum"]

PATCH, STRIDE = 16, 4
"""Pixels of 128: a patch about as large as a beak."""

Wanted = Sequence[tuple[int, int]]
"""Numbers of pictures and the classes that are explained of them."""

Maps = Mapping[tuple[int, int], NDArray[np.float64]]


@dataclass(frozen=True, kw_only=True)
class Explained:
    """What a method says.

    Attributes
    ----------
    importances : dict
        By number of picture and class.
    seconds : float
        Of the processor, for a picture and a class, on one thread.
    """

    importances: Mapping[tuple[int, int], Importance]
    seconds: float


Method = Callable[[Network, Sequence[Bird], Wanted], Explained]


def median_colour(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Give a picture of the median of each channel, which here is the colour of the sky."""
    return np.broadcast_to(np.median(picture, (0, 1)).astype(np.uint8), picture.shape).copy()


def _summed(maps: Maps, birds: Sequence[Bird]) -> dict[tuple[int, int], Importance]:
    return {
        (index, cls): part_importance(values, birds[index].part_masks, birds[index].thing_masks)
        for (index, cls), values in maps.items()
    }


def occlusion(fill: FillLike, patch: int = PATCH) -> Method:
    """Slide a patch, by the exact engine; each pixel counts the mean fall of the logit over the patches that covered it."""

    def explain(network: Network, birds: Sequence[Bird], wanted: Wanted) -> Explained:
        pictures = [bird.picture for bird in birds]
        start = process_time()
        # All logits are answered at once, whichever is asked.
        occlusions = ico.occlude(
            network, ico.load_images(np.stack(pictures)), "logit:0", patch=patch, stride=STRIDE, fill=fill
        )
        seconds = (process_time() - start) / len(birds)
        maps = {(index, cls): replace(occlusions[index], target=cls).drop_by_pixel() for index, cls in wanted}
        return Explained(importances=_summed(maps, birds), seconds=seconds)

    return explain


def covered_parts(fill: FillLike) -> Method:
    """Cover each part as it is, by its mask, and each thing: what can be asked where masks are given."""

    def explain(network: Network, birds: Sequence[Bird], wanted: Wanted) -> Explained:
        how = network.preprocessing
        importances: dict[tuple[int, int], Importance] = {}
        start = process_time()
        for index in sorted({index for index, _ in wanted}):
            bird = birds[index]
            masks = widened(np.concatenate([bird.part_masks, bird.thing_masks]))
            field = torch.from_numpy(read_fill(fill, how).of(bird.picture).field(bird.picture, how, (PATCH, PATCH), 0))
            clean = how.normalise(bird.picture[None])
            covered = torch.where(
                torch.from_numpy(np.concatenate([masks, masks.any(0, keepdims=True)]))[:, None], field, clean
            )
            with torch.inference_mode():
                logits = network.module(torch.cat([clean, covered])).double().numpy()
            falls, parts = logits[0] - logits[1:], len(bird.part_masks)
            for cls in [cls for other, cls in wanted if other == index]:
                importances[index, cls] = Importance(
                    parts=falls[:parts, cls], things=falls[parts:-1, cls], total=float(falls[-1, cls])
                )
        return Explained(importances=importances, seconds=(process_time() - start) / len(birds))

    return explain


def compared_with_captum(network: Network, birds: Sequence[Bird]) -> dict[str, float]:
    """Ask Captum's Occlusion the same as `occlusion("zero")`: seconds of both, and how far apart the maps are."""
    grid = make_grid(birds[0].picture.shape[:2], patch=PATCH, stride=STRIDE)
    start = process_time()
    pictures = ico.load_images(np.stack([bird.picture for bird in birds]))
    ours = ico.occlude(network, pictures, "logit:0", patch=PATCH, stride=STRIDE, fill="zero")
    between = process_time()
    theirs = []
    with torch.inference_mode():
        for bird in birds:
            image = network.preprocessing.normalise(bird.picture[None])[0]
            theirs.append(attribute(network.module, image, bird.scene.cls, grid, batch=16)[0])
    end = process_time()
    maps = [replace(each, target=bird.scene.cls).drop_by_pixel() for each, bird in zip(ours, birds, strict=True)]
    return {
        "seconds": (end - between) / len(birds),
        "our_seconds": (between - start) / len(birds),
        "difference": float(max(np.abs(a - b).max() for a, b in zip(maps, theirs, strict=True))),
        "range": float(np.ptp(maps)),
    }


def gradients(method: str, **settings: object) -> Method:
    """Ask one of Captum's gradient methods, as `iconoscope.attribute` does."""

    def explain(network: Network, birds: Sequence[Bird], wanted: Wanted) -> Explained:
        maps: dict[tuple[int, int], NDArray[np.float64]] = {}
        start = process_time()
        for cls, name in enumerate(NAMES):
            indices = [index for index, other in wanted if other == cls]
            if not indices:
                continue
            images = ico.load_images(np.stack([birds[index].picture for index in indices]))
            results = ico.attribute(network, images, f"logit:{name}", method=method, **settings)  # pyright: ignore[reportArgumentType, reportCallIssue]
            maps |= {(index, cls): each.map.astype(np.float64) for index, each in zip(indices, results, strict=True)}
        return Explained(importances=_summed(maps, birds), seconds=(process_time() - start) / len(wanted))

    return explain


def _of_pixels(values_of: Callable[[tuple[int, ...], np.random.Generator], NDArray[np.float64]]) -> Method:
    """Give a control: a map that no network is asked for."""

    def explain(network: Network, birds: Sequence[Bird], wanted: Wanted) -> Explained:
        rng = np.random.default_rng(0)
        maps = {(index, cls): values_of(birds[index].picture.shape[:2], rng) for index, cls in wanted}
        return Explained(importances=_summed(maps, birds), seconds=0.0)

    return explain


FILLS: dict[str, FillLike] = {
    "mean": "mean",
    "patch-mean": "patch-mean",
    "zero": "zero",
    "black": "black",
    "blur": "blur",
    "noise": "noise",
    "median colour": median_colour,
}

METHODS: dict[str, Method] = {
    **{f"occlusion, {name}": occlusion(fill) for name, fill in FILLS.items()},
    "occlusion, mean, patch of 8": occlusion("mean", 8),
    "parts covered by their masks, mean": covered_parts("mean"),
    "parts covered by their masks, median colour": covered_parts(median_colour),
    "Captum InputXGradient": gradients("captum:InputXGradient"),
    "Captum IntegratedGradients": gradients("captum:IntegratedGradients"),
    "Captum GradientShap": gradients("captum:GradientShap"),
    "Captum DeepLift": gradients("captum:DeepLift"),
    "Captum IntegratedGradients, median colour": gradients("captum:IntegratedGradients", baseline=median_colour),
    "Captum DeepLift, median colour": gradients("captum:DeepLift", baseline=median_colour),
    "Captum Saliency": gradients("captum:Saliency"),
    "Captum LayerGradCam": gradients("captum:LayerGradCam"),
    "control: area": _of_pixels(lambda shape, _: np.ones(shape)),
    "control: random": _of_pixels(lambda shape, rng: rng.standard_normal(shape)),
}
"""By the names that the table has."""
