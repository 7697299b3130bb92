"""A small thing anywhere: a square that the answer hangs on, and that is found again in other pictures of the class.

Candidates are the squares that add most to the answer. Each is slid over other pictures by normalised correlation, and those
that tell the class best are refined by what they match: the mean of the matches is the thing, and where they agree it covers
the ground. It is taken away by filling its place from around, and given by pasting it; the controls fill another place, or
paste another square of the same picture.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from iconoscope.auditing.hypotheses.photographs import Halves, Photographs, filled_from_around, reduced
from iconoscope.auditing.hypotheses.trial import Edited, Trial, roc_area
from iconoscope.auditing.overlays import shifted
from iconoscope.results.rank_area import rank_areas

if TYPE_CHECKING:
    import torch

__all__ = ["Level", "areas_elsewhere", "levels", "recurring_things", "square_correlations"]

Floats = NDArray[np.floating]
Rows = NDArray[np.int64]

_SIDES = (5, 9)  # of the squares, pixels of a level
_SHORTER = (32, 64)  # sides that pictures are reduced to, no more than they have
_MEMBERS, _OTHERS = 40, 150  # pictures that a candidate is looked for in
_CANDIDATES, _REFINED = 2, 4  # squares of a picture; of all, those that are refined
_ROUNDS = 2
_CONTROLS = 2
_FEWEST = 8  # matches that a thing is refined by
_MARGIN = 14  # pixels around its square that a thing may reach
_AGREEING = 0.3  # of the variance of pictures: where matches vary less, they have the same
_LARGEST = 0.3  # of the picture that a thing covers
_CORRELATIONS = 1 << 20  # that are compared at once
_FEWEST_AT_ONCE = 4  # pictures that these are of at the least
_WORTH = 0.1  # of the answers, that filling more than the square has to take beyond it


@dataclass(frozen=True, eq=False)
class Level:
    """Pictures of one size: a thing is looked for where it is as large as the squares.

    Attributes
    ----------
    factor
        Pixels of a picture along one of its own.
    pictures
        (n, rows, columns, 3).
    contributions
        (n, rows, columns): what each pixel adds to the answer.
    """

    factor: int
    pictures: Floats
    contributions: Floats
    _deviations: dict[int, torch.Tensor] = field(default_factory=dict, repr=False)

    @cached_property
    def images(self) -> torch.Tensor:
        """The pictures, (n, 3, rows, columns)."""
        return _channels_first(self.pictures)

    def deviation(self, side: int) -> torch.Tensor:
        """Give how far the pixels of every square lie from its mean, (n, 1, rows, columns); worked out once."""
        import torch
        from torch.nn.functional import avg_pool2d

        if side not in self._deviations:
            with torch.inference_mode():
                energy = avg_pool2d(self.images.square().sum(1, keepdim=True), side, 1)
                self._deviations[side] = _root(energy - avg_pool2d(self.images, side, 1).square().sum(1, keepdim=True))
        return self._deviations[side]


@dataclass(frozen=True, eq=False)
class _Thing:
    level: Level
    side: int
    template: Floats  # (1, side, side, 3)
    weight: Floats  # (1, side, side, 1)
    area: float  # on the pictures that it was made from


def levels(photographs: Photographs) -> list[Level]:
    """Give the pictures, and what their pixels add to the answers, at the sizes that things are looked for at."""
    contributions = photographs.contributions()[..., None]
    if photographs.free is not None:
        contributions *= photographs.free
    factors = dict.fromkeys(max(1, min(photographs.shape) // shorter) for shorter in _SHORTER)
    return [
        Level(factor, reduced(photographs.ground, factor), reduced(contributions, factor)[..., 0] * factor**2)
        for factor in factors
    ]


def recurring_things(
    photographs: Photographs, of_class: int, halves: Halves, rng: np.random.Generator, pyramid: list[Level]
) -> Iterator[Trial]:
    """Find the square that tells the class best, and test it where it was not looked for."""
    is_class = photographs.predicted == of_class
    members = rng.permutation(np.flatnonzero(halves.fit & is_class))[:_MEMBERS]
    others = rng.permutation(np.flatnonzero(halves.fit & ~is_class))[:_OTHERS]
    candidates = [
        candidate for level in pyramid for side in _SIDES if side < min(level.pictures.shape[1:3]) // 2
        for candidate in _things(level, side, members, others)
    ]  # fmt: skip
    if not candidates:
        return
    best = max(candidates, key=lambda candidate: candidate.area)
    level, side = best.level, best.side
    highest, corners = _strongest_squares(level, np.arange(len(photographs)), best.template, best.weight)
    score, corner = highest[:, 0], corners[:, 0]
    donors = members[np.argsort(-score[members])[: max(_FEWEST, len(members) // 2)]]
    limits = level.pictures.shape[1] - side + 1, level.pictures.shape[2] - side + 1
    shape = _shape(photographs, level, side, corner, donors)
    seed = int(rng.integers(2**31))

    def take(rows: Rows) -> Edited:
        generator = np.random.default_rng(seed)
        elsewhere = [generator.integers(0, limits, (len(rows), 2)) for _ in range(_CONTROLS)]
        return Edited.of(_filled(photographs, level, rows, corners, shape) for corners in (corner[rows], *elsewhere))

    def give(rows: Rows) -> Edited:
        generator = np.random.default_rng(seed + 1)
        chosen = generator.choice(donors, len(rows))
        sources = [corner[chosen], *(generator.integers(0, limits, (len(rows), 2)) for _ in range(_CONTROLS))]
        return Edited.of(_pasted(photographs, level, rows, chosen, source, corner[chosen], shape) for source in sources)

    strength = _placed(shape, corner[donors], level).mean((0, 3))
    yield Trial(score, take, give, _mean_match(level, shape, corner, donors), strength)


@dataclass(frozen=True, eq=False)
class _Shape:
    """Pixels that a thing covers, (window, window) of 0..1; its square begins so many pixels from the window's corner."""

    cover: Floats
    margin: int
    side: int


