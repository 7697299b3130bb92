"""Self-organising maps, layouts and grids against the same written out in NumPy, or asked of the libraries themselves."""

import sys
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import openTSNE
import pytest
import torch
from openTSNE import affinity, initialization
from openTSNE.nearest_neighbors import PrecomputedNeighbors
from scipy.optimize import linear_sum_assignment

from iconoscope.errors import QuestionError
from iconoscope.exemplars import grid_assignment, som, tsne
from iconoscope.exemplars import map as image_map
from iconoscope.exemplars.layouts import LAYOUTS, Placed, in_plane
from iconoscope.exemplars.nearest_neighbours import nearest_rows
from iconoscope.exemplars.som import cell_places, fit_som, principal_axes
from iconoscope.exemplars.tsne import place_among, threads_for
from iconoscope.results.rendering import resized


def normal(count, numbers, seed=0):
    return torch.randn(count, numbers, generator=torch.Generator().manual_seed(seed))


def axes_by_hand(centred):
    """The two longest axes with positive sums, and the variances along them."""
    variances, axes = np.linalg.eigh(centred.T @ centred / len(centred))
    longest = axes[:, ::-1][:, :2]
    return variances[::-1][:2], longest * np.sign(longest.sum(0))


def som_by_hand(points, shape, topology, epochs):
    places = np.array([(column, row) for row in range(shape[0]) for column in range(shape[1])], float)
    if topology == "hexagonal":
        places = np.stack([places[:, 0] + 0.5 * (places[:, 1] % 2), places[:, 1] * np.sqrt(3) / 2], 1)
    variances, axes = axes_by_hand(points - points.mean(0))
    longer_first = (0, 1) if places[:, 0].max() >= places[:, 1].max() else (1, 0)
    weights = np.tile(points.mean(0), (len(places), 1))
    for side, axis in enumerate(longer_first):
        if places[:, side].max() > 0:
            along = places[:, side] / max(1, places[:, side].max()) * 2 - 1
            weights += np.outer(along, 2 * np.sqrt(variances[axis]) * axes[:, axis])
    apart = ((places[:, None] - places[None]) ** 2).sum(2)
    widest = max(1.5, max(shape) / 25)
    widths = widest ** np.linspace(1, 0, epochs) if epochs > 1 else [1.0]
    for width in widths:
        nearest = ((points[:, None] - weights[None]) ** 2).sum(2).argmin(1)
        kernel = np.exp(-apart / (2 * width**2))[:, nearest]
        mass = kernel.sum(1, keepdims=True)
        weights = np.where(mass > 1e-6, kernel @ points / np.maximum(mass, 1e-6), weights)
    return weights


@pytest.mark.parametrize("topology", ["rectangular", "hexagonal"])
@pytest.mark.parametrize(("shape", "epochs"), [((3, 6), 1), ((6, 3), 4), ((1, 7), 3), ((60, 2), 3), ((4, 4), 2)])
def test_a_map_written_out(shape, topology, epochs):
    vectors = normal(90, 4) * torch.tensor([3.0, 2.0, 1.0, 0.5])
    learnt = fit_som(vectors, shape, topology=topology, epochs=epochs).weights.numpy()
    np.testing.assert_allclose(learnt, som_by_hand(vectors.double().numpy(), shape, topology, epochs), atol=2e-3)


def test_a_cell_far_from_everything_stays_where_it_was():
    two = torch.tensor([[0.0, 0.0], [1.0, 1.0]]).repeat(20, 1)
    learnt = fit_som(two, (1, 40), epochs=1).weights
    places = np.linspace(-1, 1, 40)
    begun = 0.5 + places[:, None] * 2 * np.sqrt(0.5) * np.sqrt(0.5)
    nearest = np.abs(begun[:, 0, None] - np.array([0, 1])).argmin(0)
    mass = np.exp(-((np.arange(40)[:, None] - nearest) ** 2) / 2).sum(1) * 20
    far = mass <= 1e-6
    assert far.sum() > 4
    np.testing.assert_allclose(learnt[far].numpy(), np.repeat(begun[far], 2, 1), atol=1e-4)


