"""What stands beside the audit, on data of which it is known what is to be found."""

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks import audit_peers, planted_photographs
from benchmarks.audit_peers import PeerRow, accused_by_removal, accused_by_slices, table
from benchmarks.error_slices import ErrorSlices
from benchmarks.planted_networks import CIFAR, NETWORKS
from benchmarks.planted_photographs import rule_breakers
from iconoscope.subject.network import Network, read_preprocessing

SIDE = 16
PLAIN = read_preprocessing({"size": SIDE, "mean": (0.0,) * 3, "std": (1.0,) * 3, "crop": "none"})


def test_a_slice_of_errors_is_found_where_embeddings_labels_and_predictions_say_so():
    draws = np.random.default_rng(0)
    labels = np.arange(400) % 2
    odd = (labels == 1) & (draws.random(400) < 0.2)
    embeddings = (
        draws.normal(0, 1, (400, 6))
        + 4 * labels[:, None] * (np.arange(6) == 0)
        + 6 * odd[:, None] * (np.arange(6) == 3)
    )
    certainty = np.where(odd, 0.1, np.where(labels == 1, 0.9, 0.1)) + draws.uniform(-0.05, 0.05, 400)
    one_hot, predictions = np.eye(2)[labels], np.stack([1 - certainty, certainty], 1)
    mixture = ErrorSlices.fit(embeddings, one_hot, predictions, seed=0)
    memberships = mixture.memberships(embeddings, one_hot, predictions)
    assert memberships.shape == (400, 5) and (memberships.sum(1) < 1 + 1e-9).all()
    worst = memberships[:, 0]
    assert odd[np.argsort(-worst)[:10]].all() and worst[~odd].max() < 0.5


def bright_over(row_from: int, row_to: int) -> Network:
    """A network that answers by how bright some rows are."""
    module = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE * SIDE, 2))
    weight = torch.zeros(2, 3, SIDE, SIDE)
    weight[1, :, row_from:row_to] = 1.0
    linear = module[1]
    assert isinstance(linear, nn.Linear)
    linear.weight.data, linear.bias.data = weight.flatten(1), torch.tensor([0.4 * 3 * SIDE * (row_to - row_from), 0.0])
    return Network(module.eval(), PLAIN, ("dark", "light"), "rows")


def scenes(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Squares that are as bright as their grounds, on noise; masks, and labels."""
    draws = np.random.default_rng(1)
    labels = np.arange(count) % 2
    pixels = (60 + 90 * labels[:, None, None, None] + draws.integers(-12, 13, (count, SIDE, SIDE, 3))).astype(np.uint8)
    masks = np.zeros((count, SIDE, SIDE), np.bool_)
    masks[:, 5:11, 5:11] = True
    return pixels, masks, labels


def test_a_ground_that_decides_is_seen_when_objects_are_taken_out():
    pixels, masks, labels = scenes(80)
    assert accused_by_removal(bright_over(0, 4), pixels, masks, labels) == {0, 1}
    # One that goes by the object alone, on one ground, is not accused.
    alike = np.where(masks[..., None], pixels, 100).astype(np.uint8)
    assert accused_by_removal(bright_over(6, 10), alike, masks, labels) == set()


def test_slices_accuse_the_class_that_errs_and_show_what_breaks_its_rule():
    pixels, _, labels = scenes(400)
    breaking = np.zeros((400, 2), np.bool_)
    odd = np.flatnonzero(labels == 1)[::5]
    pixels[odd, :4] -= 90  # their label stays
    breaking[odd, 1] = True
    network = bright_over(0, 4)
    accused, shown = accused_by_slices(network, pixels, labels, breaking)
    assert shown == {1} and 1 in accused
    honest, nothing = accused_by_slices(network, scenes(400)[0], labels, np.zeros_like(breaking))
    assert honest == set() and nothing == set()


def test_photographs_that_break_a_rule_are_those_that_training_was_not_sure_of(monkeypatch):
    name = next(name for name, spec in NETWORKS.items() if any(sure < 1 for _, sure in spec.plants.values()))
    spec, labels = NETWORKS[name], np.arange(60_000) % len(CIFAR)
    monkeypatch.setattr(planted_photographs, "_photographs", lambda: (np.zeros((60_000, 1, 1, 3), np.uint8), labels))
    breaking = rule_breakers(name, 0, 800)
    assert breaking.shape == (800, len(spec.classes))
    for index, of_class in enumerate(spec.classes):
        sure = spec.plants[of_class][1] if of_class in spec.plants else 1.0
        assert breaking[:, index].any() == (sure < 1)
        assert breaking[:, index].mean() < 0.35


def test_the_table_counts_classes_and_leaves_out_what_wants_masks():
    rows = [
        PeerRow("a", "cat", "logo", 40, True, True, False, False),
        PeerRow("a", "dog", "", 0, False, False, True, False),
        PeerRow("composites-b", "bird", "hue", 50, True, False, True, True, True, True),
        PeerRow("composites-c", "bird", "", 0, False, False, False, False, True, False),
    ]
    text = "\n".join(table(rows, {"composites-b": True, "composites-c": False}))
    assert "photographs: detected, of shortcuts over 20 points | 1 | 1 of 1" in text and "wants masks" in text
    assert "photographs: other classes accused, beside shortcuts | 1 | 0 of 1" in text
    assert "honest networks accused | 1 | 0 of 1, 0.0% (0.0% to 97.5%) | 0 of 1, 0.0% (0.0% to 97.5%) | 1 of 1" in text
    assert "Datalab flags 1 of 1" in text and "0 of 1, 0.0% (0.0% to 97.5%) of the honest ones" in text


@pytest.mark.parametrize(("inside", "errs"), [([True] * 8 + [False] * 40, True), ([True] * 2 + [False] * 46, False)])
def test_a_slice_errs_more_only_where_chance_does_not_say_it(inside, errs):
    right = np.array([False] * 6 + [True] * 42)
    assert audit_peers._errs_more(np.array(inside), right) == errs
