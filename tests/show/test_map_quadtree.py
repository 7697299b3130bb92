"""Tiles of a map against the points they are made of."""

import numpy as np
import pytest

from iconoscope.errors import QuestionError
from iconoscope.show.map_quadtree import ACROSS, quadtree


def clustered(count, seed=0):
    rng = np.random.default_rng(seed)
    middles = rng.normal(size=(12, 2)) * 10
    return (middles[rng.integers(0, 12, count)] + rng.normal(size=(count, 2)) * rng.gamma(1, 1, (count, 1))).astype(
        np.float32
    )


POINTS = {
    "groups": clustered(20_000),
    "a line": np.stack([np.linspace(0, 1, 5000), np.zeros(5000)], 1).astype(np.float32),
    "one place": np.zeros((1500, 2), np.float32),
    "many at one place": np.concatenate([clustered(3000), np.tile(clustered(1), (700, 1))]),
    "one": np.ones((1, 2), np.float32),
}


@pytest.mark.parametrize("name", POINTS)
def test_every_point_is_in_one_tile_and_lies_in_its_square(name):
    points = POINTS[name]
    tree = quadtree(points)
    assert sorted(tree.rows.tolist()) == list(range(len(points)))
    assert np.diff(tree.firsts).min() >= 1
    assert np.diff(tree.firsts).max() <= ACROSS**2
    assert len(np.unique(np.stack([tree.levels, tree.columns, tree.lines], 1), axis=0)) == len(tree)
    for tile in range(len(tree)):
        side = 0.5 ** int(tree.levels[tile])
        corner = np.array([tree.columns[tile], tree.lines[tile]]) * side
        places = tree.places[tree.firsts[tile] : tree.firsts[tile + 1]]
        assert (places >= corner).all()
        assert (places < corner + side).all()
    assert (tree.depths >= tree.levels[tree.tile_of_places()]).all()
    assert len(np.unique(tree.places, axis=0)) == len(points)  # so that each can be seen alone


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_points_that_are_nowhere_are_refused(value):
    points = clustered(1000)
    points[[3, 70], [0, 1]] = value
    with pytest.raises(QuestionError, match=r"2 of the 1,000 points"):
        quadtree(points)


@pytest.mark.parametrize("name", ["groups", "many at one place"])
def test_at_every_level_each_cell_that_has_points_shows_one_of_them(name):
    tree = quadtree(POINTS[name])
    for level in range(12):
        cells = np.floor(tree.places * ACROSS * 2**level).astype(int)
        shown = cells[tree.depths <= level]
        assert len(np.unique(shown, axis=0)) == len(shown) == len(np.unique(cells, axis=0))


def test_points_keep_their_places_but_for_those_that_share_one():
    points = POINTS["groups"].astype(np.float64)
    tree = quadtree(points)
    span = np.ptp(points, axis=0).max()
    expected = (points - (points.min(0) + points.max(0)) / 2) / span + 0.5
    assert np.abs(tree.places - expected[tree.rows]).max() < 1e-5
    within = tree.places_in_tiles()
    assert within.min() >= 0
    assert within.max() < 1