def test_the_defaults_and_the_bounds_of_a_map(monkeypatch):
    vectors = normal(40, 3)
    ten = fit_som(vectors, (3, 4), topology="rectangular", epochs=10)
    assert torch.equal(fit_som(vectors, (3, 4)).weights, ten.weights) and ten.topology == "rectangular"
    assert ten.shape == (3, 4) and len(fit_som(vectors, (1, 2), epochs=1).weights) == 2
    assert som.LARGEST == 10_000
    monkeypatch.setattr(som, "LARGEST", 12)
    assert len(fit_som(vectors, (3, 4), epochs=0).weights) == 12
    for shape in ((1, 1), (0, 5), (5, 0), (13, 1)):
        with pytest.raises(QuestionError):
            fit_som(vectors, shape)


def test_places_of_cells():
    assert cell_places((2, 3), "rectangular").tolist() == [[0, 0], [1, 0], [2, 0], [0, 1], [1, 1], [2, 1]]
    hexagonal = cell_places((3, 2), "hexagonal")
    height = np.sqrt(3) / 2
    expected = [[0, 0], [1, 0], [0.5, height], [1.5, height], [0, 2 * height], [1, 2 * height]]
    np.testing.assert_allclose(hexagonal, expected, rtol=1e-6)


def test_principal_axes():
    centred = normal(200, 5).double() * torch.tensor([1.0, 5.0, 2.0, 0.5, 0.1])
    centred = centred - centred.mean(0)
    values, axes = principal_axes(centred.T @ centred / 200)
    variances, expected = axes_by_hand(centred.numpy())
    np.testing.assert_allclose(values, variances)
    np.testing.assert_allclose(axes, expected, atol=1e-9)
    # A sum of nothing: the first number that is large has the plus.
    for vector in ([1.0, -1, 0], [-1, 1, 0], [0.1, -1, 0.9]):
        unit = torch.tensor(vector, dtype=torch.float64)
        unit = unit / unit.norm()
        _, axes = principal_axes(torch.outer(unit, unit))
        large = next(number for number in range(3) if abs(unit[number]) > 0.5 * unit.abs().max())
        assert abs(float(axes[:, 0].sum())) < 1e-9 and float(axes[large, 0]) > 0.3
    values, axes = principal_axes(torch.tensor([[4.0]]))
    assert values.tolist() == [4, 0] and axes.tolist() == [[1, 0]]


def test_a_plane_is_that_of_the_vectors_it_is_of():
    vectors, of = normal(30, 4), normal(50, 4, 1) * torch.tensor([3.0, 2.0, 1.0, 0.5])
    middle = of.mean(0).numpy()
    _, axes = axes_by_hand((of.numpy() - middle).astype(float))
    np.testing.assert_allclose(in_plane(vectors, of), (vectors.numpy() - middle) @ axes, atol=1e-4)
    assert np.array_equal(LAYOUTS["pca"](of, None, None, {}).points, in_plane(of, of))


PERPLEXITY: Any = 5.5  # openTSNE says that it is an int
SETTINGS = {"perplexity": 5.5, "seed": 2**32 + 7, "iterations": 30}


def tsne_by_hand(data, affinities):
    """openTSNE's own: 250 iterations pulled together twelve times, then what was asked for, from principal components."""
    start = initialization.pca(data, random_state=7)
    embedding = openTSNE.TSNEEmbedding(start, affinities, n_jobs=1, random_state=7)
    embedding.optimize(250, exaggeration=12, momentum=0.8, inplace=True)
    embedding.optimize(30, exaggeration=1, momentum=0.8, inplace=True)
    return np.array(embedding, np.float32)


