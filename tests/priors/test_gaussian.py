"""A Gaussian prior against the plain computation on what it was fitted to."""

import numpy as np
import pytest
import torch

import iconoscope as ico
from iconoscope.priors import GaussianPrior, fit_prior, load_prior
from iconoscope.priors.gaussian import CODE, PyramidLevel, padded, windowed
from iconoscope.priors.gaussian_fit import _sizes
from iconoscope.priors.principal_components import Moments


@pytest.mark.parametrize("width", [6, 5, 1])
def test_components_are_those_of_the_pictures_and_their_mirror_images(width):
    torch.manual_seed(0)
    pictures = torch.rand(40, 2, 3, width) ** 2 + torch.linspace(0, 0.3, width)
    moments = Moments((2, 3, width))
    moments.add(pictures[:15])
    moments.add(pictures[15:])
    found = moments.components(99)
    both = torch.cat([pictures, pictures.flip(3)]).flatten(1).double()
    covariance = torch.cov(both.T, correction=0)
    variances = torch.linalg.eigvalsh(covariance).flip(0)[: len(found.deviations)]
    assert len(found.deviations) == 6 * width
    assert torch.allclose(found.mean.flatten().double(), both.mean(0), atol=1e-6)
    assert torch.allclose(found.deviations.double() ** 2, variances, atol=1e-6)
    vectors = found.vectors.flatten(1).double()
    assert torch.allclose(vectors @ covariance @ vectors.T, torch.diag(variances), atol=1e-6)
    assert torch.allclose(vectors @ vectors.T, torch.eye(len(vectors)).double(), atol=1e-5)
    assert found.explained == pytest.approx(1)
    assert len(moments.components(3).deviations) == 3


def planted(count=400, seed=0, size=12):
    """Images that vary along two patterns, of two classes that lie apart along the first."""
    draw = np.random.default_rng(seed)
    across = np.linspace(-1, 1, size)
    even = np.broadcast_to((across**2 - 0.3)[None, :, None], (size, size, 3)) * 0.12
    down = np.broadcast_to(across[:, None, None], (size, size, 3)) * 0.06
    labels = np.arange(count) % 2
    first, second = draw.standard_normal(count) * 0.5 + np.where(labels, 1.5, -1.5), draw.standard_normal(count)
    pixels = 0.5 + first[:, None, None, None] * even + second[:, None, None, None] * down
    return (pixels * 255).round().clip(0, 255).astype(np.uint8), ["high" if one else "low" for one in labels]


@pytest.fixture(scope="module")
def prior():
    pixels, labels = planted()
    return fit_prior(ico.load_images(pixels, labels=labels), reference=50, name="planted")


def pictures_of(pixels):
    return torch.from_numpy(pixels).movedim(-1, 1).float() / 255


def test_what_was_planted_is_found(prior):
    assert prior.base.deviations[1] > 20 * prior.base.deviations[2]  # two patterns, and the rounding
    latents = prior.encode(pictures_of(planted()[0]))
    assert torch.allclose(latents.mean(0)[:2], torch.zeros(2), atol=1e-3)
    assert torch.allclose(latents.std(0)[:2], torch.ones(2), atol=0.01)
    mean, deviation = prior.centre([prior.class_index("high"), prior.class_index("low"), -1])
    assert abs(mean[0, 0] - mean[1, 0]) > 1.4 and mean[0, 0] * mean[1, 0] < 0
    assert not mean[2].any() and (deviation[2] == 1).all()


def test_a_picture_that_was_encoded_comes_back(prior):
    held_out = pictures_of(planted(seed=1, count=60)[0])
    assert (prior.decode(prior.encode(held_out)) - held_out).abs().max() < 0.03


def test_samples_are_as_the_images_are(prior):
    pixels, labels = planted()
    drawn = prior.sample(300, seed=1).astype(float)
    assert np.allclose(drawn.mean(0), pixels.mean(0), atol=8)
    assert np.allclose(drawn.std(0), pixels.std(0), atol=6)
    own = pixels[np.array(labels) == "high"]
    high = prior.sample(300, label="high", seed=1).astype(float)
    assert np.abs(high.mean(0) - own.mean(0)).max() < np.abs(drawn.mean(0) - own.mean(0)).max() / 3
    assert np.array_equal(prior.sample(2, seed=3), prior.sample(2, seed=3))
    assert not np.array_equal(prior.sample(2, seed=3), prior.sample(2, seed=4))


def test_the_score_is_the_log_density(prior):
    latents = torch.randn(5, prior.size)
    normal = torch.distributions.Normal(0.0, 1.0)
    assert torch.allclose(prior.score(latents), normal.log_prob(latents).sum(1), rtol=1e-4)
    mean, deviation = prior.centre([1] * 5)
    own = torch.distributions.Normal(mean, deviation)
    assert torch.allclose(prior.score(latents, [1] * 5), own.log_prob(latents).sum(1), rtol=1e-4)
    assert torch.allclose(prior.cost(torch.zeros(2, prior.size), [-1, -1]), torch.zeros(2))


def test_kept_images_are_real_ones_as_many_of_each_class(prior):
    reference = prior.reference
    assert len(reference.pixels) == 50 and sorted(np.bincount(reference.labels)) == [25, 25]
    pixels, labels = planted()
    for kept, label, name in zip(reference.pixels, reference.labels, reference.names, strict=True):
        assert np.abs(kept.astype(int) - pixels[int(name)].astype(int)).max() <= 8
        assert labels[int(name)] == prior.classes[label]


