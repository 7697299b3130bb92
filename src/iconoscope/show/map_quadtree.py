"""Points of a map in square tiles, each level of which shows the map four times as finely.

At every level the map is divided into cells, `ACROSS` in each direction of a tile, and every cell that has points shows one
of them. A point is shown from one level on, its depth, and stays; it is stored in one tile, so tiles add up.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from iconoscope.errors import QuestionError
from iconoscope.results.image_map import unit_square

__all__ = ["ACROSS", "Quadtree", "check_points", "quadtree"]

ACROSS = 16
"""Cells of a tile in each direction, and thumbnails in a row of its sheet."""

_CAPACITY = ACROSS * ACROSS  # points of a tile
_BITS = 26  # of a coordinate
_DEEPEST = _BITS - 4  # level whose cells are as fine as coordinates: 16 cells are 4 bits
_APART = 2.0**-22  # of the map's side, to which points at one place are moved apart


@dataclass(frozen=True, eq=False)
class Quadtree:
    """Where each of n points is stored: in tiles, level by level, in each level along Morton's curve (1966).

    Attributes
    ----------
    rows : ndarray of int64, (n,)
        Which point is stored at each place.
    places : ndarray of float64, (n, 2)
        Where it is on the map, across and down, 0..1.
    depths : ndarray of uint8, (n,)
        The level from which on it is shown.
    levels : ndarray of uint8, (tiles,)
        Of a tile: a level has ``2 ** level`` tiles in each direction.
    columns, lines : ndarray of int64, (tiles,)
        Where the tile is in its level, across and down.
    firsts : ndarray of int64, (tiles + 1,)
        The first place of each tile, and the number of points.
    """

    rows: NDArray[np.int64]
    places: NDArray[np.float64]
    depths: NDArray[np.uint8]
    levels: NDArray[np.uint8]
    columns: NDArray[np.int64]
    lines: NDArray[np.int64]
    firsts: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.levels)

    def tile_of_places(self) -> NDArray[np.int64]:
        """Give the tile of every place, (n,)."""
        return np.repeat(np.arange(len(self)), np.diff(self.firsts))

    def places_in_tiles(self) -> NDArray[np.float64]:
        """Give where each point is in its tile, across and down, 0..1, (n, 2)."""
        tiles = self.tile_of_places()
        corners = np.stack([self.columns, self.lines], 1)[tiles]
        return self.places * (2.0 ** self.levels[tiles])[:, None] - corners


def check_points(points: NDArray[np.floating]) -> None:
    """See that points (n, 2) can be drawn: one that is nowhere leaves the others without a scale.

    Raises
    ------
    QuestionError
        If some are infinite or no numbers.
    """
    nowhere = int((~np.isfinite(points)).any(1).sum())
    if nowhere:
        raise QuestionError(
            f"{nowhere:,} of the {len(points):,} points of the map are infinite or no numbers, and have no place on it.",
            hint="Give points that are all finite, or make the map again.",
        )


def quadtree(points: NDArray[np.floating]) -> Quadtree:
    """Put points (n, 2) into tiles.

    Raises
    ------
    QuestionError
        If some are infinite or no numbers.

    Examples
    --------
    >>> tree = quadtree(np.random.default_rng(0).random((1000, 2)))
    >>> len(tree), int((tree.depths == 0).sum()) <= 256, sorted(tree.rows.tolist()) == list(range(1000))
    (5, True, True)
    """
    check_points(points)
    # What lies on the last line of all would be in a tile beyond the map.
    places = _apart((unit_square(points) * (1 - 2.0**-20)).clip(0, 1 - 2.0**-30))
    codes = _interleaved(np.minimum((places * 2**_BITS).astype(np.uint64), 2**_BITS - 1))
    order = np.argsort(codes, kind="stable")
    places, codes = places[order], codes[order]
    depths = _depths(places, codes)
    levels = _stored_levels(codes, depths)
    tiles = codes >> (2 * (_BITS - levels.astype(np.uint64)))
    stored = np.lexsort((depths, tiles, levels))
    order, places, tiles = order[stored], places[stored], tiles[stored]
    depths, levels = depths[stored], levels[stored]
    new = np.ones(len(order), bool)
    new[1:] = (levels[1:] != levels[:-1]) | (tiles[1:] != tiles[:-1])
    firsts = np.flatnonzero(new)
    sides = 2.0 ** levels[firsts]
    corners = np.floor(places[firsts] * sides[:, None]).astype(np.int64)
    return Quadtree(
        rows=order,
        places=places,
        depths=depths,
        levels=levels[firsts],
        columns=corners[:, 0],
        lines=corners[:, 1],
        firsts=np.append(firsts, len(order)),
    )


def _apart(places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Move points that share a place apart, in a spiral, so that each can be seen from near enough."""
    places = places.copy()
    step = _APART
    for _ in range(8):
        keys = _interleaved((places * 2**_BITS).astype(np.uint64))
        order = np.argsort(keys, kind="stable")
        new = np.ones(len(keys), bool)
        new[1:] = keys[order][1:] != keys[order][:-1]
        if new.all():
            break
        starts = np.flatnonzero(new)
        rank = np.arange(len(keys)) - np.repeat(starts, np.diff(np.append(starts, len(keys))))
        angle = rank * np.pi * (3 - np.sqrt(5))  # the golden angle, as seeds of a sunflower
        spiral = step * np.sqrt(rank)[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
        places[order] = (places[order] + spiral).clip(0, 1 - 2.0**-30)
        step *= 2
    return places


def _interleaved(cells: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Give Morton's code of pairs of numbers (n, 2): their bits in turn, so that each two bits choose a quarter of a square."""
    spread = cells.astype(np.uint64)
    for shift, mask in (
        (16, 0x0000FFFF0000FFFF), (8, 0x00FF00FF00FF00FF), (4, 0x0F0F0F0F0F0F0F0F), (2, 0x3333333333333333),
        (1, 0x5555555555555555),
    ):  # fmt: skip
        spread = (spread | (spread << np.uint64(shift))) & np.uint64(mask)
    return spread[:, 0] | (spread[:, 1] << np.uint64(1))


def _depths(places: NDArray[np.float64], codes: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """Give the level from which on each point is shown; codes are in order.

    In every cell of a level that shows no point of an earlier one, the point is chosen that is nearest to the cell's middle.
    """
    depths = np.full(len(codes), _DEEPEST, np.uint8)
    shown = np.zeros(len(codes), bool)
    for level in range(_DEEPEST):
        cells = codes >> np.uint64(2 * (_DEEPEST - level))
        new = np.ones(len(codes), bool)
        new[1:] = cells[1:] != cells[:-1]
        starts = np.flatnonzero(new)
        group = np.cumsum(new) - 1
        within = places * (ACROSS * 2.0**level) % 1 - 0.5
        farness = np.where(shown, -1.0, np.abs(within).max(1))
        nearest = np.minimum.reduceat(farness, starts)
        candidates = np.flatnonzero((farness == nearest[group]) & ~shown)
        _, once = np.unique(group[candidates], return_index=True)  # of several as near to the middle the first
        chosen = candidates[once]
        depths[chosen], shown[chosen] = level, True
        if shown.all():
            break
    return depths


def _stored_levels(codes: NDArray[np.uint64], depths: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Give the level of each point's tile: where it is shown first, or earlier where all that is left fits into one tile."""
    levels = depths.copy()
    left = np.arange(len(codes))
    for level in range(_DEEPEST):
        if not len(left):
            break
        tiles = codes[left] >> np.uint64(2 * (_BITS - level))
        new = np.ones(len(left), bool)
        new[1:] = tiles[1:] != tiles[:-1]
        starts = np.flatnonzero(new)
        counts = np.diff(np.append(starts, len(left)))
        fits = np.repeat(counts <= _CAPACITY, counts)
        stored = fits | (depths[left] == level)
        levels[left[stored]] = level
        left = left[~stored]
    return levels