@pytest.mark.parametrize("numbers", [1, 6])
def test_t_sne_is_open_tsnes(numbers):
    vectors = normal(60, numbers) * 40
    scale = float(vectors.abs().max())
    data = np.zeros((60, max(2, numbers)))
    data[:, :numbers] = vectors.double().numpy() / scale
    rows, distances = nearest_rows(vectors, 20)
    nearest = PrecomputedNeighbors(rows[:, :16], distances[:, :16] / scale)
    by_hand = tsne_by_hand(data, affinity.PerplexityBasedNN(knn_index=nearest, perplexity=PERPLEXITY, n_jobs=1))
    assert np.array_equal(LAYOUTS["tsne"](vectors, rows, distances, SETTINGS).points, by_hand)
    assert np.array_equal(LAYOUTS["tsne"](vectors, rows[:, :16], distances[:, :16], SETTINGS).points, by_hand)


def test_vectors_that_are_all_the_same_are_all_in_one_place():
    placed = LAYOUTS["tsne"](torch.ones(9, 3), np.zeros((9, 3), int), np.zeros((9, 3), np.float32), SETTINGS)
    assert placed.points.shape == (9, 2) and not placed.points.any() and placed.points.dtype == np.float32
    nothing = LAYOUTS["tsne"](torch.zeros(9, 3), np.zeros((9, 3), int), np.zeros((9, 3), np.float32), SETTINGS)
    assert not nothing.points.any()


def test_new_images_are_placed_by_open_tsne():
    mapped, new, points = normal(40, 5), normal(7, 5, 1), normal(40, 2, 2).numpy()
    affinities = affinity.PerplexityBasedNN(
        mapped.numpy(), perplexity=PERPLEXITY - 1, method="exact", metric="euclidean", n_jobs=1, random_state=7
    )
    embedding = openTSNE.TSNEEmbedding(points.astype(np.float64), affinities, n_jobs=1, random_state=7)
    expected = np.array(embedding.transform(new.numpy()), np.float32)
    assert np.array_equal(place_among(mapped, new, points, 4.5, seed=2**32 + 7), expected)


@pytest.mark.parametrize(("count", "method"), [(1000, "exact"), (1001, "annoy")])
def test_many_mapped_images_are_searched_nearly(count, method, monkeypatch):
    asked: dict[str, Any] = {}

    def affinities(data, **settings):
        asked.update(settings)
        raise KeyError

    monkeypatch.setattr(affinity, "PerplexityBasedNN", affinities)
    monkeypatch.setattr(tsne, "threads_for", lambda pairs: pairs)
    with pytest.raises(KeyError):
        place_among(normal(count, 3), normal(7, 3), np.zeros((count, 2), np.float32), 4.5, seed=3)
    assert asked == {
        "perplexity": 4.5, "method": method, "metric": "euclidean", "n_jobs": 7 * round(13.5), "random_state": 3
    }  # fmt: skip


def test_threads(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    assert [threads_for(pairs) for pairs in (0, 99_999, 100_000, 149_999, 150_000, 10**9)] == [1, 1, 2, 2, 3, 3]


class Reducer:
    """Notes what it is made with and given, in place of a library that need not be there."""

    made: dict[str, Any]

    def __init__(self, **settings):
        type(self).made = settings

    def fit_transform(self, vectors, **settings):
        type(self).made |= settings
        return vectors[:, :2].astype(np.float64) + 1


@pytest.mark.parametrize(
    ("count", "perplexity", "neighbours"), [(60, 5.6, 6), (60, 1.2, 2), (5, 30.0, 4), (5, 4.0, 4), (5, 3.4, 3)]
)
def test_what_the_other_libraries_are_asked(count, perplexity, neighbours, monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=Reducer))
    monkeypatch.setitem(sys.modules, "pacmap", SimpleNamespace(PaCMAP=Reducer))
    vectors, settings = normal(count, 3), {"perplexity": perplexity, "seed": 2**32 + 5}
    for method, expected in (
        ("umap", {"n_neighbors": neighbours, "metric": "euclidean", "random_state": 5, "n_jobs": 1}),
        ("pacmap", {"n_components": 2, "random_state": 5, "init": "pca"}),
    ):
        points = LAYOUTS[method](vectors, None, None, settings).points
        assert Reducer.made == expected and points.dtype == np.float32
        assert np.array_equal(points, vectors[:, :2].numpy().astype(np.float64).__add__(1).astype(np.float32))


