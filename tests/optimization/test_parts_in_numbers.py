"""The parts once more, number by number: parameterizations, moves, charges, and what a style says of itself."""

import json
from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from iconoscope.errors import QuestionError
from iconoscope.optimization import (
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
from iconoscope.optimization.loop import adam
from iconoscope.optimization.regularizers import blurred, charged

WAYS = [Pixels(), Fourier(), Phase(), Pyramid(), Pyramid(levels=1), Network2D()]
STILL = Transforms(jitter=0, rotation=0, scale=(1, 1))


def draws(count, seed=0):
    return [torch.Generator().manual_seed(seed + place) for place in range(count)]


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("shape", [(2, 3, 16, 16), (1, 1, 15, 22), (2, 4, 9, 7)])
def test_a_gradient_reaches_every_tensor(way, shape):
    """After a step, for a network from places to colours begins with a last layer of zeros."""
    canvas = begin_canvas(way, shape, draws(shape[0]), None, root=np.eye(shape[1]), limits="sigmoid")
    target = torch.rand(shape, generator=torch.Generator().manual_seed(9))
    step = adam(0.01)(canvas.parameters.tensors)
    for _ in range(2):
        step()
        (canvas.picture() - target).square().sum().backward()
    for tensor in canvas.parameters.tensors:
        assert tensor.grad is not None and bool(tensor.grad.isfinite().all())
        assert all(bool(each.any()) for each in tensor.grad)  # of every picture


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_a_picture_begins_alike_in_every_batch(way):
    shape = (3, 3, 11, 14)
    many = begin_canvas(way, shape, draws(3), None, root=IMAGENET, limits="sigmoid").picture()
    alone = begin_canvas(way, (1, *shape[1:]), draws(1, seed=2), None, root=IMAGENET, limits="sigmoid").picture()
    assert torch.allclose(many[2], alone[0], atol=1e-6)


@pytest.mark.parametrize("way", [Pixels(), Fourier(), Pyramid()], ids=str)
@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize("size", [(1, 1), (2, 9), (33, 20)])
def test_images_of_every_kind_can_be_begun_at(way, channels, size):
    start = torch.randint(0, 256, (2, channels, *size), generator=draws(1)[0]) / 255
    canvas = begin_canvas(way, (2, channels, *size), draws(2), start, root=np.eye(channels), limits="sigmoid")
    assert float((canvas.picture().detach() - start).abs().max()) < 0.5 / 255


def test_black_and_white_can_be_begun_at_and_left():
    ends = torch.stack([torch.zeros(3, 8, 8), torch.ones(3, 8, 8)])
    canvas = begin_canvas(Pixels(), (2, 3, 8, 8), draws(2), ends, root=np.eye(3), limits="sigmoid")
    canvas.picture().sum().backward()
    (gradient,) = (each.grad for each in canvas.parameters.tensors)
    assert gradient is not None and bool(gradient.isfinite().all()) and float(gradient.min()) > 1e-4


def test_a_phase_begins_at_the_phases_of_an_image():
    image = torch.rand(1, 3, 12, 14, generator=draws(1)[0])
    raw = Phase(contrast=0.3).begin((1, 3, 12, 14), draws(1), image).raw().detach()
    found, given = (torch.fft.rfft2(each)[:, :, 1:5, 1:6].angle() for each in (raw, image))
    assert torch.allclose(torch.polar(torch.ones_like(found), found - given).real, torch.ones_like(found), atol=1e-4)
    assert float(raw.std((1, 2, 3))) == pytest.approx(0.3, rel=1e-4)


def test_magnitudes_are_the_mean_over_the_spectra_of_grey_pictures():
    pictures = np.random.default_rng(0).integers(0, 256, (4, 10, 13, 3), dtype=np.uint8)
    grey = pictures.mean(3) / 255
    spectra = np.abs(np.fft.rfft2(grey - grey.mean((1, 2), keepdims=True)))
    found = natural_magnitude(list(pictures), size=(10, 13))
    assert np.allclose(found[0], spectra.mean(0), atol=1e-3) and found[0, 0, 0] < 1e-3
    assert Phase(found).begin((1, 3, 10, 13), draws(1), None).raw().shape == (1, 3, 10, 13)


@pytest.mark.parametrize("decay", [0.0, 1.0, 2.0])
def test_noise_is_coarser_the_more_it_decays(decay):
    raw = Fourier(decay=decay, noise=1.0).begin((16, 1, 32, 32), draws(16), None).raw().detach()
    power = torch.fft.rfft2(raw).abs().square().mean((0, 1))
    slope = torch.log(power[2, 2:14].mean() / power[8, 2:14].mean())
    rows = torch.hypot(torch.fft.fftfreq(32)[[2, 8], None], torch.fft.rfftfreq(32)[None, 2:14]) ** (-2 * decay)
    assert float(slope) == pytest.approx(float(torch.log(rows[0].mean() / rows[1].mean())), abs=0.5)


def test_a_root_takes_uncorrelated_numbers_to_the_colours_of_natural_images():
    assert IMAGENET.shape == (3, 3) and (IMAGENET[:, 0] > 0.2).all()  # most of what varies is brightness
    assert np.linalg.matrix_rank(IMAGENET) == 3
    generator = np.random.default_rng(0)
    mixed = generator.normal(size=(40_000, 3)) @ np.array([[25.0, 22, 20], [0, 18, 6], [0, 0, 15]]) + 128
    picture = mixed.round().clip(0, 255).astype(np.uint8).reshape(200, 200, 3)
    root = square_root([picture])
    whitened = np.linalg.solve(root, picture.reshape(-1, 3).T / 255.0)
    assert np.allclose(np.cov(whitened), np.eye(3), atol=0.05)
    with pytest.raises(QuestionError, match="no pictures"):
        square_root([])
    with pytest.raises(QuestionError, match="there are 3 channels"):
        begin_canvas(Pixels(), (1, 3, 4, 4), draws(1), None, root=np.eye(2), limits="sigmoid")


def dot_at(row, column, size=21):
    picture = torch.zeros(1, 1, size, size)
    picture[0, 0, row, column] = 1
    return picture


def centre_of(picture):
    weights = picture[0, 0] / picture.sum()
    rows, columns = torch.meshgrid(*(torch.arange(float(side)) for side in weights.shape), indexing="ij")
    return float((weights * rows).sum()), float((weights * columns).sum())


@pytest.mark.parametrize("degrees", [-30.0, 17.0, 45.0])
def test_a_turn_is_by_the_angle_that_is_drawn(degrees):
    moves = Transforms(jitter=0, rotation=abs(degrees), scale=(1, 1))
    numbers = torch.full((1, 6), 0.5)
    numbers[0, 0] = 1.0 if degrees > 0 else 0.0
    # So near the middle that its mirror image beyond the border stays outside.
    row, column = centre_of(moves(dot_at(10, 15), (21, 21), numbers))
    turned = np.degrees(np.arctan2(row - 10, column - 10))
    assert abs(turned) == pytest.approx(abs(degrees), abs=1.0)
    assert np.hypot(row - 10, column - 10) == pytest.approx(5, abs=0.2)
    # The other end of the range turns the other way.
    numbers[0, 0] = 1 - numbers[0, 0]
    assert centre_of(moves(dot_at(10, 15), (21, 21), numbers))[0] - 10 == pytest.approx(10 - row, abs=0.05)


@pytest.mark.parametrize("scale", [0.5, 1.0, 1.5])
def test_things_are_larger_by_the_scale(scale):
    moves = Transforms(jitter=0, rotation=0, scale=(scale, scale))
    numbers = torch.full((1, 6), 0.5)
    wide = [centre_of(moves(dot_at(10, column), (21, 21), numbers))[1] for column in (8, 12)]
    assert wide[1] - wide[0] == pytest.approx(4 * scale, abs=0.05)


def test_a_turn_does_not_shear_a_picture_that_is_not_square():
    picture = torch.zeros(1, 1, 21, 41)
    picture[0, 0, 10, 26] = 1
    numbers = torch.full((1, 6), 0.5)
    numbers[0, 0] = 1.0
    row, column = centre_of(Transforms(jitter=0, rotation=90, scale=(1, 1))(picture, (21, 41), numbers))
    assert abs(row - 10) == pytest.approx(6, abs=0.05) and column == pytest.approx(20, abs=0.05)


@pytest.mark.parametrize("down", [-3, 0, 2])
@pytest.mark.parametrize("across", [-1, 0, 3])
def test_a_shift_by_whole_pixels_is_a_roll_but_at_the_border(down, across):
    pictures = torch.rand(2, 3, 12, 17)
    numbers = torch.full((2, 6), 0.5)
    numbers[:, 3], numbers[:, 4] = (1 + down / 4) / 2, (1 + across / 4) / 2
    moved = Transforms(jitter=4, rotation=0, scale=(1, 1))(pictures, (12, 17), numbers)
    rolled = pictures.roll((-down, -across), (2, 3))
    assert torch.allclose(moved[:, :, 3:-3, 3:-3], rolled[:, :, 3:-3, 3:-3], atol=1e-5)


def test_beyond_the_border_a_picture_is_mirrored():
    ramp = torch.arange(8.0).expand(1, 1, 8, 8)
    numbers = torch.full((1, 6), 0.5)
    numbers[0, 4] = 1.0
    moved = Transforms(jitter=3, rotation=0, scale=(1, 1))(ramp, (8, 8), numbers)
    assert torch.allclose(moved[0, 0, 0], torch.tensor([3.0, 4, 5, 6, 7, 7, 6, 5]), atol=1e-4)


def test_every_part_of_a_larger_picture_is_shown_at_some_time():
    rows, columns = torch.meshgrid(torch.arange(40.0), torch.arange(30.0), indexing="ij")
    place = torch.stack([rows, columns])[None].expand(300, -1, -1, -1)
    shown = STILL(place, (10, 10), STILL.draw(1, draws(300))[0])
    assert shown.shape == (300, 2, 10, 10)
    assert torch.allclose(shown[:, 0].diff(dim=1), torch.ones(300, 9, 10), atol=1e-3)  # not shrunk
    for axis, side in ((0, 40), (1, 30)):
        assert float(shown[:, axis].min()) < 1 and float(shown[:, axis].max()) > side - 2
        assert float(shown[:, axis].min()) >= 0 and float(shown[:, axis].max()) <= side - 1


def test_a_picture_is_moved_within_what_was_said():
    moves = Transforms(jitter=5, rotation=0, scale=(1, 1))
    numbers = moves.draw(1, draws(400))[0]
    rows, columns = torch.meshgrid(torch.arange(41.0), torch.arange(41.0), indexing="ij")
    place = torch.stack([rows, columns])[None].expand(400, -1, -1, -1)
    middle = moves(place, (41, 41), numbers)[:, :, 20, 20] - 20
    assert 4.8 < float(middle.abs().max()) <= 5.001 and float(middle.mean(0).abs().max()) < 0.5
    assert float(np.corrcoef(middle.T.numpy())[0, 1]) < 0.15


def test_noise_is_each_pictures_own():
    moves = replace(STILL, noise=0.1)
    numbers = moves.draw(1, draws(3))[0]
    noisy = moves(torch.zeros(3, 3, 20, 20), (20, 20), numbers)
    assert not torch.equal(noisy[0], noisy[1])
    assert torch.equal(moves(torch.zeros(1, 3, 20, 20), (20, 20), numbers[2:])[0], noisy[2])


def test_moves_let_gradients_through():
    pictures = torch.rand(2, 3, 12, 12, requires_grad=True)
    moves = Transforms(flip=True, noise=0.1)
    moves(pictures, (12, 12), moves.draw(1, draws(2))[0]).sum().backward()
    assert pictures.grad is not None and bool((pictures.grad[:, :, 3:-3, 3:-3] > 0).all())


@pytest.mark.parametrize(
    "wrong", [{"jitter": -1}, {"rotation": -1}, {"noise": -0.1}, {"scale": (1.1, 0.9)}, {"scale": (float("nan"), 1)}]
)
def test_moves_that_make_no_sense(wrong):
    with pytest.raises(QuestionError, match="makes no sense"):
        Transforms(**wrong)


@pytest.mark.parametrize("sigma", [0.7, 2.0])
def test_out_of_focus_is_a_gaussian_with_the_border_drawn_out(sigma):
    x = np.random.default_rng(0).random((1, 2, 9, 11)).astype(np.float32)
    reach = max(1, round(3 * sigma))
    places = np.arange(-reach, reach + 1)
    kernel = np.exp(-(places**2) / (2 * sigma**2)) / np.exp(-(places**2) / (2 * sigma**2)).sum()
    padded = np.pad(x[0], ((0, 0), (reach, reach), (reach, reach)), mode="edge")
    by_hand = np.zeros_like(x[0])
    for down, one in zip(places, kernel, strict=True):
        for across, other in zip(places, kernel, strict=True):
            top, left = reach + down, reach + across
            by_hand += one * other * padded[:, top : top + 9, left : left + 11]
    assert np.allclose(blurred(torch.from_numpy(x), sigma)[0], by_hand, atol=1e-5)
    charge = Frequency(3.0, sigma)(torch.from_numpy(x))
    assert float(charge) == pytest.approx(3 * np.square(x[0] - by_hand).mean(), rel=1e-4)


def test_a_finer_grating_costs_more():
    columns = torch.arange(32.0)
    waves = torch.stack([torch.sin(2 * torch.pi * columns / period).expand(1, 32, 32) for period in (32, 8, 3)])
    assert bool((Frequency()(0.5 + 0.5 * waves).diff() > 0).all())
    assert bool((TotalVariation()(0.5 + 0.5 * waves).diff() > 0).all())


def test_all_charges_are_added_picture_by_picture():
    pictures = torch.rand(3, 3, 7, 7)
    kinds = [TotalVariation(2.0), Alignment(1.0), OutOfRange(3.0)]
    assert torch.allclose(charged(kinds, pictures), sum((each(pictures) for each in kinds), torch.zeros(3)))
    assert charged([], pictures).tolist() == [0, 0, 0]
    x = pictures.numpy()
    first, last = np.square(x[1] - x[0]).mean(), np.square(x[2] - x[1]).mean()
    assert np.allclose(Alignment(1.0)(pictures), [first, first + last, last])
    assert Alignment(1.0)(pictures[:1]).tolist() == [0]


WHOLE = Style(
    parameterization=Phase(magnitude=np.ones((1, 8, 5), np.float32)),
    transforms=Transforms(),
    regularizers=(TotalVariation(1.0), Frequency(2.0)),
    colours=np.eye(3),
)


def others_of(part):
    """The part with one setting after another changed."""
    for each in fields(part):
        value = getattr(part, each.name)
        if isinstance(value, bool):
            yield replace(part, **{each.name: not value})
        elif isinstance(value, int | float):
            yield replace(part, **{each.name: value + 1})
        elif isinstance(value, np.ndarray):
            yield replace(part, **{each.name: value + 1e-6})
        elif isinstance(value, tuple) and all(isinstance(number, float) for number in value):
            yield replace(part, **{each.name: (value[0] / 2, value[1])})
            yield replace(part, **{each.name: (value[0], value[1] * 2)})


def test_no_setting_is_left_out_of_the_question():
    """Else a store would answer with the pictures of another style."""
    styles = [WHOLE, replace(WHOLE, limits="penalty"), replace(WHOLE, rate=0.2), replace(WHOLE, colours=2 * np.eye(3))]
    styles += [replace(WHOLE, transforms=other) for other in (None, "auto", *others_of(Transforms()))]
    styles += [replace(WHOLE, parameterization=way) for way in WAYS]
    styles += [
        replace(WHOLE, parameterization=other) for way in [*WAYS, WHOLE.parameterization] for other in others_of(way)
    ]
    styles += [replace(WHOLE, regularizers=WHOLE.regularizers[::-1]), replace(WHOLE, regularizers=())]
    for place, regularizer in enumerate(WHOLE.regularizers):
        for other in others_of(regularizer):
            kept = list(WHOLE.regularizers)
            kept[place] = other
            styles.append(replace(WHOLE, regularizers=tuple(kept)))
    told = [json.dumps(style.to_json(), sort_keys=True, allow_nan=False) for style in styles]
    assert len(styles) > 35 and len(set(told)) == len(told)
    assert json.dumps(WHOLE.to_json(), sort_keys=True) == told[0]


def test_a_style_says_what_it_is_made_of():
    assert WHOLE.describe() == ("Phase; moved by 4 px, 10 degrees and x0.9 to 1.1; TotalVariation 1; Frequency 2")
    assert Style(transforms=Transforms(flip=True, noise=0.1)).describe().endswith("1.1, flipped, noise 0.1")
    assert Style(parameterization=Pixels(), transforms=None).describe() == "Pixels; not moved"


def test_nothing_is_left_open_in_a_fitted_style():
    small, large = (Style().fitted((side, 200), 3) for side in (99, 100))
    assert isinstance(small.transforms, Transforms) and isinstance(large.transforms, Transforms)
    assert small.transforms.jitter < large.transforms.jitter
    assert small.colours is IMAGENET and small.rate == Fourier().rate
    assert np.array_equal(Style().fitted((8, 8), 1).colours, np.eye(1))  # pyright: ignore[reportArgumentType]
    assert np.array_equal(Style().fitted((8, 8), 4).colours, np.eye(4))  # pyright: ignore[reportArgumentType]
    own = Style(colours=2 * np.eye(3), rate=0.3, limits="penalty", regularizers=(OutOfRange(1.0),)).fitted((8, 8), 3)
    assert own.rate == 0.3 and own.regularizers == (OutOfRange(1.0),)
    assert own.fitted((8, 8), 3).to_json() == own.to_json()
    assert Style(regularizers=(Alignment(),)).joint and not Style().joint


def test_pictures_are_mirrored_only_if_it_is_asked_for():
    ramp = torch.arange(12.0).expand(8, 1, 12, 12)
    numbers = Transforms().draw(1, draws(8))[0]
    plain, mirroring = (Transforms(jitter=0, rotation=0, scale=(1, 1), **flip) for flip in ({}, {"flip": True}))
    assert torch.equal(plain(ramp, (12, 12), numbers), ramp)
    mirrored = [bool(torch.allclose(each, ramp[0].flip(2), atol=1e-3)) for each in mirroring(ramp, (12, 12), numbers)]
    assert 0 < sum(mirrored) < 8
