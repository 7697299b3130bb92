"""Whole objects and backgrounds, exchanged before networks whose truth is known."""

import numpy as np
import pytest
import torch
from torch import nn

import iconoscope as ico
from iconoscope.errors import IconoscopeWarning, ImagesError
from iconoscope.occlusion.inpainting import fill_hole

HOW = {"size": 16, "mean": (0.5,) * 3, "std": (0.5,) * 3, "crop": "none"}


class Reader(nn.Module):
    """Answers by the brightness of what it is told to look at: the middle, or the border."""

    def __init__(self, looks_at):
        super().__init__()
        weight = torch.full((16, 16), 1.0 if looks_at == "border" else 0.0)
        weight[4:12, 4:12] = 0.0 if looks_at == "border" else 1.0
        self.register_buffer("weight", weight / weight.sum())

    def forward(self, x):
        brightness = (x.mean(1) * self.weight).sum((1, 2))
        return torch.stack([-20 * brightness, 20 * brightness], 1)


def reader(looks_at):
    return ico.load_network(Reader(looks_at), classes=["dark", "light"], preprocessing=HOW, device="cpu")


@pytest.fixture
def squares():
    """Dark squares on dark, light squares on light, each with the mask of its square."""
    generator = np.random.default_rng(0)
    labels = np.arange(24) % 2
    pixels = np.where(labels == 1, 200, 40)[:, None, None, None] + generator.integers(-15, 16, (24, 16, 16, 3))
    masks = np.zeros((24, 16, 16), bool)
    masks[:, 4:12, 4:12] = True
    return ico.load_images(pixels.astype(np.uint8), labels=[["dark", "light"][label] for label in labels], masks=masks)


@pytest.mark.parametrize(
    ("looks_at", "part", "rest"), [("border", "background", "object"), ("middle", "object", "background")]
)
def test_what_the_answers_follow(squares, looks_at, part, rest):
    found = ico.exchange(reader(looks_at), squares)
    assert found.right.all()
    assert found.follows == part
    assert found.changed(f"{part} other") == found.becomes_other(f"{part} other") == 1
    assert found.changed(f"{rest} other") == found.changed(f"{part} own") == found.changed(f"{rest} own") == 0
    assert found.changed(f"{rest} hidden") == 0


def test_what_the_network_saw(squares):
    found = ico.exchange(reader("border"), squares, shown=24, fill="black")
    images = np.stack([image.pixels for image in squares])
    middle = np.zeros((16, 16), bool)
    middle[4:12, 4:12] = True
    pictures = dict(zip(found.conditions, found.examples, strict=True))
    assert np.array_equal(pictures["clean"], images)
    assert (pictures["object hidden"][:, middle] == 0).all()
    assert np.array_equal(pictures["object hidden"][:, ~middle], images[:, ~middle])
    assert (pictures["background hidden"][:, ~middle] == 0).all()
    assert np.array_equal(pictures["background hidden"][:, middle], images[:, middle])
    for whose, wanted in (("other", lambda a, b: a != b), ("own", lambda a, b: a == b)):
        swapped = pictures[f"background {whose}"]
        assert np.array_equal(swapped[:, middle], images[:, middle])
        for place, picture in enumerate(swapped):
            # The border is some donor's border; whose, says the class.
            donor = next(i for i in range(24) if np.array_equal(images[i][:3], picture[:3]) and i != place)
            assert wanted(found.target[donor], found.target[place])


def test_the_same_seed_gives_the_same_donors(squares):
    first, second, third = (ico.exchange(reader("border"), squares, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(first.probabilities, second.probabilities)
    assert not np.array_equal(first.probabilities, third.probabilities)
    assert first.question.key == second.question.key != third.question.key


def test_what_is_lacking_is_said(squares):
    bare = ico.load_images(np.stack([image.pixels for image in squares]))
    with pytest.raises(ImagesError, match="None of the 24"):
        ico.exchange(reader("border"), bare)
    with pytest.raises(ImagesError, match=r"24 of 24 images cannot take part.*neither mask nor box"):
        ico.exchange(reader("border"), ico.load_images(bare, labels=squares.labels))
    with pytest.raises(ImagesError, match="all are 'dark'"):
        ico.exchange(reader("border"), squares.where(label="dark"))
    with pytest.raises(ImagesError, match="only one of: light"):
        ico.exchange(reader("border"), squares[[0, 2, 4, 1]])


def test_a_network_that_is_always_wrong_is_not_judged(squares):
    wrong = ico.load_network(Reader("border"), classes=["light", "dark"], preprocessing=HOW, device="cpu")
    found = ico.exchange(wrong, squares)
    assert found.follows == "undecided"
    assert "none of the 24" in found.summary()
    assert found.to_json()["conditions"]["object other"]["answers_changed"] is None


def test_a_hole_is_filled_from_around_it():
    generator = np.random.default_rng(0)
    rows, columns = np.mgrid[:40, :33]
    gradient = np.stack([rows * 3, columns * 4, rows + columns], 2) + generator.integers(0, 3, (40, 33, 3))
    picture = gradient.astype(np.uint8)
    hole = np.zeros((40, 33), bool)
    hole[10:26, 8:20] = True
    blotted = picture.copy()
    blotted[hole] = 255
    filled = fill_hole(blotted, hole)
    assert np.array_equal(filled[~hole], picture[~hole])
    error = np.abs(filled[hole].astype(int) - picture[hole])
    assert error.mean() < 12 and error.max() < 45
    assert (fill_hole(picture, np.ones((40, 33), bool)) == 128).all()
    assert np.array_equal(fill_hole(picture, np.zeros((40, 33), bool)), picture)


def test_masks_that_leave_nothing_to_exchange_are_left_out(squares):
    masks = np.stack([image.mask for image in squares])
    masks[3], masks[4] = True, False
    found_images = ico.load_images(squares, masks=masks)
    with pytest.warns(
        IconoscopeWarning, match=r"2 of 24 images cannot take part.*100.0% of what the network sees.*0.0%"
    ):
        found = ico.exchange(reader("border"), found_images)
    assert len(found.ids) == 22
    with pytest.raises(ImagesError, match="24 of 24"):
        ico.exchange(reader("border"), ico.load_images(squares, masks=np.ones_like(masks)))


def test_the_same_network_under_another_name_answers_under_that_name(squares, tmp_path):
    for name in ("first", "second"):
        network = ico.load_network(Reader("border"), classes=["dark", "light"], preprocessing=HOW, device="cpu")
        object.__setattr__(network, "name", name)
        assert ico.exchange(network, squares, store=tmp_path / "run").summary().startswith(f"{name} answers 24 of 24")
    assert len(ico.Store(tmp_path / "run")) == 1
