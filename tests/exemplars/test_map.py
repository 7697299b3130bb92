"""Maps against planted truths, brute force and other libraries."""

import dataclasses
import io

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.optimize import linear_sum_assignment
from sklearn import manifold
from sklearn.neighbors import NearestNeighbors

import iconoscope as ico
from iconoscope import printing
from iconoscope.errors import MissingExtraError, NonFiniteError, QuestionError, StoreError
from iconoscope.exemplars.grid_assignment import snap_to_grid
from iconoscope.exemplars.nearest_neighbours import kept_class, metric_vectors, nearest_rows, trustworthiness
from iconoscope.exemplars.som import cell_places, fit_som
from iconoscope.results.atlas import pack_thumbnails, pages_in, read_thumbnails


@pytest.fixture(scope="module")
def vectors():
    return np.random.default_rng(0).normal(size=(300, 12)).astype(np.float32) + 3


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_neighbours_are_those_of_scikit_learn(vectors, metric):
    rows, distances = nearest_rows(metric_vectors(vectors, metric), 7)
    other = NearestNeighbors(n_neighbors=8, metric=metric, algorithm="brute").fit(vectors).kneighbors(vectors)
    assert (rows == other[1][:, 1:]).mean() > 0.999
    expected = other[0][:, 1:] if metric == "euclidean" else np.sqrt(2 * other[0][:, 1:])
    assert np.allclose(distances, expected, atol=1e-3)


def test_trustworthiness_is_that_of_scikit_learn(vectors):
    points = vectors[:, :2] * 2 + np.random.default_rng(1).normal(size=(300, 2)).astype(np.float32)
    expected = manifold.trustworthiness(vectors, points, n_neighbors=9)
    near = metric_vectors(vectors, "euclidean")
    assert trustworthiness(near, torch.from_numpy(points), 9) == pytest.approx(expected, abs=1e-6)
    assert trustworthiness(near, torch.from_numpy(points), 9, sample=200) == pytest.approx(expected, abs=0.02)


def test_kept_class_counts_neighbours_of_those_that_have_a_class():
    neighbours = np.array([[1, 2], [0, 2], [0, 1]])
    assert kept_class(neighbours, np.array([0, 0, 1])) == pytest.approx(2 / 6)
    assert kept_class(neighbours, np.array([0, 0, -1])) == pytest.approx(2 / 4)
    assert kept_class(neighbours, np.full(3, -1)) is None


@pytest.mark.parametrize("topology", ["rectangular", "hexagonal"])
def test_a_self_organising_map_unrolls_a_plane(topology):
    """Points of an oblong, turned into ten dimensions: the map must find the oblong again."""
    rng = np.random.default_rng(0)
    plane = (rng.random((2000, 2)) * [2, 1]).astype(np.float32)
    turned = plane @ np.linalg.qr(rng.normal(size=(10, 2)))[0].T.astype(np.float32)
    som = fit_som(torch.from_numpy(turned), (6, 12), topology=topology)
    places = cell_places(som.shape, topology)[som.cells]
    # However it is turned: what is far on the oblong is far on the map.
    some = rng.choice(2000, 300, replace=False)
    true, found = (torch.pdist(torch.from_numpy(each[some])).numpy() for each in (plane, places))
    assert np.corrcoef(true, found)[0, 1] > 0.97
    assert som.topographic_error < 0.05
    # The mean distance to the middle of a sixth of the oblong's height is 0.38 / 6; hexagons are a little better.
    assert 0.055 < som.quantisation_error < 0.09  # the border is drawn in by the neighbourhood
    distances = torch.cdist(torch.from_numpy(turned), som.weights)
    assert (distances.argmin(1).numpy() == som.cells).mean() > 0.999
    assert float(distances.min(1).values.mean()) == pytest.approx(som.quantisation_error, abs=1e-4)


def test_the_u_matrix_has_its_ridge_between_two_groups():
    rng = np.random.default_rng(0)
    groups = rng.normal(size=(600, 5)).astype(np.float32) * 0.1
    groups[:300, 0] += 5
    som = fit_som(torch.from_numpy(groups), (6, 12))
    ridge = som.u_matrix().mean(0)
    assert 3 <= ridge.argmax() <= 8
    assert ridge.max() > 3 * np.median(ridge)
    assert not set(som.cells[:300]) & set(som.cells[300:])


