"""The parts that pictures are made with, each against what is known of it."""

import json
from functools import partial

import numpy as np
import pytest
import torch

from iconoscope.errors import QuestionError
from iconoscope.optimization import (
    L1,
    L2,
    STYLES,
    Alignment,
    Fourier,
    Frequency,
    Network2D,
    OutOfRange,
    Phase,
    Pixels,
    Pyramid,
    Style,
    TotalVariation,
    Transforms,
    natural_magnitude,
    square_root,
)
from iconoscope.optimization.canvas import IMAGENET, begin_canvas
from iconoscope.optimization.regularizers import blurred
from iconoscope.optimization.style import read_style

WAYS = (Pixels(), Fourier(), Fourier(decay=0), Phase(), Pyramid(), Network2D())


def draws(count, seed=0):
    return [torch.Generator().manual_seed(seed + place) for place in range(count)]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: type(way).__name__)
@pytest.mark.parametrize("shape", [(2, 3, 16, 16), (1, 1, 15, 22), (3, 4, 9, 7)])
@pytest.mark.parametrize("limits", ["sigmoid", "penalty"])
def test_every_way_makes_pictures_of_any_size_and_feels_their_gradient(way, shape, limits):
    canvas = begin_canvas(way, shape, draws(shape[0]), None, root=np.eye(shape[1]), limits=limits)
    picture = canvas.picture()
    assert picture.shape == shape and bool(picture.isfinite().all())
    (picture * torch.randn(shape)).sum().backward()
    assert any(each.grad is not None and float(each.grad.abs().max()) > 0 for each in canvas.parameters.tensors)
    assert all(len(each) == shape[0] for each in canvas.parameters.tensors)


@pytest.mark.parametrize("way", [Pixels(), Fourier(), Fourier(decay=2), Pyramid()], ids=str)
@pytest.mark.parametrize("limits", ["sigmoid", "penalty"])
@pytest.mark.parametrize("size", [(16, 16), (15, 22)])
def test_a_picture_to_begin_at_is_kept_to_half_a_grey_level(way, limits, size):
    start = torch.randint(0, 256, (2, 3, *size)) / 255
    picture = begin_canvas(way, (2, 3, *size), draws(2), start, root=IMAGENET, limits=limits).picture().detach()
    assert float((picture - start).abs().max()) < 0.5 / 255


def test_phases_keep_magnitudes_and_a_network_begins_at_none():
    generator = np.random.default_rng(0)
    pictures = [generator.integers(0, 256, (20, 30, 3), dtype=np.uint8) for _ in range(3)]
    magnitude = natural_magnitude(pictures, size=(12, 10))
    assert magnitude.shape == (1, 12, 6) and magnitude.min() >= 0
    field = Phase(magnitude).begin((2, 3, 12, 10), draws(2), None)
    with torch.no_grad():
        field.tensors[0].add_(torch.randn_like(field.tensors[0]))
    spectrum = torch.fft.rfft2(field.raw()).abs()[:, :, 1:5, 1:5]
    ratio = spectrum / torch.from_numpy(magnitude)[:, 1:5, 1:5]
    assert torch.allclose(ratio, ratio[:, :, :1, :1].mean(1, keepdim=True).expand_as(ratio), rtol=1e-3)
    with pytest.raises(QuestionError, match="natural_magnitude"):
        Phase(magnitude).begin((1, 3, 16, 16), draws(1), None)
    with pytest.raises(QuestionError, match="cannot begin"):
        Network2D().begin((1, 3, 8, 8), draws(1), torch.zeros(1, 3, 8, 8))
    with pytest.raises(QuestionError, match="no pictures"):
        natural_magnitude([], size=(4, 4))


def test_a_root_of_the_covariance():
    pixels = np.random.default_rng(0).integers(0, 256, (50, 40, 3), dtype=np.uint8)
    root = square_root([pixels[:20], pixels[20:]])
    assert np.allclose(root @ root.T, np.cov(pixels.reshape(-1, 3).T / 255) + 1e-4 * np.eye(3), atol=1e-4)


def test_nothing_is_moved_if_nothing_is_asked_for():
    pictures = torch.rand(2, 3, 9, 11)
    moves = Transforms(jitter=0, rotation=0, scale=(1, 1))
    assert moves(pictures, (9, 11), moves.draw(1, draws(2))[0]) is pictures


def test_a_shift_by_whole_pixels_is_a_shift():
    pictures = torch.rand(1, 3, 12, 12)
    moves = Transforms(jitter=4, rotation=0, scale=(1, 1))
    numbers = torch.full((1, 6), 0.5)
    numbers[0, 3], numbers[0, 4] = (1 + 2 / 4) / 2, (1 - 3 / 4) / 2  # two rows down, three columns to the left
    moved = moves(pictures, (12, 12), numbers)
    assert torch.allclose(moved[:, :, :10, 3:], pictures[:, :, 2:, :9], atol=1e-5)