def test_a_file_gives_the_same_prior(prior, tmp_path):
    path = prior.save(tmp_path / "deep" / "planted")
    again = load_prior(path)
    assert path.suffix == ".safetensors" and isinstance(again, GaussianPrior)
    assert repr(again) == repr(prior) and again.digest() == prior.digest() and again.classes == prior.classes
    latents = torch.randn(3, prior.size)
    assert torch.equal(again.decode(latents), prior.decode(latents))
    assert again.reference and np.array_equal(again.reference.pixels, prior.reference.pixels)
    assert list(tmp_path.rglob("*")) == [tmp_path / "deep", path]  # nothing half written beside it


@pytest.mark.parametrize("damage", ["truncated", "empty", "another", "text"])
def test_a_file_that_is_no_prior(prior, tmp_path, damage):
    path = prior.save(tmp_path / "planted")
    if damage == "another":
        from safetensors.torch import save_file

        save_file({"weight": torch.zeros(2)}, path)
    else:
        data = {"truncated": path.read_bytes()[:-100], "empty": b"", "text": b"a prior, really"}[damage]
        path.write_bytes(data)
    with pytest.raises(ico.errors.PriorError, match=r"planted\.safetensors"):
        load_prior(path)


def test_a_prior_that_is_not_there():
    with pytest.raises(ico.errors.PriorError, match="cifar11") as caught:
        load_prior("cifar11")
    assert "cifar10" in caught.value.hint
    with pytest.raises(ico.errors.PriorError, match="no/such"):
        load_prior("no/such.safetensors")


def test_it_cannot_be_written(prior, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ico.errors.PriorError, match="cannot be written"):
        prior.save(tmp_path / "file" / "planted")


def test_windows_of_patches_add_up_to_one():
    side, size = 16, (40, 53)
    latents = torch.eye(3 * side * side).view(-1, 3, side, side) * windowed(side)
    level = PyramidLevel(size, latents, latents)  # a complete basis: taking apart and putting together is exact
    pictures = torch.rand(2, 3, *size)
    taken = level.encode(pictures)
    assert taken.shape == (2, level.count)
    assert torch.allclose(level.decode(taken), pictures, atol=1e-5)
    assert padded(pictures, side).shape == (2, 3, 56, 72)


def test_large_pictures_are_a_pyramid():
    draw = np.random.default_rng(0)
    coarse = draw.integers(0, 256, (30, 6, 6, 3), dtype=np.uint8)
    pixels = np.stack([np.kron(each, np.ones((16, 16, 1), np.uint8)) for each in coarse])
    prior = fit_prior(pixels, reference=5)
    assert prior.shape == (3, 96, 96) and [level.size for level in prior.levels] == [(24, 24), (48, 48), (96, 96)]
    shown = pictures_of(pixels[:4])
    apart = (prior.decode(prior.encode(shown)) - shown).square().mean().sqrt()
    base = torch.nn.functional.interpolate(
        torch.nn.functional.interpolate(shown, prior.base.mean.shape[1:], mode="bilinear", antialias=True),
        (96, 96),
        mode="bilinear",
    )
    assert apart < 0.6 * (base - shown).square().mean().sqrt()  # the finer levels do add what is fine
    assert prior.sample(2).shape == (2, 96, 96, 3)
    assert len(prior.encode(shown).unique(dim=0)) == 4


@pytest.mark.parametrize(
    ("sides", "count", "sizes"),
    [
        ((32, 32), 50_000, [(32, 32)]),
        ((64, 64), 100, [(64, 64)]),
        ((65, 65), 50_000, [(33, 33), (65, 65)]),
        ((227, 227), 50_000, [(57, 57), (114, 114), (227, 227)]),
        ((227, 227), 125, [(15, 15), (29, 29), (57, 57), (114, 114), (227, 227)]),
    ],
)
def test_the_coarsest_level_is_as_large_as_there_are_images_enough_for(sides, count, sizes):
    assert _sizes(sides, count) == sizes


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "gausian"}, "gaussian"),
        ({"size": 4}, "size=4"),
        ({"components": 0}, "components=0"),
        ({"reference": -1}, "reference=-1"),
    ],
)
def test_bad_settings_say_what_would_work(settings, message):
    with pytest.raises(ico.errors.QuestionError) as caught:
        fit_prior(planted(count=4)[0], **settings)
    assert message in f"{caught.value.message} {caught.value.hint}"


def test_too_little_to_learn_from():
    with pytest.raises(ico.errors.PriorError, match="fewer than two"):
        fit_prior(planted(count=1)[0])
    with pytest.raises(ico.errors.PriorError, match="All of the images are the same"):
        fit_prior(np.full((5, 12, 12, 3), 90, np.uint8))
    two = fit_prior(planted(count=2)[0])
    assert two.size <= 3 and two.sample(1).shape == (1, 12, 12, 3)


def test_an_unknown_class_names_the_nearest(prior):
    with pytest.raises(ico.errors.QuestionError, match="hihg") as caught:
        prior.sample(label="hihg")
    assert "high" in caught.value.hint


def test_codes_are_latents_in_steps(prior):
    reference = prior.encode(pictures_of(planted()[0]))[[int(name) for name in prior.names]]
    assert prior.codes is not None
    assert (prior.codes * CODE - reference).abs()[:, :2].max() <= CODE / 2 + 1e-4
