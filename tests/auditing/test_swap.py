"""Whole objects and backgrounds, swapped before networks whose truth is known."""

import sys

import numpy as np
import pytest
import torch
from torch import nn

import iconoscope as ico

HOW = {"size": 16, "mean": (0.5,) * 3, "std": (0.5,) * 3, "crop": "none"}
LABELS = ("dark", "light")
MASK = np.zeros((16, 16), bool)
MASK[4:12, 4:12] = True


class Spots(nn.Module):
    """Looks at a spot on the object, at one in the corner, at both, or at none.

    Who looks at both says "mixed" where the two disagree. Who looks at none always says "dark".
    """

    def __init__(self, looks_at):
        super().__init__()
        self.looks_at = looks_at

    def forward(self, x):
        middle, corner = x[:, :, 6:10, 6:10].mean((1, 2, 3)), x[:, :, :4, :4].mean((1, 2, 3))
        thing = corner if self.looks_at == "corner" else middle
        ground = middle if self.looks_at == "middle" else corner
        if self.looks_at == "none":
            thing = ground = -1 + 0 * middle
        logits = torch.stack([-(thing + ground), thing + ground, (thing - ground).abs() - 0.5], 1)
        return 4 * logits


def spots(looks_at):
    return ico.load_network(Spots(looks_at), classes=[*LABELS, "mixed"], preprocessing=HOW, device="cpu")


def squares(count=80, seed=0):
    """Dark squares on dark, light squares on light, each with the mask of its square."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    pixels = np.where(labels == 1, 200, 40)[:, None, None, None] + generator.integers(-15, 16, (count, 16, 16, 3))
    masks = np.repeat(MASK[None], count, 0)
    return ico.load_images(pixels.astype(np.uint8), labels=[LABELS[label] for label in labels], masks=masks)


@pytest.fixture(scope="module")
def images():
    return squares()


@pytest.mark.parametrize(
    ("looks_at", "word"), [("middle", "object"), ("corner", "unnamed"), ("both", "undecided"), ("none", "undecided")]
)
def test_the_truth_is_found(images, looks_at, word):
    audit = ico.audit(spots(looks_at), images, families=())
    assert audit.word == word, audit.verdict
    if looks_at == "none":
        return  # one answer to everything: there is nobody to give another class's part
    # Before the one that looks at both each part takes the answer away, and neither alone gives the other one.
    changes = {"middle": (1, 0), "corner": (0, 1), "both": (1, 1)}[looks_at]
    assert set(audit.classes) == set(LABELS)
    for finding in audit.classes.values():
        assert finding.conclusion.word == word
        for part, change in zip(("object", "background"), changes, strict=True):
            swap = finding.swaps[part]
            assert (swap.other.value, swap.control.value, swap.excess.value) == (change, 0, change)


def test_a_swap_is_the_plain_one(images):
    """Pasted by hand: inside the mask the one image, outside the other."""
    network = spots("both")
    audit = ico.audit(network, images, families=())
    pixels = np.stack([image.pixels for image in images])
    donors = audit.interventions.donors
    for part, inside in (("object", MASK), ("background", ~MASK)):
        answers = audit.interventions.answers[audit.interventions.trials.index(part)]
        for given, told in zip((donors.other, donors.same), answers, strict=True):
            pasted = np.where(inside[..., None], pixels[given], pixels[donors.rows])
            assert np.array_equal(told, ico.predict(network, pasted).argmax(1))


def test_the_same_seed_gives_the_same_donors(images):
    first, second, third = (ico.audit(spots("corner"), images, families=(), seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(first.interventions.donors.other, second.interventions.donors.other)
    assert not np.array_equal(first.interventions.donors.other, third.interventions.donors.other)
    assert first.question.key == second.question.key != third.question.key


def test_too_few_images_are_undecided(images):
    audit = ico.audit(spots("corner"), images[:8], families=())
    assert audit.word == "undecided"


def test_without_masks_nothing_is_said_of_objects(images):
    bare = ico.load_images(np.stack([image.pixels for image in images]), labels=images.labels)
    audit = ico.audit(spots("middle"), bare, families=())
    assert audit.word == "undecided" and "only whole objects and whole backgrounds were swapped" in audit.verdict
    assert all(not finding.swaps for finding in audit.classes.values())


def test_a_network_that_is_always_wrong_is_judged_by_its_answers(images):
    wrong = ico.load_network(Spots("corner"), classes=["light", "dark", "mixed"], preprocessing=HOW, device="cpu")
    audit = ico.audit(wrong, images, families=())
    assert audit.word == "unnamed" and {finding.accuracy for finding in audit.classes.values()} == {0}


def test_asked_again_it_is_answered_from_the_store(images, tmp_path, monkeypatch):
    first = ico.audit(spots("middle"), images, families=(), store=tmp_path / "run")
    monkeypatch.setattr(sys.modules["iconoscope.auditing.audit"], "intervene", lambda *_, **__: pytest.fail("asked"))
    again = ico.audit(spots("middle"), images, families=(), store=tmp_path / "run")
    assert again.question.key == first.question.key and again.to_json() == first.to_json()