def test_a_grid_has_a_place_for_every_image_and_moves_them_least():
    points = np.random.default_rng(0).random((56, 2)).astype(np.float32)
    cells, (rows, columns) = snap_to_grid(points)
    assert len(np.unique(cells, axis=0)) == 56
    assert rows * columns - 56 < columns
    low, span = points.min(0), np.ptp(points, axis=0)
    placed = (points - low) / span * [columns - 1, rows - 1]
    grid = np.stack(np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij"), 2).reshape(-1, 2)
    cost = np.square(placed[:, None, 0] - grid[None, :, 1]) + np.square(placed[:, None, 1] - grid[None, :, 0])
    taken = linear_sum_assignment(cost)
    ours = np.square(placed[:, ::-1] - cells).sum()
    assert ours == pytest.approx(cost[taken].sum(), rel=0.05)


def test_a_large_grid_is_cut_in_parts_and_keeps_neighbours():
    points = np.random.default_rng(0).random((5000, 2)).astype(np.float32)
    cells, (rows, columns) = snap_to_grid(points)
    assert len(np.unique(cells, axis=0)) == 5000
    assert cells.min() == 0
    assert (cells.max(0) < [rows, columns]).all()
    across = np.corrcoef(cells[:, 1], points[:, 0])[0, 1], np.corrcoef(cells[:, 0], points[:, 1])[0, 1]
    assert min(across) > 0.99


def test_an_atlas_gives_back_what_was_laid_out():
    colours = np.random.default_rng(0).integers(0, 256, (1100, 1, 1, 3), np.uint8)
    thumbnails = colours.repeat(128, 1).repeat(128, 2)
    pages = pages_in(*pack_thumbnails(iter(thumbnails), 1100, 128))
    assert len(pages) == 2
    found = read_thumbnails(pages, 1100, 128)
    assert np.abs(found.astype(int) - thumbnails).mean() < 2


@pytest.mark.parametrize("method", ["tsne", "pca", "som"])
def test_a_map_knows_its_images_and_says_how_good_it_is(recorded, photographs, tmp_path, method):
    found = ico.map_images(recorded, method, cells=(5, 6), store=tmp_path / "run")
    assert found.ids.tolist() == list(recorded.ids)
    assert found.points.shape == (240, 2)
    vectors = metric_vectors(recorded.vectors(), "cosine").numpy()
    trusted = manifold.trustworthiness(vectors, found.points, n_neighbors=found.trusted_k)
    assert found.trustworthiness == pytest.approx(trusted, abs=1e-3)
    assert found.trustworthiness > 0.85
    assert found.same_class_vectors is not None
    assert found.same_class_map is not None
    assert found.same_class_vectors > 0.95  # cars-honest tells the makes apart
    assert found.same_class_map > 0.9
    shown = np.asarray(
        Image.fromarray(photographs[17].pixels).resize((found.side, found.side), Image.Resampling.LANCZOS)
    )
    assert np.abs(found.thumbnail(17).astype(int) - shown).mean() < 6
    again = ico.map_images(recorded, method, cells=(5, 6), store=tmp_path / "run")
    assert np.array_equal(again.points, found.points)
    assert again.pages == found.pages
    picture, count = found.drawn
    assert f"Showing {count:,} of 240" in found.caption()
    assert 20 < count <= (240 if method != "som" else 30)
    with Image.open(found.save(tmp_path / "map.png")) as saved:
        assert saved.size[0] >= picture.shape[1]
        assert saved.size[1] > picture.shape[0]
    assert found.save(tmp_path / "map.pdf").read_bytes().startswith(b"%PDF")
    with Image.open(io.BytesIO(found._face())) as face:
        assert 400 < max(face.size) < 1500
    assert len(found._repr_html_()) < 300_000


def test_the_best_image_of_a_cell_is_the_nearest_to_it(recorded):
    found = ico.map_images(recorded, "som", cells=(4, 4), metric="euclidean")
    som = fit_som(metric_vectors(recorded.vectors(), "euclidean"), (4, 4))
    assert found.cells is not None
    assert found.best is not None
    for row in range(4):
        for column in range(4):
            inside = np.flatnonzero((found.cells == [row, column]).all(1))
            best = found.best[row, column]
            assert (best == -1) == (not len(inside))
            if len(inside):
                assert som.distances[best] == som.distances[inside].min()
    assert np.abs(found.points - found.cells[:, ::-1]).max() <= 0.5


def test_a_grid_is_kept_beside_the_points(recorded):
    found = ico.map_images(recorded, "pca", grid=True)
    assert found.cells is not None
    assert found.cells.shape == (240, 2)
    assert found.drawn[1] == 240
    assert "on a grid" in found.caption()


def test_new_images_are_placed_among_old_ones_that_look_alike(cars, photographs, recorded, tmp_path):
    new = ico.record(cars, ico.demo_images(40, backgrounds="neutral", seed=90), store=tmp_path / "new")
    for method in ("tsne", "pca"):
        old = ico.map_images(recorded, method)
        placed = ico.place_images(new, old, recorded)
        near = np.linalg.norm(placed.points[:, None] - old.points[None], axis=2).argsort(1)[:, :5]
        alike = old.labels[near] == placed.labels[:, None]
        assert alike.mean() > 0.9
    # An image that was there already comes to lie where it was.
    same = ico.place_images(recorded, ico.map_images(recorded, "pca"), recorded)
    assert np.allclose(same.points, ico.map_images(recorded, "pca").points, atol=1e-4)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_new_images_lie_in_the_plane_of_the_old_ones_by_either_distance(cars, recorded, tmp_path, metric):
    new = ico.record(cars, ico.demo_images(12, backgrounds="neutral", seed=91), store=tmp_path / "new")
    old = ico.map_images(recorded, "pca", metric=metric)
    vectors, placed = np.array(recorded.vectors(), float), np.array(new.vectors(), float)
    if metric == "cosine":
        vectors, placed = (both / np.linalg.norm(both, axis=1, keepdims=True) for both in (vectors, placed))
    middle = vectors.mean(0)
    axes = np.linalg.svd(vectors - middle, full_matrices=False)[2][:2]
    axes = axes * np.sign(axes.sum(1, keepdims=True))
    found = ico.place_images(new, old, recorded)
    spread = old.points.std()
    assert np.allclose(old.points, (vectors - middle) @ axes.T, atol=1e-3 * spread)
    assert np.allclose(found.points, (placed - middle) @ axes.T, atol=1e-3 * spread)
    assert found.neighbours.shape[1] == 8 and found.question.settings["into"] == old.question.key


def test_what_cannot_be_mapped_is_said(recorded, monkeypatch, tmp_path):
    with pytest.raises(QuestionError, match="method='tnse'") as raised:
        ico.map_images(recorded, "tnse")
    assert "tsne" in raised.value.hint
    with pytest.raises(QuestionError, match="perplexity=200 is not possible with 240 images"):
        ico.map_images(recorded, perplexity=200)
    with pytest.raises(QuestionError, match="no vectors 'relu9'"):
        ico.map_images(recorded, vectors="relu9")
    with pytest.raises(QuestionError, match="is a grid already"):
        ico.map_images(recorded, "som", grid=True)
    with pytest.raises(QuestionError, match="images make no map"):
        ico.map_images(recorded, limit=3)
    with pytest.raises(QuestionError, match="too small"):
        ico.map_images(recorded, "som", cells=(1, 1))
    with pytest.raises(QuestionError, match="not written as"):
        ico.map_images(recorded, "pca", out=tmp_path / "map.txt")
    for name, method in (("umap", "umap"), ("pacmap", "pacmap")):
        monkeypatch.setitem(__import__("sys").modules, name, None)
        with pytest.raises(MissingExtraError) as missing:
            ico.map_images(recorded, method)
        assert f"iconoscope[{method}]" in missing.value.hint
    broken = dataclasses.replace(recorded)
    values = np.array(recorded.vectors())
    values[3, 2] = np.inf
    monkeypatch.setattr(type(broken), "vectors", lambda self, name="penultimate": values)
    with pytest.raises(NonFiniteError, match="infinity"):
        ico.map_images(broken, "pca")


def test_som_maps_are_not_placed_into(recorded):
    with pytest.raises(QuestionError, match="not placed into a map by som"):
        ico.place_images(recorded, ico.map_images(recorded, "som", cells=4), recorded)


def test_a_self_organising_map_suits_the_set_and_the_memory(recorded):
    found = ico.map_images(recorded, "som")
    assert found.shape == (9, 9)  # five times the root of 240 images
    with pytest.raises(QuestionError, match="300x300 cells is too large") as raised:
        ico.map_images(recorded, "som", cells=300)
    assert "100x100" in raised.value.hint


def test_a_map_is_written_as_a_folder_where_its_name_has_no_ending(recorded, tmp_path):
    settings = {"out": f"{tmp_path / 'map'}/", "store": tmp_path / "store"}
    image_map = ico.map_images(recorded, "pca", **settings)
    page = tmp_path / "map" / "index.html"
    assert page.is_file()
    assert (tmp_path / "map" / "points" / "0.bin").stat().st_size == 13 * len(recorded)
    lines, value = printing.image_map(image_map, settings)
    assert value["map"] == str(page)
    assert "python -m http.server" in lines[-1]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter").write_text("mine")
    with pytest.raises(StoreError, match="holds something else than a map"):
        ico.map_images(recorded, "pca", out=tmp_path / "mine")
