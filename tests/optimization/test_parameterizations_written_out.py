"""Parameterizations, steps and moves against the same sums written out in NumPy, of pictures that are not square."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from iconoscope.optimization.latent_parameterization import LatentParameterization
from iconoscope.optimization.loop import Loss, adam, normalised
from iconoscope.optimization.parameterization import Fourier, Network2D, Phase, Pixels, Pyramid
from iconoscope.optimization.regularizers import L1, L2, Alignment, Frequency, OutOfRange, TotalVariation
from iconoscope.optimization.style import Style
from iconoscope.optimization.transforms import Transforms

SIZES = [(6, 10), (11, 7)]


def draws(count, seed=0):
    return [torch.Generator().manual_seed(seed + number) for number in range(count)]


def noise(shape, count, *, seed=0):
    """What the generators of so many pictures give first."""
    return np.stack([torch.randn(shape, generator=draw).numpy() for draw in draws(count, seed)])


def frequencies(height, width):
    return np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])


def test_defaults_are_those_of_the_documentation():
    assert [way.rate for way in (Pixels(), Fourier(), Phase(), Pyramid(), Network2D())] == [
        0.05,
        0.1,
        0.1,
        0.05,
        0.005,
    ]
    fitted = {kind: Style(parameterization=kind()).fitted((32, 32), 3) for kind in (Fourier, Pixels, Pyramid)}
    assert [style.fade for style in fitted.values()] == [0.5, 1.0, 1.0]
    assert Style(fade=0.7).fitted((32, 32), 3).fade == 0.7
    sizes = ((99, 200), (100, 100))
    assert [style.steps_for(size) for style in fitted.values() for size in sizes] == [64, 128, 128, 256, 128, 256]
    assert [way.noise for way in (Pixels(), Fourier(), Pyramid())] == [0.01] * 3
    assert (Fourier().decay, Phase().contrast, Phase().magnitude, Pyramid().levels) == (1, 1, None, 5)
    assert (Network2D().width, Network2D().depth) == (24, 6) and pytest.approx(3**0.5) == Network2D.REACH
    assert Transforms() == Transforms(jitter=4, scale=(0.9, 1.1), rotation=10, flip=False, noise=0)
    weights = [kind().weight for kind in (TotalVariation, L1, L2, Frequency, OutOfRange, Alignment)]
    assert weights == [1, 1, 1, 10, 10, 10] and Frequency().sigma == 1
    assert Loss() == Loss(regularizers=(), diversity=0, cap=None, price=1)
    latent: Any = LatentParameterization
    assert [latent.weight, latent.limits, latent.spread, latent.rate, latent.labels] == [1.5, 15, 1, 0.05, ()]


@pytest.mark.parametrize("size", SIZES)
def test_pixels_written_out(size):
    assert np.allclose(Pixels().begin((2, 3, *size), draws(2), None).raw().detach(), 0.01 * noise((3, *size), 2))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("decay", [1.0, 2.0])
def test_a_spectrum_written_out(size, decay):
    height, width = size
    scale = 0.25 / np.maximum(frequencies(*size), 1 / max(size)) ** decay
    spectrum = 0.01 * noise((3, height, width // 2 + 1, 2), 2)
    expected = np.fft.irfft2((spectrum[..., 0] + 1j * spectrum[..., 1]) * scale, s=size, norm="ortho")
    raw = Fourier(decay=decay).begin((2, 3, *size), draws(2), None).raw().detach()
    assert np.allclose(raw, expected, atol=1e-5)
    start = torch.rand(2, 3, *size)
    (tensor,) = Fourier(decay=decay).begin((2, 3, *size), draws(2), start).tensors
    expected = np.fft.rfft2(start.numpy(), norm="ortho") / scale
    assert np.allclose(torch.view_as_complex(tensor.detach()), expected, atol=1e-4)


@pytest.mark.parametrize("size", SIZES)
def test_phases_written_out(size):
    height, width = size
    magnitude = 1 / np.maximum(frequencies(*size), 1 / max(size))
    magnitude[0, 0] = 0
    shape = (3, height, width // 2 + 1)
    angles = 2 * np.pi * np.stack([torch.rand(shape, generator=draw).numpy() for draw in draws(2)])
    picture = np.fft.irfft2(magnitude * np.exp(1j * angles), s=size)
    picture -= picture.mean((2, 3), keepdims=True)
    expected = 0.7 * picture / picture.std((1, 2, 3), keepdims=True, ddof=1)
    assert np.allclose(Phase(contrast=0.7).begin((2, 3, *size), draws(2), None).raw().detach(), expected, atol=1e-4)


def test_the_levels_of_a_pyramid_written_out():
    """Each is half as large, down to a pixel; from a picture, the coarsest holds what it can, the finer ones the rest."""
    size = (13, 6)
    begun = Pyramid(levels=4).begin((2, 3, *size), draws(2), None)
    assert [tuple(tensor.shape[2:]) for tensor in begun.tensors] == [(13, 6), (6, 3), (3, 1), (1, 1)]
    generators, levels = draws(2), []
    for tensor in begun.tensors:
        levels.append(torch.stack([torch.randn(tensor.shape[1:], generator=draw) for draw in generators]) * 0.01)
        assert torch.allclose(tensor, levels[-1])
    enlarged = [F.interpolate(level, size, mode="bilinear") for level in levels]
    assert torch.allclose(begun.raw(), torch.stack(enlarged).sum(0), atol=1e-6)
    start = torch.rand(2, 3, *size)
    leaves = Pyramid(levels=2).begin((2, 3, *size), draws(2), start).tensors
    coarse = F.interpolate(start, (6, 3), mode="bilinear", antialias=True)
    assert torch.allclose(leaves[1], coarse, atol=1e-6)
    assert torch.allclose(leaves[0], start - F.interpolate(coarse, size, mode="bilinear"), atol=1e-6)


def test_a_network_from_positions_to_colours_written_out():
    size, way = (5, 8), Network2D(width=4, depth=3)
    begun = way.begin((2, 3, *size), draws(2), None)
    assert [tuple(tensor.shape) for tensor in begun.tensors] == [(2, 2, 4), (2, 8, 4), (2, 8, 4), (2, 8, 3)]
    generators = draws(2)
    for inputs, tensor in zip((2, 4, 4), begun.tensors, strict=False):
        drawn = torch.stack([torch.randn(tensor.shape[1:], generator=draw) for draw in generators])
        assert torch.allclose(tensor, drawn / inputs**0.5)
    last = torch.randn(2, 8, 3)
    begun.tensors[-1].data.copy_(last)
    places = np.stack(np.meshgrid(*(np.linspace(-(3**0.5), 3**0.5, side) for side in size), indexing="ij"), -1)
    for picture in range(2):
        numbers = places.reshape(-1, 2)
        for tensor in begun.tensors[:-1]:
            numbers = np.arctan(numbers @ tensor[picture].detach().numpy())
            numbers = np.concatenate([numbers / 0.67, numbers**2 / 0.6], 1)
        expected = (numbers @ last[picture].numpy()).reshape(*size, 3)
        assert np.allclose(begun.raw()[picture].detach().permute(1, 2, 0), expected, atol=1e-4)


@pytest.mark.parametrize(("steps", "fade"), [(5, 0.2), (2, 0.5), (1, 0.3), (4, 1.0)])
def test_the_rate_falls_in_a_straight_line_to_its_share(steps, fade):
    """With a gradient that stays, Adam goes just its rate at every step."""
    tensor = torch.zeros(3, requires_grad=True)
    step = adam(0.1, steps=steps, fade=fade)([tensor])
    course = [0.0]
    for _ in range(steps + 2):
        tensor.grad = torch.full((3,), 7.0)
        step()
        assert tensor.grad is None
        course.append(float(tensor.detach()[1]))
    lengths = -np.diff(course)
    expected = np.linspace(1, fade, steps) if steps > 1 else np.array([1.0])
    assert np.allclose(lengths[:steps], 0.1 * expected, rtol=1e-4)
    assert np.allclose(lengths[steps:], 0.1 * fade, rtol=1e-4)  # and stays there


def test_a_rate_does_not_fall_unless_it_is_said():
    tensor = torch.zeros(2, requires_grad=True)
    step = adam(0.1)([tensor])
    for _ in range(4):
        tensor.grad = torch.ones(2)
        step()
    assert torch.allclose(tensor.detach(), torch.full((2,), -0.4), atol=1e-4)


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 4, 5)])
def test_steps_of_one_mean_size_written_out(shape):
    tensors = [torch.randn(shape, requires_grad=True), torch.randn(2, 7, requires_grad=True)]
    before, step = [tensor.detach().clone() for tensor in tensors], normalised(0.3)(tensors)
    gradients = [
        torch.randn(tensor.shape) * torch.tensor([1e-3, 50.0]).view(2, *[1] * (tensor.ndim - 1)) for tensor in tensors
    ]
    for tensor, gradient in zip(tensors, gradients, strict=True):
        tensor.grad = gradient.clone()
    step()
    for tensor, old, gradient in zip(tensors, before, gradients, strict=True):
        by_picture = gradient.abs().flatten(1).mean(1).view(2, *[1] * (tensor.ndim - 1))
        assert torch.allclose(tensor.detach(), old - 0.3 * gradient / by_picture, atol=1e-5) and tensor.grad is None


@pytest.mark.parametrize(("size", "shown"), [((9, 14), (9, 14)), ((14, 11), (6, 8)), ((5, 9), (8, 12))])
def test_where_pixels_are_read_written_out(size, shown):
    """Turned, enlarged, mirrored and moved in pixels, and only then in the units of grid_sample."""
    moves = Transforms(jitter=1.5, scale=(0.8, 1.3), rotation=25, flip=True)
    numbers = moves.draw(1, draws(5))[0].double()
    numbers[:2, 2] = torch.tensor([0.5, 0.49])  # from a half on it is not mirrored
    pictures = torch.rand(5, 2, *size, dtype=torch.float64)
    moved = moves(pictures, shown, numbers)
    rows, columns = (np.arange(side) + 0.5 - side / 2 for side in shown)
    for picture, (turn, enlarged, mirror, down, across, _) in enumerate(numbers.tolist()):
        angle, scale = np.deg2rad(25 * (2 * turn - 1)), 0.8 + 0.5 * enlarged
        cosine, sine = np.cos(angle) / scale, np.sin(angle) / scale
        x, y = np.meshgrid(columns * (1 if mirror >= 0.5 else -1), rows)
        room = [1.5 + max(0, side - visible) / 2 for side, visible in zip(size, shown, strict=True)]
        read_x = x * cosine - y * sine + (2 * across - 1) * room[1] + size[1] / 2
        read_y = x * sine + y * cosine + (2 * down - 1) * room[0] + size[0] / 2
        grid = torch.from_numpy(np.stack([read_x / size[1], read_y / size[0]], -1) * 2 - 1)[None]
        expected = F.grid_sample(
            pictures[[picture]], grid, mode="bilinear", padding_mode="reflection", align_corners=False
        )
        assert torch.allclose(moved[picture], expected[0], atol=1e-9)


def test_numbers_of_moves_are_each_pictures_own_and_of_six():
    drawn = Transforms().draw(3, draws(2))
    assert drawn.shape == (3, 2, 6)
    assert torch.equal(drawn[:, 1], torch.rand((3, 6), generator=draws(2)[1]))


def test_noise_is_drawn_by_the_sixth_number():
    moves, numbers = Transforms(jitter=0, rotation=0, scale=(1, 1), noise=0.25), torch.full((2, 6), 0.5)
    numbers[1, 5] = 0.75
    pictures = torch.rand(2, 3, 4, 5)
    seeds = [2**30, 3 * 2**29]
    grain = torch.stack([torch.randn((3, 4, 5), generator=torch.Generator().manual_seed(seed)) for seed in seeds])
    assert torch.allclose(moves(pictures, (4, 5), numbers), pictures + 0.25 * grain)


@pytest.mark.parametrize("part", ["jitter", "rotation", "scale", "flip"])
def test_one_movement_alone_moves(part):
    moved: dict[str, Any] = {"jitter": 2.0, "rotation": 20.0, "scale": (0.5, 0.5), "flip": True}
    still: dict[str, Any] = {"jitter": 0.0, "rotation": 0.0, "scale": (1, 1), "flip": False}
    pictures, numbers = torch.rand(1, 1, 9, 9), torch.full((1, 6), 0.9)
    numbers[0, 2] = 0.1
    assert not torch.allclose(Transforms(**still | {part: moved[part]})(pictures, (9, 9), numbers), pictures, atol=1e-3)


class Costing:
    """Stands for a canvas whose tensors cost something."""

    class parameters:  # noqa: N801 -- stands for an attribute of that name
        cost = staticmethod(lambda: torch.tensor([3.0, 5.0]))


class Alike:
    likeness = staticmethod(lambda answers: torch.tensor([0.5, 0.25]))


def test_a_loss_written_out():
    pictures, values = torch.rand(2, 3, 4, 5), torch.tensor([2.0, 9.0])
    canvas: Any = Costing
    scores: Any = Alike
    loss = Loss(regularizers=[L2(2.0)], diversity=4.0, cap=torch.tensor([5.0, 6.0]), price=torch.tensor([0.1, 10.0]))
    charges = 2 * float((pictures - 0.5).square().mean((1, 2, 3)).sum())
    expected = charges - (2 + 6) + (0.3 + 50) + 4 * 0.75
    assert float(loss(values, pictures, canvas, scores, {})) == pytest.approx(expected)
    assert float(Loss()(values, pictures, canvas, scores, {})) == pytest.approx(-11 + 8)


def test_pairwise_levels_are_half_as_large():
    sizes = [tensor.shape[2] for tensor in Pyramid().begin((1, 1, 64, 64), draws(1), None).tensors]
    assert len(sizes) == 5 and all(fine == 2 * coarse for fine, coarse in pairwise(sizes))


@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64])
def test_a_step_of_adam_is_that_of_torchs_optimiser(dtype):
    generator = torch.Generator().manual_seed(0)
    start = [torch.randn(3, 4, generator=generator, dtype=dtype), torch.randn(5, generator=generator, dtype=dtype)]
    ours, theirs = ([tensor.clone().requires_grad_() for tensor in start] for _ in range(2))
    optimizer = torch.optim.Adam(theirs, 0.03, fused=not dtype.is_complex)
    slower = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.1, 5)
    step = adam(0.03, steps=6, fade=0.1)(ours)
    for number in range(8):
        for own, other in zip(ours, theirs, strict=True):
            own.grad = (
                torch.randn(own.shape, generator=generator, dtype=dtype) if number != 2 or own is ours[0] else None
            )
            other.grad = None if own.grad is None else own.grad.clone()
        step()
        optimizer.step()
        slower.step()
    assert all(torch.equal(own, other) for own, other in zip(ours, theirs, strict=True))
