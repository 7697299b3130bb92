"""Numbers of maps and curves against plain computations in double precision, and scikit-learn's where it is there."""

import time
from dataclasses import replace

import numpy as np
import pytest
import torch

import iconoscope as ico
from iconoscope.exemplars import grid_assignment
from iconoscope.exemplars.layouts import LAYOUTS, Placed, _around_cells
from iconoscope.exemplars.map import _grid_fields
from iconoscope.exemplars.nearest_neighbours import metric_vectors, nearest_rows, trustworthiness
from iconoscope.exemplars.roc_area import areas, curve
from iconoscope.exemplars.som import cell_places, fit_som
from iconoscope.exemplars.tsne import threads_for


def neighbours_by_hand(shape, topology):
    """The cells beside each: eight around a square, six around a hexagon whose odd rows are shifted to the right."""
    rows, columns = shape
    beside = [[] for _ in range(rows * columns)]
    for row in range(rows):
        for column in range(columns):
            around = [(row + down, column + across) for down in (-1, 0, 1) for across in (-1, 0, 1) if down or across]
            if topology == "hexagonal":
                shifted = (column, column + 1) if row % 2 else (column - 1, column)
                around = [(row, column - 1), (row, column + 1)]
                around += [(row + down, across) for down in (-1, 1) for across in shifted]
            beside[row * columns + column] = [r * columns + c for r, c in around if 0 <= r < rows and 0 <= c < columns]
    return beside


@pytest.mark.parametrize("topology", ["rectangular", "hexagonal"])
@pytest.mark.parametrize("shape", [(3, 4), (20, 20), (1, 30)])
def test_the_u_matrix_is_the_mean_distance_to_the_cells_beside(topology, shape):
    vectors = torch.randn(200, 6, generator=torch.Generator().manual_seed(0)) + 50
    som = fit_som(vectors, shape, topology=topology, epochs=3)
    weights = som.weights.double().numpy()
    by_hand = [
        np.mean([np.linalg.norm(weights[cell] - weights[other]) for other in around])
        for cell, around in enumerate(neighbours_by_hand(shape, topology))
    ]
    np.testing.assert_allclose(som.u_matrix().ravel(), by_hand, rtol=1e-4)


def test_a_map_says_how_far_vectors_are_from_their_cells_also_far_from_the_origin():
    vectors = torch.randn(300, 4, generator=torch.Generator().manual_seed(1))
    som = fit_som(vectors, (6, 6), epochs=4)
    apart = np.linalg.norm(vectors.double().numpy()[:, None] - som.weights.double().numpy()[None], axis=2)
    np.testing.assert_allclose(som.distances, apart[np.arange(300), som.cells], rtol=1e-4)
    np.testing.assert_allclose(som.distances, apart.min(1), rtol=1e-3)
    assert som.quantisation_error == pytest.approx(apart.min(1).mean(), rel=1e-4)
    beside = neighbours_by_hand((6, 6), "rectangular")
    first, second = np.argsort(apart, 1)[:, :2].T
    assert som.topographic_error == pytest.approx(
        np.mean([b not in beside[a] for a, b in zip(first, second, strict=True)])
    )


def test_one_epoch_of_a_map_is_the_weighted_mean_by_a_gaussian_of_the_distance_on_the_map():
    """From the plane it begins in: each cell becomes the mean of all vectors, weighted by exp(-d² / 2s²) of their cells."""
    vectors = torch.randn(80, 3, generator=torch.Generator().manual_seed(2))
    learnt = fit_som(vectors, (4, 5), epochs=1).weights.double().numpy()
    points = vectors.double().numpy()
    centred = points - points.mean(0)
    variances, axes = np.linalg.eigh(centred.T @ centred / 80)
    axes = axes[:, ::-1] * np.sign(axes[:, ::-1].sum(0))
    places = cell_places((4, 5), "rectangular").astype(float)
    along = places / places.max(0) * 2 - 1
    begun = points.mean(0) + sum(
        along[:, [side]] * 2 * np.sqrt(variances[::-1][axis]) * axes[:, axis] for side, axis in enumerate([0, 1])
    )
    nearest = np.linalg.norm(points[:, None] - begun[None], axis=2).argmin(1)
    squared = ((places[:, None] - places[None]) ** 2).sum(2)
    kernel = np.exp(-squared / (2 * 1.0**2))  # one epoch has the last width, a step of the map
    weight = kernel[:, nearest]
    np.testing.assert_allclose(learnt, weight @ points / weight.sum(1, keepdims=True), atol=1e-4)


