"""A refiner: what it leaves alone, what it learns, and how its training ends and goes on."""

import numpy as np
import pytest
import torch

import iconoscope as ico
from iconoscope.priors import RefinedPrior, fit_prior, load_prior
from iconoscope.priors.gaussian_fit import fit_gaussian
from iconoscope.priors.refiner import Refiner
from iconoscope.priors.refiner_training import RefinerTraining, train_refiner
from iconoscope.priors.training_images import TrainingImages

SIZE = 16


def images(count=200):
    """A bright square somewhere on grey, red of one class and blue of the other: no Gaussian draws a square."""
    draw = np.random.default_rng(0)
    pixels = np.full((count, SIZE, SIZE, 3), 110, np.uint8)
    labels = np.arange(count) % 2
    for place in range(count):
        row, column = draw.integers(0, SIZE - 6, 2)
        pixels[place, row : row + 6, column : column + 6] = (60, 60, 230) if labels[place] else (230, 60, 60)
    return ico.load_images(pixels, labels=["blue" if one else "red" for one in labels])


@pytest.fixture(scope="module")
def material():
    return TrainingImages(images(), (SIZE, SIZE))


@pytest.fixture(scope="module")
def plain(material):
    return fit_gaussian(material, name="squares", components=512, reference=20, seed=0)


def test_an_untrained_refiner_changes_nothing(plain):
    prior = RefinedPrior("squares", plain, Refiner(2))
    latents = torch.randn(3, plain.size)
    assert torch.allclose(prior.decode(latents, [0, 1, -1]), plain.decode(latents), atol=1e-6)
    assert prior.digest() != plain.digest() and prior.kind == "refined"
    assert prior.reference is not None and plain.reference is not None
    assert np.array_equal(prior.reference.pixels, plain.reference.pixels)


def test_no_class_is_the_mean_of_all():
    torch.manual_seed(0)
    refiner = Refiner(3).eval()
    refiner.last.weight.data.normal_()
    pictures = torch.rand(1, 3, 8, 8)
    whole, quarter = refiner.classes_whole.weight, refiner.classes_quarter.weight
    none = refiner(pictures, torch.tensor([-1]))
    assert not torch.allclose(none, refiner(pictures, torch.tensor([0])))
    for weight in (whole, quarter):
        weight.data[:] = weight.data.mean(0)
    assert torch.allclose(none, refiner(pictures, torch.tensor([1])), atol=1e-5)


@pytest.mark.slow
def test_it_learns_what_a_gaussian_cannot_draw(plain, material, monkeypatch):
    monkeypatch.setattr("iconoscope.priors.refiner_training.MEAN_SHARE", 0.05)  # few steps are to count
    prior = train_refiner(plain, material, steps=400, seed=0)
    colours = np.array([[110, 110, 110], [230, 60, 60]])

    def astray(given):
        """How far pixels of red squares are from the two colours that there are."""
        pixels = given.sample(100, label="red", seed=1).astype(float)
        return np.linalg.norm(pixels[..., None, :] - colours, axis=-1).min(-1).mean()

    assert astray(prior) < 0.85 * astray(plain)
    latents = torch.randn(20, plain.size)
    with torch.no_grad():
        one, other = (torch.nn.functional.avg_pool2d(each.decode(latents, [0] * 20), 4) for each in (plain, prior))
    assert (one - other).abs().mean() < 0.15  # the latent still decides the picture


def test_training_is_the_same_from_a_seed_and_goes_on_after_a_kill(plain, material, tmp_path, monkeypatch):
    monkeypatch.setattr("iconoscope.priors.refiner_training.CHECKPOINT_STEPS", 2)
    whole = train_refiner(plain, material, steps=6, seed=3)
    assert train_refiner(plain, material, steps=6, seed=3).digest() == whole.digest()
    assert train_refiner(plain, material, steps=6, seed=4).digest() != whole.digest()
    checkpoint = tmp_path / "deep" / "squares.training"
    step, stops = RefinerTraining.step, iter([0, 0, 0, 1])

    def killed(self, number):
        if next(stops, 0):
            raise KeyboardInterrupt
        step(self, number)

    monkeypatch.setattr(RefinerTraining, "step", killed)
    with pytest.raises(KeyboardInterrupt):
        train_refiner(plain, material, steps=6, seed=3, checkpoint=checkpoint)
    assert checkpoint.is_file()
    done: list[int] = []
    monkeypatch.setattr(RefinerTraining, "step", lambda self, number: (done.append(number), step(self, number)))
    assert train_refiner(plain, material, steps=6, seed=3, checkpoint=checkpoint).digest() == whole.digest()
    assert done == [3, 4, 5] and not checkpoint.exists()


def test_a_checkpoint_of_another_question_is_not_gone_on_from(plain, material, tmp_path):
    training = RefinerTraining(plain, material, 0)
    training.step(0)
    training.save(tmp_path / "one", "a question", 1)
    assert RefinerTraining(plain, material, 0).resume(tmp_path / "one", "another") == 0
    assert RefinerTraining(plain, material, 0).resume(tmp_path / "one", "a question") == 1
    assert RefinerTraining(plain, material, 0).resume(tmp_path / "nothing", "a question") == 0
    (tmp_path / "one").write_bytes(b"broken")
    with pytest.raises(ico.errors.PriorError, match="damaged"):
        RefinerTraining(plain, material, 0).resume(tmp_path / "one", "a question")
    with pytest.raises(ico.errors.PriorError, match="cannot be written"):
        training.save(tmp_path / "one" / "beneath a file", "a question", 1)


def test_nan_is_said_with_its_step(plain, material):
    training = RefinerTraining(plain, material, 0)
    dict(training.critic.named_parameters())["place.bias"].data[:] = float("nan")
    with pytest.raises(ico.errors.NonFiniteError, match="step 8"):
        training.step(7)


def test_a_file_brings_the_gaussian_along_or_names_the_one_that_ships(tmp_path):
    path = tmp_path / "squares"
    prior = fit_prior(images(40), kind="refined", steps=2, out=path, reference=10)
    again = load_prior(path.with_suffix(".safetensors"))
    assert isinstance(again, RefinedPrior) and again.digest() == prior.digest() and again.name == "squares"
    assert np.array_equal(again.sample(2, label="red"), prior.sample(2, label="red"))
    assert not path.with_suffix(".training").exists()
    shipped = load_prior("cifar10")
    over = RefinedPrior("mine", shipped, Refiner(10)).save(tmp_path / "mine")  # pyright: ignore[reportArgumentType]
    assert over.stat().st_size < 1e6
    loaded = load_prior(over)
    assert isinstance(loaded, RefinedPrior) and loaded.name == "mine"
    assert np.array_equal(loaded.sample(2, label="cat"), shipped.sample(2, label="cat"))


@pytest.mark.parametrize(("size", "message"), [(18, "18x18"), (72, "72x72")])
def test_what_cannot_be_refined(size, message):
    with pytest.raises(ico.errors.PriorError, match=message):
        fit_prior(images(20), kind="refined", size=size, steps=1)
    with pytest.raises(ico.errors.QuestionError, match="steps=0"):
        fit_prior(images(20), kind="refined", steps=0)


def test_the_refined_prior_that_ships(data):
    prior = load_prior("cifar10-refined")
    assert isinstance(prior, RefinedPrior) and prior.classes == load_prior("cifar10").classes
    network = ico.load_network("cifar10", device="cpu")
    found = ico.optimize(network, ["logit:ship", "logit:deer"], prior=prior, steps=40)
    named = [network.classes[place] for place in ico.predict(network, found.images).argmax(1)]
    assert named == ["ship", "deer"]
