"""Maps of more images than every pair of them is looked at, made small enough to be compared with exact ones."""

import numpy as np
import pytest
import torch

import iconoscope as ico
from iconoscope.errors import IconoscopeWarning
from iconoscope.exemplars import approximate_neighbours, nearest_neighbours, tsne
from iconoscope.exemplars.approximate_neighbours import approximate_rows, nearest_among, neighbour_recall
from iconoscope.exemplars.nearest_neighbours import metric_vectors, nearest_rows, trustworthiness

usearch = pytest.importorskip("usearch")


def groups(count, numbers=16, seed=0):
    rng = np.random.default_rng(seed)
    middles = rng.normal(size=(20, numbers)) * 2
    return torch.from_numpy(
        (middles[rng.integers(0, 20, count)] + rng.normal(size=(count, numbers))).astype(np.float32)
    )


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_the_index_finds_almost_all_neighbours_in_their_order(metric):
    vectors = metric_vectors(groups(5000).numpy(), metric)
    rows, distances = approximate_rows(vectors, 15)
    exact, apart = nearest_rows(vectors, 15)
    shared = np.mean([len(np.intersect1d(ours, theirs)) / 15 for ours, theirs in zip(rows, exact, strict=True)])
    assert shared > 0.99
    assert neighbour_recall(vectors, rows, 15, sample=5000) == pytest.approx(shared, abs=1e-3)
    assert neighbour_recall(vectors, rows, 15, sample=400) == pytest.approx(shared, abs=0.01)
    assert (rows != np.arange(5000)[:, None]).all()
    assert (np.diff(distances, axis=1) >= 0).all()
    expected = np.linalg.norm(vectors.numpy()[rows] - vectors.numpy()[:, None], axis=2)
    assert np.abs(distances - expected).max() < 1e-4
    same = rows == exact
    assert np.abs(distances - apart)[same].max() < 1e-5


def test_the_index_is_the_same_in_every_run():
    vectors = groups(3000)
    first, second = approximate_rows(vectors, 9), approximate_rows(vectors, 9)
    assert np.array_equal(first[0], second[0])
    assert np.array_equal(first[1], second[1])


def test_vectors_that_are_the_same_have_others_as_neighbours():
    vectors = torch.cat([groups(500), torch.ones(300, 16)])
    rows, distances = approximate_rows(vectors, 5)
    assert (rows != np.arange(800)[:, None]).all()
    assert all(len(set(line)) == 5 for line in rows.tolist())
    assert not distances[500:].any()
    assert neighbour_recall(vectors, rows, 5, sample=800) > 0.95  # a wall of twins hides others


def test_recall_counts_what_is_missing():
    vectors = groups(300)
    rows, _ = nearest_rows(vectors, 10)
    assert neighbour_recall(vectors, rows, 10) == 1
    rows[:, :4] = nearest_rows(-vectors, 299)[0][:, -4:]  # the farthest in place of the nearest
    assert neighbour_recall(vectors, rows, 10) == pytest.approx(0.6)


@pytest.mark.parametrize("has_index", [True, False])
def test_nearest_of_a_sample(monkeypatch, has_index):
    monkeypatch.setattr(approximate_neighbours, "has_index", lambda: has_index)
    vectors = groups(2000)
    nearest = nearest_among(vectors[500:], vectors[:500], 3)
    expected = torch.cdist(vectors[500:], vectors[:500]).topk(3, largest=False).indices.numpy()
    assert (nearest == expected).mean() > (0.98 if has_index else 0.999)


@pytest.fixture
def small_limits(monkeypatch):
    monkeypatch.setattr(approximate_neighbours, "EXACT", 100)
    monkeypatch.setattr(tsne, "WHOLE", 150)
    monkeypatch.setattr(tsne, "SAMPLE", 120)


def test_a_map_of_very_many_says_how_it_was_made_and_what_was_sampled(recorded, small_limits):
    image_map = ico.map_images(recorded, "tsne")
    assert image_map.question.settings["embedded"] == 120
    assert image_map.question.settings["neighbours"] == "approximate"
    assert image_map.quality["embedded"] == 120
    assert image_map.quality["trusted_sample"] == 240
    assert 0.99 <= image_map.neighbour_recall <= 1
    assert "120 were laid out first" in image_map.summary()
    assert image_map.to_json()["neighbour_recall"] == image_map.neighbour_recall
    near = metric_vectors(recorded.vectors(), "cosine")
    assert image_map.trustworthiness == pytest.approx(
        trustworthiness(near, torch.from_numpy(image_map.points), image_map.trusted_k), abs=1e-6
    )
    assert np.array_equal(ico.map_images(recorded, "tsne").points, image_map.points)
    assert not np.array_equal(ico.map_images(recorded, "tsne", seed=1).points, image_map.points)


def test_without_the_index_every_pair_is_looked_at_and_this_is_said(recorded, small_limits, monkeypatch):
    monkeypatch.setattr(approximate_neighbours, "has_index", lambda: False)
    with pytest.warns(IconoscopeWarning, match=r"iconoscope\[large\]"):
        image_map = ico.map_images(recorded, "pca")
    assert image_map.neighbour_recall == 1
    assert image_map.question.settings["neighbours"] == "exact"


def test_a_map_from_a_sample_is_as_good_as_one_of_all():
    vectors = metric_vectors(groups(900, 8).numpy(), "cosine")
    settings = {"perplexity": 10.0, "seed": 0, "iterations": 100}
    whole = tsne.embed(vectors, *nearest_rows(vectors, 90), settings)
    sampled = tsne.embed_by_sample(vectors, *nearest_rows(vectors, 30), settings | {"embedded": 300})
    of_whole, of_sample = (trustworthiness(vectors, torch.from_numpy(points), 15) for points in (whole, sampled))
    assert of_sample > of_whole - 0.02
    assert np.isfinite(sampled).all()


def test_an_interrupt_between_iterations_ends_a_map(monkeypatch):
    vectors = metric_vectors(groups(400).numpy(), "cosine")

    def interrupted(*arguments, **settings):
        raise KeyboardInterrupt

    monkeypatch.setattr(nearest_neighbours.torch, "addmm", interrupted)
    with pytest.raises(KeyboardInterrupt):
        tsne.embed_by_sample(
            vectors, *approximate_rows(vectors, 30), {"perplexity": 30.0, "seed": 0, "iterations": 50, "embedded": 200}
        )