@pytest.mark.parametrize("offset", [0, 1000])
@pytest.mark.parametrize("copies", [1, 3])
def test_trustworthiness_is_scikit_learns(offset, copies):
    manifold = pytest.importorskip("sklearn.manifold")
    generator = np.random.default_rng(3)
    vectors = np.repeat(generator.normal(size=(60, 5)), copies, 0)
    points = np.repeat(generator.normal(size=(60, 2)), copies, 0) + generator.normal(size=(60 * copies, 2)) * 1e-3
    theirs = manifold.trustworthiness(vectors, points, n_neighbors=7)
    shifted = torch.from_numpy((points + offset).astype(np.float32))
    ours = trustworthiness(metric_vectors(vectors.astype(np.float32) + offset, "euclidean"), shifted, 7)
    assert ours == pytest.approx(theirs, abs=2e-3 if copies > 1 or offset else 1e-9)


def test_trustworthiness_by_hand():
    """Venna and Kaski's sum, of ranks counted one by one in double precision."""
    generator = np.random.default_rng(4)
    vectors, points, k, count = generator.normal(size=(40, 3)), generator.normal(size=(40, 2)), 5, 40
    truth = np.linalg.norm(vectors[:, None] - vectors[None], axis=2)
    plane = np.linalg.norm(points[:, None] - points[None], axis=2)
    penalty = 0
    for row in range(count):
        ranks = {other: rank for rank, other in enumerate(np.argsort(truth[row]))}
        penalty += sum(max(0, ranks[other] - k) for other in np.argsort(plane[row])[1 : k + 1])
    by_hand = 1 - 2 / (count * k * (2 * count - 3 * k - 1)) * penalty
    assert trustworthiness(torch.from_numpy(vectors).float(), torch.from_numpy(points).float(), k) == pytest.approx(
        by_hand
    )


