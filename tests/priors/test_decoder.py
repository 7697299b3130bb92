"""Any decoder as a prior, and diffusion models in the format of diffusers."""

import json
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import iconoscope as ico
from iconoscope.optimization import Style
from iconoscope.optimization.latent_parameterization import LatentParameterization
from iconoscope.priors import decoder_prior, diffusion_prior, load_prior
from iconoscope.store import Store


class Generator(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.linear, self.drop = nn.Linear(6, 3 * 64, bias=False), nn.Dropout(0.5)

    def forward(self, z):
        return self.drop(self.linear(z)).view(-1, 3, 8, 8).tanh()


@pytest.fixture
def network():
    module = nn.Sequential(nn.Flatten(), nn.Linear(3 * 64, 2))
    preprocessing = {"size": 8, "mean": (0.5,) * 3, "std": (0.25,) * 3, "crop": "none"}
    return ico.load_network(module, preprocessing=preprocessing, classes=["a", "b"], device="cpu")


def test_a_module_is_a_prior(network):
    module = Generator()
    prior = decoder_prior(module, 6)
    assert prior.shape == (3, 8, 8) and not module.training
    latents = torch.randn(2, 6)
    assert torch.allclose(prior.decode(latents), (module(latents) + 1) / 2)
    style = Style(parameterization=LatentParameterization(prior, weight=0, limits=0), transforms=None)
    found = ico.optimize(network, "1:0", prior=prior, style=style, steps=40)
    first = ico.optimize(network, "1:0", prior=prior, style=style, steps=1)
    assert found.activation[0] > first.activation[0] and "capped" not in found.style
    assert found.likelihood is not None and found.likelier_than is None and found.neighbours is None


def test_latents_of_pictures_are_searched_for_or_given():
    module = Generator()
    latents = torch.randn(3, 6)
    prior = decoder_prior(module, 6)
    pictures = prior.decode(latents).detach()
    assert (prior.decode(prior.encode(pictures)) - pictures).abs().max() < 0.02
    given = decoder_prior(module, 6, encode=lambda pictures: pictures.flatten(1)[:, :6])
    assert torch.allclose(given.encode(pictures), pictures.flatten(1)[:, :6] * 2 - 1)


def test_images_to_hold_pictures_against(network):
    images = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)
    prior = decoder_prior(lambda z: z.view(-1, 3, 8, 8), (3, 8, 8), limits="0..1", images=images, name="pixels")
    found = ico.optimize(network, "1:0", prior=prior, steps=3)
    assert "capped at 1.2" in found.style and found.neighbours is not None and found.neighbour_names is not None
    assert found.neighbours.shape == (1, 3, 8, 8, 3) and set(found.neighbour_names[0]) <= {f"{n:06}" for n in range(6)}


def test_weights_and_name_and_images_decide_the_digest():
    module = Generator()
    one = decoder_prior(module, 6).digest()
    assert one == decoder_prior(module, 6).digest()
    module.linear.weight.data += 1
    assert len({one, decoder_prior(module, 6).digest(), decoder_prior(module, 6, name="other").digest()}) == 3


def test_what_a_function_decodes_by_decides_the_digest():
    def scaled(factor):
        return lambda latents: (latents * factor).view(-1, 1, 1, 4).expand(-1, 3, 8, 4)

    def digest(**settings):
        return decoder_prior(name="same", latent=4, **settings).digest()

    one = digest(decode=scaled(1.0))
    assert one == digest(decode=scaled(1.0)) != digest(decode=scaled(2.0))
    assert one != digest(decode=scaled(1.0), encode=lambda pictures: pictures.flatten(1)[:, :4])
    module = Generator()
    prior = decoder_prior(module, 6)
    before = prior.digest()
    handle = module.register_forward_hook(lambda module, given, pictures: -pictures)
    assert prior.digest() != before
    handle.remove()
    assert prior.digest() == before
    module.linear.weight.data += 1
    assert prior.digest() != before


