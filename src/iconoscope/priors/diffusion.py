"""Diffusion models of pixels, as diffusers has them, as priors.

Without noise on the way (Song, Meng and Ermon 2021, "Denoising Diffusion Implicit Models") what comes out is decided by the
noise that goes in: that is the latent, and the steps from there are the decoder. The same steps the other way encode a
picture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.utils.checkpoint import checkpoint

from iconoscope.errors import PriorError, check_counts, first_line
from iconoscope.extras import import_extra
from iconoscope.priors.decoder import RANGES, DecoderPrior
from iconoscope.signatures import checked

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["PREFIX", "diffusion_prior"]

PREFIX = "hf:"
"""Before the name of a model on the hub, or of a folder in the hub's format."""

STEPS = 10


@checked
def diffusion_prior(source: str | Path, *, steps: int = STEPS, images: Any = None) -> DecoderPrior:
    """Load a diffusion model of pixels as a prior, by diffusers.

    Parameters
    ----------
    source
        As google/ddpm-cifar10-32, a name on the hub, or a folder that diffusers has saved; ``hf:`` may stand before it.
    steps
        Steps from noise to a picture; each asks the whole model, forward and back. Pictures get better up to 50 or so.
    images
        Real images to hold pictures against: whatever `load_images` takes.

    Raises
    ------
    MissingExtraError
        If diffusers is not installed.
    PriorError
        If there is no such model, or it is none of pixels alone.
    """
    check_counts(most=10**6, steps=steps)
    name = str(source).removeprefix(PREFIX)
    model, forward, back = _loaded(name)
    forward.set_timesteps(steps)
    back.set_timesteps(steps)
    side = model.config.sample_size
    height, width = (side, side) if isinstance(side, int) else side

    return DecoderPrior(
        f"{name}, {steps} steps",
        NoiseSteps(model, forward),
        (int(model.config.in_channels), int(height), int(width)),
        limits=RANGES["-1..1"],
        encode=NoiseSteps(model, back),
        images=images,
        kind="diffusion",
    )


class NoiseSteps(torch.nn.Module):
    """The steps from noise to a picture or back, as a scheduler has them, with the weights that decide them."""

    def __init__(self, model: torch.nn.Module, scheduler: Any) -> None:
        super().__init__()
        self.model, self._scheduler = model, scheduler

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Go from the pictures or the noise (n, channels, height, width) at one end to those at the other."""
        for time in self._scheduler.timesteps:
            # Only the pictures between steps are kept for the way back, not what the model computes inside.
            noise = checkpoint(self._noise_in, pictures, time, use_reentrant=False)
            pictures = self._scheduler.step(noise, time, pictures, return_dict=False)[0]
        return pictures

    def _noise_in(self, pictures: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        return self.model(pictures, time, return_dict=False)[0]


def _loaded(name: str) -> tuple[Any, Any, Any]:
    """Give the model of noise, and the steps to pictures and back."""
    label = f"hf:{name}"
    models = import_extra("diffusers.models.unets.unet_2d", "diffusion", label)
    pipelines = import_extra("diffusers.pipelines.pipeline_utils", "diffusion", label)
    forward = import_extra("diffusers.schedulers.scheduling_ddim", "diffusion", label)
    inverse = import_extra("diffusers.schedulers.scheduling_ddim_inverse", "diffusion", label)
    try:
        pipeline = pipelines.DiffusionPipeline.from_pretrained(name, trust_remote_code=False)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise PriorError(
            f"hf:{name} cannot be loaded: {first_line(error)}.",
            hint="Give a name on the hub, as google/ddpm-cifar10-32, that can be reached, or a folder saved by diffusers.",
        ) from error
    model = getattr(pipeline, "unet", None)
    if model is None or not isinstance(model, models.UNet2DModel) or set(pipeline.components) != {"unet", "scheduler"}:
        raise PriorError(
            f"hf:{name} is made of {', '.join(pipeline.components)}.",
            hint="A prior is a diffusion model of pixels: a UNet2DModel and a scheduler, and nothing else.",
        )
    settings = dict(pipeline.scheduler.config)
    return (
        model.eval().requires_grad_(False),
        forward.DDIMScheduler.from_config(settings, clip_sample=False),
        inverse.DDIMInverseScheduler.from_config(settings, clip_sample=False),
    )
