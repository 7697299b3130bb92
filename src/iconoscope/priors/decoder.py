"""Any decoder as a prior: a generator, the decoder of an autoencoder, or a function from latents to pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from iconoscope.errors import PriorError, QuestionError, check_choice, check_counts
from iconoscope.priors.prior import Prior
from iconoscope.priors.prior_images import PriorImages, as_pixels
from iconoscope.priors.training_images import TrainingImages
from iconoscope.progress import track
from iconoscope.signatures import checked
from iconoscope.subject.images import load_images
from iconoscope.subject.network.digest import digest_object

__all__ = ["RANGES", "DecoderPrior", "decoder_prior"]

RANGES: dict[str, tuple[float, float]] = {"0..1": (0.0, 1.0), "-1..1": (-1.0, 1.0), "0..255": (0.0, 255.0)}
"""Limits between which the numbers of a decoder's pictures lie."""

MOST = 2000
"""Real images that are kept at the most."""

SEARCH, RATE, LIKELY = 200, 0.1, 1e-3
"""Steps and rate of the search for a picture's latent, and what an unlikely latent costs beside the squared error."""

Decode = Callable[[torch.Tensor], torch.Tensor]


class DecoderPrior(Prior):
    """A decoder whose latents are independent and normally distributed."""

    def __init__(
        self,
        name: str,
        decode: Decode,
        latent: tuple[int, ...],
        *,
        limits: tuple[float, float],
        encode: Decode | None = None,
        images: Any = None,
        kind: str = "decoder",
    ) -> None:
        self.kind = kind
        self.name, self._decode, self._encode, self._latent = name, decode, encode, latent
        self._low, self._high = limits
        self.size = int(np.prod(latent))
        with torch.inference_mode():
            pictures = self._decoded(torch.zeros(2, self.size, dtype=torch.float32))
        if pictures.ndim != 4 or len(pictures) != 2:
            raise PriorError(
                f"{name} makes {tuple(pictures.shape)} of two latents, not pictures (2, channels, height, width).",
                hint=f"It was given latents {(2, *latent)}: is latent= what it wants?",
            )
        self.shape = (int(pictures.shape[1]), int(pictures.shape[2]), int(pictures.shape[3]))
        self.reference = None if images is None else _reference(images, self.shape)

    def _decoded(self, latents: torch.Tensor) -> torch.Tensor:
        try:
            return self._decode(latents.view(-1, *self._latent))
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            raise PriorError(
                f"{self.name} fails with latents {(len(latents), *self._latent)}: {error}.",
                hint="Say with latent= what shape it wants.",
            ) from error

    def decode(self, latents: torch.Tensor, labels: Sequence[int] | None = None) -> torch.Tensor:
        """Give the pictures (n, channels, height, width) of latents (n, size); they may leave 0..1."""
        return (self._decoded(latents) - self._low) / (self._high - self._low)

    def encode(self, pictures: torch.Tensor) -> torch.Tensor:
        """Give the latents (n, size) whose pictures are most like these: by its encoder, or by a search from the mean."""
        if self._encode is not None:
            return self._encode(pictures * (self._high - self._low) + self._low).flatten(1)
        with torch.inference_mode(False), torch.enable_grad():
            goal = pictures.detach().clone()
            latents = torch.zeros(len(goal), self.size, requires_grad=True, dtype=torch.float32)
            optimizer = torch.optim.Adam([latents], lr=RATE)
            for _ in track(range(SEARCH), "looking for latents"):
                error = (self.decode(latents) - goal).square().mean((1, 2, 3))
                (error + LIKELY * self.cost(latents, [-1] * len(latents))).sum().backward()
                optimizer.step()
                optimizer.zero_grad()
        return latents.detach()

    def digest(self) -> str:
        """Digest of its decoder and encoder, as of a network, of its name and of the images; taken anew at every call.

        Where something of them cannot be seen it is another at every call, so that no store keeps what is made by it.
        """
        pixels = None if self.reference is None else self.reference.pixels
        return digest_object((self.name, self._latent, self._low, self._high, pixels, self._decode, self._encode)).key


@checked
def decoder_prior(
    decode: nn.Module | Decode,
    latent: int | Sequence[int],
    *,
    limits: str = "-1..1",
    encode: Decode | None = None,
    images: Any = None,
    name: str | None = None,
) -> DecoderPrior:
    r"""Make a prior of any decoder: pictures are then made by changing its latent (DGN-AM: Nguyen et al. 2016).

    Parameters
    ----------
    decode
        A module or a function from latents (n, \*latent) to pictures (n, channels, height, width), through which gradients
        pass. A module is put into evaluation mode.
    latent
        The shape of a latent, as 128 or (64, 1, 1); each of its numbers is by itself normally distributed.
    limits
        What the numbers of its pictures lie between: -1..1, 0..1 or 0..255.
    encode
        From pictures in these limits to latents. If not given, latents are searched for.
    images
        Real images to hold pictures against, and to measure what may be asked of them: whatever `load_images` takes.
    name
        Its name; if not given, that of the module's class or of the function.

    Returns
    -------
    DecoderPrior
        For ``optimize(..., prior=...)``.

    Raises
    ------
    QuestionError
        If a setting is no choice.
    PriorError
        If it does not make pictures of such latents.

    Examples
    --------
    >>> import torch
    >>> generator = torch.nn.Sequential(torch.nn.Linear(4, 3 * 64), torch.nn.Unflatten(1, (3, 8, 8)), torch.nn.Tanh())
    >>> decoder_prior(generator, 4, name="generator")
    <decoder prior generator: 8x8x3 from 4 numbers>
    """
    check_choice("limits", limits, RANGES)
    shape = (latent,) if isinstance(latent, int) else tuple(latent)
    if not shape:
        raise QuestionError("latent=() must be one or several whole numbers from 1 up.")
    check_counts(**{f"latent[{axis}]": length for axis, length in enumerate(shape)})
    if isinstance(decode, nn.Module):
        decode = decode.eval().requires_grad_(False)
    decoder_name = name or getattr(decode, "__name__", type(decode).__name__)
    return DecoderPrior(decoder_name, decode, shape, limits=RANGES[limits], encode=encode, images=images)


def _reference(images: Any, shape: tuple[int, int, int]) -> PriorImages:
    """Give real images at a prior's size, the first `MOST`."""
    real = TrainingImages(load_images(images)[:MOST], shape[1:])
    pixels = np.concatenate([as_pixels(pictures) for pictures in real.pictures("reading images")])
    return PriorImages(pixels, np.full(len(pixels), -1), tuple(real.names))