def test_no_store_keeps_pictures_of_a_decoder_that_cannot_be_seen(tmp_path):
    network = ico.load_network("cars", device="cpu")
    table = memoryview(bytearray([1]))
    prior = decoder_prior(lambda latents: latents.view(-1, 3, 8, 8) * table[0], 192)
    with pytest.warns(ico.IconoscopeWarning, match=r"table. \(builtins.memoryview\) may decide"):
        ico.optimize(network, "logit:lynx", prior=prior, steps=1, store=tmp_path / "run")
    assert not len(Store(tmp_path / "run"))


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"latent": 6, "limits": "0..2"}, ico.errors.QuestionError, "0..1"),
        ({"latent": 0}, ico.errors.QuestionError, "=0 must be at least 1"),
        ({"latent": 5}, ico.errors.PriorError, "latent="),
    ],
)
def test_what_is_no_decoder_says_so(settings, error, message):
    with pytest.raises(error) as caught:
        decoder_prior(Generator(), **settings)
    assert message in f"{caught.value.message} {caught.value.hint}"
    with pytest.raises(ico.errors.PriorError, match="not pictures"):
        decoder_prior(lambda z: z, 4)
    with pytest.raises(ico.errors.PriorError, match="no file of its own"):
        decoder_prior(Generator(), 6).save("nowhere")  # pyright: ignore[reportArgumentType]


@pytest.fixture(scope="module")
def saved(tmp_path_factory, torchvision_models):
    """A tiny diffusion model as diffusers saves it."""
    folder = tmp_path_factory.mktemp("model") / "tiny"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        diffusers: Any = pytest.importorskip("diffusers")
        torch.manual_seed(0)
        model = diffusers.UNet2DModel(
            sample_size=8, block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=4,
            down_block_types=("DownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "UpBlock2D"),
        )  # fmt: skip
        diffusers.DDPMPipeline(model, diffusers.DDPMScheduler(num_train_timesteps=50)).save_pretrained(folder)
    return folder


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_a_diffusion_model_is_a_prior(saved, network):
    diffusers: Any = pytest.importorskip("diffusers")
    prior = load_prior(f"hf:{saved}")
    assert prior.shape == (3, 8, 8) and prior.size == 192 and prior.kind == "diffusion"
    noise = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    pipeline = diffusers.DDPMPipeline.from_pretrained(saved)
    scheduler = diffusers.DDIMScheduler.from_config(pipeline.scheduler.config, clip_sample=False)
    scheduler.set_timesteps(10)
    pictures = noise
    with torch.no_grad():
        for time in scheduler.timesteps:
            pictures = scheduler.step(pipeline.unet(pictures, time).sample, time, pictures).prev_sample
        made = prior.decode(noise.flatten(1))
    assert torch.allclose(made, pictures / 2 + 0.5, atol=1e-4)
    latents = noise.flatten(1).requires_grad_()
    prior.decode(latents).square().sum().backward()
    assert latents.grad is not None and latents.grad.abs().min() >= 0 and bool(latents.grad.any())
    found = ico.optimize(network, "1:0", prior=diffusion_prior(saved, steps=3), steps=4)
    assert found.images.shape == (1, 8, 8, 3) and np.isfinite(found.images).all()


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_a_picture_is_encoded_by_the_steps_the_other_way(saved):
    prior = diffusion_prior(saved, steps=50)
    with torch.no_grad():
        pictures = prior.decode(torch.randn(2, 192, generator=torch.Generator().manual_seed(1)))
        again = prior.decode(prior.encode(pictures))
    assert (again - pictures).abs().mean() < 0.25 * (pictures - pictures.mean()).abs().mean()


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_models_that_are_not_there_or_of_another_kind(saved, tmp_path):
    with pytest.raises(ico.errors.PriorError, match="cannot be loaded"):
        load_prior(f"hf:{tmp_path / 'nothing'}")
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "DDPMPipeline"}))
    with pytest.raises(ico.errors.PriorError):
        load_prior(f"hf:{tmp_path}")
    with pytest.raises(ico.errors.QuestionError, match="steps=0"):
        diffusion_prior(saved, steps=0)