def _shape(photographs: Photographs, level: Level, side: int, corner: NDArray[np.int64], donors: Rows) -> _Shape:
    """Give what a thing covers: its square, or all around it that the matches agree on, if that takes more answers."""
    edge = np.minimum(np.arange(side) + 1, side - np.arange(side)) / 2
    square = _Shape(np.minimum(np.minimum.outer(edge, edge), 1).astype(np.float32), 0, side)
    margin = min(_MARGIN, min(level.pictures.shape[1:3]) // 2)
    windows = _windows(level, donors, corner, side, margin)
    enough = np.isfinite(windows[..., 0]).sum(0) >= _FEWEST
    spread = np.nan_to_num(np.nanvar(np.where(enough[None, ..., None], windows, 0), 0).mean(-1), nan=np.inf)
    agreeing = (spread <= _AGREEING * level.pictures[donors].var(0).mean()) & enough
    cover = np.asarray(ndimage.binary_dilation(agreeing) & enough, np.float32)
    inner = cover[margin : margin + side, margin : margin + side]
    np.maximum(inner, square.cover, out=inner)
    wider = _Shape(cover, margin, side)
    if not agreeing.any() or cover.sum() > _LARGEST * level.pictures[0, ..., 0].size:
        return square

    def lost(shape: _Shape) -> float:
        filled = _filled(photographs, level, donors, corner[donors], shape)
        return float((photographs.answers(filled) != photographs.predicted[donors]).mean())

    return wider if lost(wider) >= lost(square) + _WORTH else square


def _windows(level: Level, donors: Rows, corner: NDArray[np.int64], side: int, margin: int) -> Floats:
    """Give the squares of some pictures with what is around them, (n, window, window, 3); NaN outside of the picture."""
    padding = ((0, 0), (margin, margin), (margin, margin), (0, 0))
    padded = np.pad(level.pictures[donors], padding, constant_values=np.nan)
    return _cut(padded, corner[donors], side + 2 * margin)


def _mean_match(level: Level, shape: _Shape, corner: NDArray[np.int64], donors: Rows) -> Floats:
    """Give the mean of the matches where the thing is, on grey."""
    windows = _windows(level, donors, corner, shape.side, shape.margin)
    mean = np.nan_to_num(np.nansum(windows, 0) / np.maximum(np.isfinite(windows).sum(0), 1), nan=0.5)
    visible = (shape.cover > 0)[..., None]
    return np.where(visible, mean, 0.5).clip(0, 1).astype(np.float32)


def _placed(shape: _Shape, corners: NDArray[np.int64], level: Level) -> Floats:
    """Give the cover of a thing at some corners, (n, rows, columns, 1); what would be outside is cut off."""
    rows, columns = level.pictures.shape[1:3]
    margin, window = shape.margin, len(shape.cover)
    covers = np.zeros((len(corners), rows + 2 * window, columns + 2 * window, 1), np.float32)
    for cover, (top, left) in zip(covers, (corners - margin + window).tolist(), strict=True):
        cover[top : top + window, left : left + window, 0] = shape.cover
    return covers[:, window : window + rows, window : window + columns]


def _things(level: Level, side: int, members: Rows, others: Rows) -> list[_Thing]:
    rows = np.concatenate((members, others))
    is_member = np.arange(len(rows)) < len(members)
    squares, sources = _costly_squares(level, side, members)
    everywhere = np.ones((1, side, side, 1), np.float32)
    score, _ = _strongest_squares(level, rows, squares, everywhere)
    areas = areas_elsewhere(score, is_member, np.array(sources))
    templates, weights = squares[np.argsort(-areas, kind="stable")[:_REFINED]], everywhere
    for _ in range(_ROUNDS):
        strength, corners = _strongest_squares(level, members, templates, weights)
        best = np.argsort(-strength, axis=0, kind="stable")[: max(_FEWEST, len(members) // 2)].T
        matches = [
            _cut(level.pictures[members[strongest]], corners[strongest, number], side)
            for number, strongest in enumerate(best)
        ]
        templates = np.stack([matched.mean(0) for matched in matches])
        weights = np.stack([1 / (matched.var(0).mean(-1, keepdims=True) + 3e-3) for matched in matches])
    strength, _ = _strongest_squares(level, rows, templates, weights)
    return [
        _Thing(level, side, templates[number, None], weights[number, None], roc_area(strength[:, number], is_member))
        for number in range(len(templates))
    ]


def areas_elsewhere(score: Floats, is_member: NDArray[np.bool_], sources: Rows) -> Floats:
    """Give the areas by which scores (n, k) tell the members, each without the member that it is from; ROC of the rest."""
    members = int(is_member.sum())
    of_source = score[sources, np.arange(len(sources))]
    others = score[~is_member]
    won = (others < of_source).sum(0) + (others == of_source).sum(0) / 2
    pairs = rank_areas(score, is_member) * members * len(others) - won
    return pairs / max(1, (members - 1) * len(others))


def _costly_squares(level: Level, side: int, rows: Rows) -> tuple[Floats, list[int]]:
    """Give the squares that add most to the answers, two of a picture, and the position of the picture that each is from."""
    sums = np.stack([ndimage.uniform_filter(values, side) for values in level.contributions[rows]])
    half = side // 2
    sums = sums[:, half : sums.shape[1] - half, half : sums.shape[2] - half]
    squares: list[Floats] = []
    sources: list[int] = []
    for position, row in enumerate(rows):
        for _ in range(_CANDIDATES):
            top, left = np.unravel_index(int(sums[position].argmax()), sums[position].shape)
            squares.append(level.pictures[row, top : top + side, left : left + side])
            sources.append(position)
            sums[position, max(0, top - half) : top + half + 1, max(0, left - half) : left + half + 1] = -np.inf
    return np.stack(squares), sources


def square_correlations(level: Level, rows: Rows, templates: Floats, weights: Floats) -> Floats:
    """Weighted normalised correlation of templates (k, side, side, 3) at every place of pictures: (n, k, rows, columns).

    One weight (1, side, side, 1) is for all templates, or each has its own.
    """
    import torch
    from torch.nn import functional as F

    share = weights / weights.sum((1, 2), keepdims=True)
    centred = templates - (share * templates).sum((1, 2), keepdims=True)
    centred = centred / np.sqrt((share * centred**2).sum((1, 2, 3), keepdims=True) + 1e-6)
    with torch.inference_mode():
        images = level.images[rows]
        if np.ptp(weights) == 0:  # as in the first search, among the most templates
            deviation = level.deviation(templates.shape[1])[rows]
        else:
            kernel = _channels_first(share)

            def averaged(values: torch.Tensor) -> torch.Tensor:
                return F.conv2d(values.flatten(0, 1)[:, None], kernel).unflatten(0, values.shape[:2])

            energy = averaged(images.square().sum(1, keepdim=True)).squeeze(1) - averaged(images).square().sum(1)
            deviation = _root(energy)
        return (F.conv2d(images, _channels_first(share * centred)) / deviation).numpy()


def _channels_first(values: Floats) -> torch.Tensor:
    import torch

    return torch.from_numpy(np.array(values, np.float32, order="C")).permute(0, 3, 1, 2)  # fastest so


def _root(energy: torch.Tensor) -> torch.Tensor:
    return (energy.clamp_min(0) + 3e-3).sqrt()


def _strongest_squares(
    level: Level, rows: Rows, templates: Floats, weights: Floats
) -> tuple[Floats, NDArray[np.int64]]:
    """Give the largest correlation of every picture with every template, (n, k), and where it is, (n, k, 2).

    Some pictures at a time, so that their correlations are still in the processor's cache when they are divided and compared.
    """
    side = templates.shape[1]
    places = (level.pictures.shape[1] - side + 1) * (level.pictures.shape[2] - side + 1)
    count = max(_FEWEST_AT_ONCE, _CORRELATIONS // (len(templates) * places))
    parts = [
        _strongest(square_correlations(level, rows[first : first + count], templates, weights))
        for first in range(0, len(rows), count)
    ]
    strongest, corners = zip(*parts, strict=True)
    return np.concatenate(strongest), np.concatenate(corners)


def _strongest(maps: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """Give the largest value of every map (n, k, rows, columns), (n, k), and where it is, (n, k, 2)."""
    flat = maps.reshape(*maps.shape[:2], -1)
    strongest = flat.argmax(2)
    corners = np.stack(np.unravel_index(strongest, maps.shape[2:]), -1)
    return np.take_along_axis(flat, strongest[..., None], 2)[..., 0], corners


def _cut(pictures: Floats, corners: NDArray[np.int64], side: int) -> Floats:
    return np.stack([
        picture[top : top + side, left : left + side]
        for picture, (top, left) in zip(pictures, corners.tolist(), strict=True)
    ])  # fmt: skip


def _filled(photographs: Photographs, level: Level, rows: Rows, corners: NDArray[np.int64], shape: _Shape) -> Floats:
    """Fill what a thing covers from what is around it."""
    covered = (_placed(shape, corners, level) > 0).astype(np.float32)
    filled = filled_from_around(photographs.pixels[rows], level.pictures[rows], covered, level.factor, shape.side / 2)
    return photographs.bounded(filled, rows)


def _pasted(
    photographs: Photographs,
    level: Level,
    rows: Rows,
    donors: Rows,
    source: NDArray[np.int64],
    target: NDArray[np.int64],
    shape: _Shape,
) -> Floats:
    """Paste what a donor has under the cover at one place, onto every picture at another."""
    edited = photographs.pixels[rows]
    factor = level.factor
    covers = _placed(shape, target, level).repeat(factor, 1).repeat(factor, 2)
    height, width = covers.shape[1:3]
    for picture, cover, donor, (down, across) in zip(
        edited, covers, donors.tolist(), (factor * (target - source)).tolist(), strict=True
    ):
        donated = photographs.pixels[donor, :height, :width]
        inside = cover * shifted(np.ones_like(cover), down, across)
        part = picture[:height, :width]
        part += inside * (shifted(donated, down, across) - part)
    return photographs.bounded(edited, rows)