def test_a_quarter_turn_an_enlargement_and_a_mirror():
    pictures = torch.rand(1, 3, 8, 8)
    numbers = torch.full((1, 6), 0.5)
    numbers[0, 0] = 1.0
    turned = Transforms(jitter=0, rotation=90, scale=(1, 1))(pictures, (8, 8), numbers)
    assert any(torch.allclose(turned, torch.rot90(pictures, turns, (2, 3)), atol=1e-4) for turns in (1, 3))
    numbers[0, 2] = 0.0
    mirrored = Transforms(jitter=0, rotation=0, scale=(1, 1), flip=True)(pictures, (8, 8), numbers)
    assert torch.allclose(mirrored, pictures.flip(3), atol=1e-5)
    ramp = torch.arange(8.0).expand(1, 1, 8, 8)
    enlarged = Transforms(jitter=0, rotation=0, scale=(2, 2))(ramp, (8, 8), numbers)
    assert torch.allclose(enlarged[0, 0, 0], 3.5 + (torch.arange(8.0) - 3.5) / 2, atol=1e-4)


def test_each_picture_is_moved_on_its_own_and_a_larger_one_is_shown_in_part():
    moves = Transforms()
    pictures = torch.rand(1, 3, 16, 16).expand(3, -1, -1, -1)
    numbers = moves.draw(2, draws(3))
    moved = moves(pictures, (16, 16), numbers[0])
    assert not torch.allclose(moved[0], moved[1]) and not torch.allclose(moved[1], moved[2])
    assert torch.equal(numbers, moves.draw(2, draws(3))) and not torch.equal(numbers[0], numbers[1])
    ramp = torch.arange(40.0).expand(1, 1, 40, 40) / 40
    still = Transforms(jitter=0, rotation=0, scale=(1, 1))
    part = still(ramp, (16, 16), torch.full((1, 6), 0.5))
    assert part.shape == (1, 1, 16, 16) and torch.allclose(part[0, 0, 0].diff(), torch.full((15,), 1 / 40), atol=1e-4)


def test_noise_is_the_same_for_the_same_numbers():
    moves = Transforms(jitter=0, rotation=0, scale=(1, 1), noise=0.1)
    pictures, numbers = torch.zeros(2, 3, 50, 50), moves.draw(1, draws(2))[0]
    noisy = moves(pictures, (50, 50), numbers)
    assert torch.equal(noisy, moves(pictures, (50, 50), numbers)) and 0.09 < float(noisy.std()) < 0.11


def test_charges_by_hand():
    pictures = torch.rand(2, 3, 6, 5)
    x = pictures.numpy()
    variation = np.abs(np.diff(x, axis=2)).mean((1, 2, 3)) + np.abs(np.diff(x, axis=3)).mean((1, 2, 3))
    assert np.allclose(TotalVariation(2.0)(pictures), 2 * variation)
    assert np.allclose(L1(3.0)(pictures), 3 * np.abs(x - 0.5).mean((1, 2, 3)))
    assert np.allclose(L2(3.0)(pictures), 3 * np.square(x - 0.5).mean((1, 2, 3)))
    assert np.allclose(
        OutOfRange(1.0)(pictures * 3 - 1), np.maximum(np.maximum(x * 3 - 2, 1 - x * 3), 0).mean((1, 2, 3))
    )
    apart = np.square(x[1] - x[0]).mean()
    assert np.allclose(Alignment(2.0)(pictures), [2 * apart, 2 * apart])
    flat = torch.full((1, 3, 9, 9), 0.3)
    assert float(Frequency(1.0)(flat)) < 1e-10 < float(Frequency(1.0)(torch.rand(1, 3, 9, 9)))
    for kind in (TotalVariation, L1, L2, OutOfRange, Alignment, Frequency):
        with pytest.raises(QuestionError):
            kind(-1.0)


def test_a_blur_is_a_gaussian():
    point = torch.zeros(1, 1, 21, 21)
    point[0, 0, 10, 10] = 1
    found = blurred(point, 1.5)[0, 0].numpy()
    rows, columns = np.mgrid[:21, :21] - 10.0
    gauss = np.exp(-(rows**2 + columns**2) / (2 * 1.5**2))
    gauss[np.maximum(abs(rows), abs(columns)) > round(4.5)] = 0
    assert np.allclose(found, gauss / gauss.sum(), atol=1e-4)


def test_styles_have_names_and_every_setting_is_told():
    assert read_style("none") is STYLES["none"] and read_style(STYLES["all"]) is STYLES["all"]
    with pytest.raises(QuestionError) as caught:
        read_style("robst")
    assert "robust" in caught.value.hint
    told = [json.dumps(style.fitted((32, 32), 3).to_json(), sort_keys=True) for style in STYLES.values()]
    assert len(set(told)) == len(told)
    assert Style().fitted((224, 224), 3).transforms != Style().fitted((32, 32), 3).transforms
    assert any(isinstance(each, OutOfRange) for each in Style(limits="penalty").fitted((8, 8), 3).regularizers)
    for wrong in (partial(Style, limits="none"), partial(Style, transforms="strong"), partial(Style, rate=0.0)):
        with pytest.raises(QuestionError):
            wrong()
    with pytest.raises(QuestionError):
        Transforms(scale=(0, 1))