def test_a_map_is_laid_out_with_its_own_settings():
    vectors = normal(50, 3)
    placed = LAYOUTS["som"](vectors, None, None, {"shape": [3, 5], "topology": "hexagonal", "epochs": 2})
    expected = fit_som(vectors, (3, 5), topology="hexagonal", epochs=2)
    assert placed.som is not None and torch.equal(placed.som.weights, expected.weights)
    assert placed.som.topology == "hexagonal"
    assert np.abs(placed.points - cell_places((3, 5), "hexagonal")[expected.cells]).max() < 0.46


def part_by_hand(points, chosen, rows, columns, cells, most):
    """Halves across and down in turn; in each the least sum of squared ways of points that are spread over its cells."""
    across, down = columns[1] - columns[0], rows[1] - rows[0]
    if len(chosen) > most and across >= down:
        middle = columns[0] + across // 2
        order = chosen[np.argsort(points[chosen, 0], kind="stable")]
        left = round(len(chosen) * (middle - columns[0]) / across)
        left = min(left, down * (middle - columns[0]))
        left = max(left, len(chosen) - down * (columns[1] - middle))
        part_by_hand(points, order[:left], rows, (columns[0], middle), cells, most)
        part_by_hand(points, order[left:], rows, (middle, columns[1]), cells, most)
    elif len(chosen) > most:
        middle = rows[0] + down // 2
        order = chosen[np.argsort(points[chosen, 1], kind="stable")]
        above = min(len(chosen), across * (middle - rows[0]))
        part_by_hand(points, order[:above], (rows[0], middle), columns, cells, most)
        part_by_hand(points, order[above:], (middle, rows[1]), columns, cells, most)
    elif len(chosen):
        grid = np.array([(row, column) for row in range(*rows) for column in range(*columns)])
        low, span = points[chosen].min(0), np.maximum(np.ptp(points[chosen], axis=0), 1e-12)
        spread = (points[chosen] - low) / span * (across - 1, down - 1) + (columns[0], rows[0])
        ways = ((spread[:, None] - grid[None, :, ::-1]) ** 2).sum(2)
        cells[chosen] = grid[linear_sum_assignment(ways)[1]]


@pytest.mark.parametrize("most", [1, 5, 20, 800])
@pytest.mark.parametrize(("count", "stretch"), [(23, (1, 1)), (57, (3, 1)), (57, (1, 2)), (40, (50, 1)), (41, (1, 50))])
def test_a_grid_written_out(monkeypatch, most, count, stretch):
    monkeypatch.setattr(grid_assignment, "_WHOLE", most)
    points = np.random.default_rng(count).random((count, 2)).astype(np.float32) * stretch + (5, -3)
    points = points.astype(np.float32)
    cells, (rows, columns) = grid_assignment.snap_to_grid(points)
    ratio = np.clip(np.ptp(points[:, 0]) / np.ptp(points[:, 1]), 1 / 4, 4)
    assert columns == round(np.sqrt(count * ratio)) and rows == int(np.ceil(count / columns))
    low, span = points.min(0), np.ptp(points, axis=0)
    scaled = ((points - low) / span * np.array([columns - 1, rows - 1])).astype(float)
    expected = np.empty_like(cells)
    part_by_hand(scaled, np.arange(count), (0, rows), (0, columns), expected, most)
    assert np.array_equal(cells, expected) and len(np.unique(cells, axis=0)) == count
    assert (cells < (rows, columns)).all() and (cells >= 0).all()