def test_neighbours_that_are_the_same_are_at_distance_nought():
    vectors = torch.randn(40, 300, generator=torch.Generator().manual_seed(5)).repeat(2, 1) + 3
    rows, distances = nearest_rows(vectors, 4)
    np.testing.assert_array_equal(rows[:, 0], (np.arange(80) + 40) % 80)
    assert not distances[:, 0].any()
    double = vectors.double().numpy()
    apart = np.linalg.norm(double[:, None] - double[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    np.testing.assert_allclose(distances, np.sort(apart, 1)[:, :4], rtol=1e-3, atol=1e-6)
    assert (np.diff(distances, axis=1) >= 0).all()


@pytest.mark.parametrize("spread", [1, 0.1, 0.01])
def test_neighbours_and_cells_within_groups_that_lie_far_apart(spread):
    generator = np.random.default_rng(6)
    double = generator.normal(size=(120, 12)) * spread + np.repeat([[0.0], [100.0]], 60, 0)
    vectors = metric_vectors(double.astype(np.float32), "euclidean")
    exact = vectors.double().numpy()
    apart = np.linalg.norm(exact[:, None] - exact[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    rows, distances = nearest_rows(vectors, 7)
    assert all(set(row) == set(by_hand) for row, by_hand in zip(rows, np.argsort(apart, 1)[:, :7], strict=True))
    np.testing.assert_allclose(distances, np.sort(apart, 1)[:, :7], rtol=1e-4)
    som = fit_som(vectors, (6, 6), epochs=5)
    to_cells = np.linalg.norm(exact[:, None] - som.weights.double().numpy()[None], axis=2)
    chosen = to_cells[np.arange(120), som.cells]
    np.testing.assert_allclose(chosen, to_cells.min(1), rtol=1e-4, atol=spread * 1e-4)


def roc_by_hand(concept, others):
    """The corners of the curve, from (0, 0): a threshold after another, from above."""
    thresholds = sorted({*concept.tolist(), *others.tolist()}, reverse=True)
    return np.array([(0.0, 0.0)] + [((others >= t).mean(), (concept >= t).mean()) for t in thresholds])


@pytest.mark.parametrize("levels", [2, 4, 1000])
def test_a_curve_goes_through_its_corners_and_has_the_area_that_is_stated(levels):
    generator = np.random.default_rng(levels)
    concept, others = (generator.integers(0, levels, count).astype(np.float32) for count in (30, 50))
    corners = roc_by_hand(concept, others)
    assert np.trapezoid(corners[:, 1], corners[:, 0]) == pytest.approx(areas(concept[:, None], others[:, None])[0])
    at = np.linspace(0, 1, 20_001)
    drawn = curve(concept, others, at)
    assert np.trapezoid(drawn, at) == pytest.approx(areas(concept[:, None], others[:, None])[0], abs=1e-4)
    metrics = pytest.importorskip("sklearn.metrics")
    alarms, hits, _ = metrics.roc_curve(
        np.repeat([1, 0], [30, 50]), np.concatenate([concept, others]), drop_intermediate=False
    )
    between = at[np.abs(at[:, None] - alarms).min(1) > 1e-9]
    np.testing.assert_allclose(curve(concept, others, between), np.interp(between, alarms, hits), atol=1e-9)


def test_the_curve_of_four_images_has_the_area_of_three_quarters():
    at = np.linspace(0, 1, 2001)
    assert np.trapezoid(curve(np.array([3, 1], np.float32), np.array([2, 0], np.float32), at), at) == pytest.approx(
        0.75, abs=1e-3
    )


DEGENERATE = {
    "one": np.ones((1, 4)),
    "two": np.eye(2, 4),
    "three": np.eye(3, 4),
    "all the same": np.ones((12, 4)),
    "two kinds": np.repeat(np.eye(2, 4), 6, 0),
    "one number": np.arange(12.0)[:, None],
    "nothing at all": np.zeros((12, 4)),
    "huge": np.random.default_rng(0).normal(size=(12, 4)) * 1e18,
    "tiny": np.random.default_rng(0).normal(size=(12, 4)) * 1e-18,
}  # fmt: skip


@pytest.mark.parametrize("method", ["tsne", "pca", "som"])
@pytest.mark.parametrize("kind", DEGENERATE)
@pytest.mark.filterwarnings("error")
def test_vectors_that_leave_nothing_to_lay_out_are_laid_out_or_refused_in_words(kind, method, tmp_path, monkeypatch):
    vectors = DEGENERATE[kind].astype(np.float32)
    recording = ico.record(
        ico.load_network("cars", device="cpu"), ico.demo_images(len(vectors)), ["relu3"], store=tmp_path
    )
    monkeypatch.setattr(type(recording), "vectors", lambda self, name: vectors)
    for metric in ("euclidean", "cosine"):
        try:
            image_map = ico.map_images(recording, method=method, metric=metric)
        except ico.IconoscopeError:
            continue
        assert np.isfinite(image_map.points).all() and 0 <= image_map.trustworthiness <= 1


def test_threads_are_as_many_as_the_work_is_worth():
    assert threads_for(0) == threads_for(90 * 100) == 1
    assert threads_for(10**9) == torch.get_num_threads()
    vectors = torch.from_numpy(np.random.default_rng(0).normal(size=(7, 16)).astype(np.float32))
    begun = time.process_time()
    LAYOUTS["tsne"](vectors, *nearest_rows(vectors, 6), {"perplexity": 2, "seed": 0, "iterations": 250})
    assert time.process_time() - begun < 5


def test_images_of_a_cell_lie_in_a_spiral_the_nearest_in_the_middle():
    cells, distances = np.array([1, 1, 0, 1, 1]), np.array([0.4, 0.1, 0.9, 0.2, 0.3], np.float32)
    som = replace(fit_som(torch.rand(9, 2), (2, 2), epochs=1), cells=cells, distances=distances)
    points = _around_cells(som).astype(float)
    golden = np.pi * (3 - 5**0.5)
    for rank, image in enumerate([1, 3, 4, 0]):
        away = 0.45 * (rank / 4) ** 0.5
        place = 1 + away * np.cos(rank * golden), away * np.sin(rank * golden)
        assert points[image] == pytest.approx(place, abs=1e-6)
    assert points[2].tolist() == [0, 0]


def test_of_images_as_near_to_a_cell_the_last_stands_for_it():
    som = fit_som(torch.rand(600, 2), (1, 2), epochs=1)
    som = replace(som, cells=np.arange(600) % 2, distances=np.zeros(600, np.float32))
    fields = _grid_fields(Placed(np.zeros((600, 2), np.float32), som), {"grid": True})
    assert fields["best"].tolist() == [[598, 599]]


@pytest.mark.parametrize("turned", [False, True])
def test_a_long_grid_is_cut_across_until_its_parts_are_small(monkeypatch, turned):
    monkeypatch.setattr(grid_assignment, "_WHOLE", 10)
    points = np.random.default_rng(0).random((900, 2)).astype(np.float32) * (4, 1)
    points = points[:, ::-1] if turned else points
    cells, (rows, columns) = grid_assignment.snap_to_grid(points)
    assert (rows, columns) == ((60, 15) if turned else (15, 60)) and len(np.unique(cells, axis=0)) == 900
    scaled = (points - points.min(0)) / np.ptp(points, axis=0) * (columns - 1, rows - 1)
    away = np.hypot(*(cells[:, ::-1] - scaled).T)
    assert away.mean() < 1.5 and np.corrcoef(cells[:, 0], points[:, 1])[0, 1] > 0.97


def test_of_many_images_two_thousand_are_asked_whether_their_neighbours_are_right():
    vectors = torch.randn(2001, 3, generator=torch.Generator().manual_seed(0))
    points = torch.randn(2001, 2, generator=torch.Generator().manual_seed(1))
    stated = trustworthiness(vectors, points, 15, sample=2000, seed=0)
    assert trustworthiness(vectors, points) == stated != trustworthiness(vectors, points, sample=1999)
    assert trustworthiness(vectors, points, seed=1) != stated