def test_points_on_a_line_or_alone():
    for points in (np.zeros((1, 2)), np.zeros((4, 2)), np.stack([np.arange(5.0), np.zeros(5)], 1)):
        cells, (rows, columns) = grid_assignment.snap_to_grid(points.astype(np.float32))
        assert len(np.unique(cells, axis=0)) == len(points) <= rows * columns
        assert (cells < (rows, columns)).all()


def test_how_large_a_map_is_and_of_how_many_images():
    assert [image_map._som_shape(None, count) for count in (1, 4, 100, 10_000)] == [(2, 2), (3, 3), (7, 7), (22, 22)]
    assert image_map._som_shape(7, 100) == (7, 7) and image_map._som_shape((3, 8), 100) == (3, 8)
    assert image_map._fitting_perplexity(None, 91) == image_map._fitting_perplexity(None, 10**6) == 30
    assert image_map._fitting_perplexity(None, 31) == 10 and image_map._fitting_perplexity(10, 31) == 10
    assert image_map._fitting_perplexity(1, 31) == 1
    for wrong in (0.99, 10.01):
        with pytest.raises(QuestionError, match="perplexity"):
            image_map._fitting_perplexity(wrong, 31)
    assert image_map._sampled_rows(9, None, 0).tolist() == image_map._sampled_rows(9, 9, 0).tolist() == list(range(9))
    drawn = np.random.default_rng(3).choice(9, 4, replace=False)
    assert image_map._sampled_rows(9, 4, 3).tolist() == sorted(drawn.tolist())
    assert len(image_map._sampled_rows(4, None, 0)) == 4
    for count, limit in ((3, None), (9, 3)):
        with pytest.raises(QuestionError, match="no map"):
            image_map._sampled_rows(count, limit, 0)


@pytest.mark.parametrize("size", [(7, 12), (12, 7), (8, 8)])
def test_a_thumbnail_is_of_the_middle(size, monkeypatch):
    pictures = np.random.default_rng(0).integers(0, 256, (300, *size, 3), dtype=np.uint8)
    monkeypatch.setattr(image_map, "recorded_pictures", lambda recording, rows: pictures[rows])
    recording: Any = None
    found = list(image_map._thumbnails(recording, np.arange(299, -1, -1), 5))
    short, (top, left) = min(size), ((size[0] - min(size)) // 2, (size[1] - min(size)) // 2)
    assert len(found) == 300
    for number in (0, 255, 256, 299):
        middle = pictures[299 - number, top : top + short, left : left + short]
        assert np.array_equal(found[number], resized(middle, 5, 5))


def test_a_map_of_cells_tells_of_every_image_where_it_is():
    learnt = replace(
        fit_som(normal(5, 2), (2, 3), epochs=1, topology="hexagonal"),
        cells=np.array([5, 1, 5, 0, 1]), distances=np.array([0.4, 0.1, 0.3, 0.9, 0.2], np.float32),
    )  # fmt: skip
    fields = image_map._grid_fields(Placed(np.zeros((5, 2), np.float32), learnt), {"grid": False})
    assert fields["cells"].tolist() == [[1, 2], [0, 1], [1, 2], [0, 0], [0, 1]]
    assert fields["best"].tolist() == [[3, 1, -1], [-1, -1, 2]]
    assert (fields["shape"], fields["topology"]) == ((2, 3), "hexagonal")
    assert np.array_equal(fields["u_matrix"], learnt.u_matrix()) and fields["u_matrix"].shape == (2, 3)
    assert fields["quantisation_error"] == learnt.quantisation_error
    assert fields["topographic_error"] == learnt.topographic_error
    points = normal(6, 2).numpy()
    plain = image_map._grid_fields(Placed(points), {"grid": True})
    cells, shape = grid_assignment.snap_to_grid(points)
    assert np.array_equal(plain["cells"], cells) and plain["shape"] == shape and len(plain) == 2
    assert image_map._grid_fields(Placed(points), {"grid": False}) == {}
