"""The training of a refiner: from a critic that is shown real images beside what it made of the Gaussian's pictures.

What it is given are pictures of latents that were drawn, half of them mixed with the latents of real images. It is charged
for changing what is coarse, so that the latent still decides the picture. The critic is shown everything mirrored, shifted,
darker, brighter or paler by chance (Zhao et al. 2020, "Differentiable Augmentation"), or it would know few images by heart.
"""

from __future__ import annotations

import io
from pathlib import Path

import torch
from torch.nn import functional as F

from iconoscope.errors import NonFiniteError, PriorError
from iconoscope.priors.gaussian import GaussianPrior
from iconoscope.priors.prior_file import write_whole
from iconoscope.priors.prior_images import as_pictures
from iconoscope.priors.refined_prior import RefinedPrior
from iconoscope.priors.refiner import Critic, Refiner
from iconoscope.priors.training_images import TrainingImages
from iconoscope.progress import track
from iconoscope.subject.processor import has_bfloat16
from iconoscope.subject.random_state import seeded

__all__ = ["train_refiner"]

BATCH = 64
RATE, CRITIC_RATE, BETAS = 2e-4, 4e-4, (0.0, 0.9)
CRITIC_STEPS = 2
"""So many steps of the critic to one of the refiner."""

PLACES, COARSE, BEYOND = 0.5, 5.0, 2.0
"""What places weigh beside wholes, and what changing the coarse, and leaving the range, costs the refiner."""

MIXED = 0.5
"""The share of latents into which a real image's is mixed."""

MEAN_SHARE = 0.002
"""The share of the refiner that goes into its running mean at every step; that mean is what is saved."""

CHECKPOINT_STEPS = 200
"""Steps from one checkpoint to the next."""


def train_refiner(
    prior: GaussianPrior, images: TrainingImages, *, steps: int, seed: int, checkpoint: Path | None = None
) -> RefinedPrior:
    """Train a refiner for a Gaussian.

    Parameters
    ----------
    prior
        The Gaussian, of whole pictures with sides divisible by 4.
    images
        The images that it was learnt from.
    steps
        Of the critic; the refiner does half as many.
    seed
        Of all that is drawn.
    checkpoint
        A file that is written on the way and, if it is there and of the same question, gone on from; it is deleted at the end.

    Raises
    ------
    PriorError
        If the pictures do not suit, or there are too many images to keep in memory.
    NonFiniteError
        If the training comes to NaN; it says at which step.
    """
    if prior.levels or any(side % 4 for side in prior.shape[1:]):
        raise PriorError(
            f"Pictures of {prior.shape[1]}x{prior.shape[2]} are not refined.",
            hint="Give a size up to 64 that 4 divides.",
        )
    training = RefinerTraining(prior, images, seed)
    key = f"{prior.digest()} {seed}"
    first = 0 if checkpoint is None else training.resume(checkpoint, key)
    try:
        for step in track(
            range(first, steps), "learning to refine", words=lambda: f"from step {first}" if first else ""
        ):
            training.step(step)
            if checkpoint is not None and (step + 1) % CHECKPOINT_STEPS == 0:
                training.save(checkpoint, key, step + 1)
    except KeyboardInterrupt:
        if checkpoint is not None:
            training.save(checkpoint, key, training.done)
        raise
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)
    refiner = Refiner(len(prior.classes), prior.shape[0])
    refiner.load_state_dict({name: value.half().float() for name, value in training.mean.state_dict().items()})
    return RefinedPrior(prior.name, prior, refiner)


class RefinerTraining:
    """A refiner and its critic while they learn."""

    def __init__(self, prior: GaussianPrior, images: TrainingImages, seed: int) -> None:
        pixels = images.pixels
        if pixels is None:
            raise PriorError(
                f"{len(images)} images of this size do not fit into memory, where training needs them.",
                hint="Give fewer (--limit), or a smaller size.",
            )
        self._prior, self._pixels = prior, pixels
        self._labels = torch.tensor([-1 if label is None else prior.classes.index(label) for label in images.labels])
        self._draw = torch.Generator().manual_seed(seed)
        count, channels = len(prior.classes), prior.shape[0]
        with seeded(seed):
            self.refiner, self.critic, self.mean = (kind(count, channels) for kind in (Refiner, Critic, Refiner))
        for network in (self.refiner, self.critic):
            network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        self.mean.load_state_dict(self.refiner.state_dict())
        self._optimizers = (
            torch.optim.Adam(self.refiner.parameters(), RATE, BETAS),
            torch.optim.Adam(self.critic.parameters(), CRITIC_RATE, BETAS),
        )
        self._half = has_bfloat16()
        self.done = 0

    def step(self, number: int) -> None:
        """Teach the critic once, and the refiner every second time."""
        drawn, labels = self._inputs()
        chosen = torch.randint(len(self._pixels), (BATCH,), generator=self._draw)
        real = self._real(chosen)
        with self._quicker(), torch.no_grad():
            refined = self.refiner(drawn, labels).float()
        pictures = torch.cat([real, refined]) * 2 - 1
        with self._quicker():
            wholes, places = self.critic(self._changed(pictures), torch.cat([self._labels[chosen], labels]))
        loss = _hinge(wholes.float()) + PLACES * _hinge(places.float())
        self._learn(1, loss, number)
        if number % CRITIC_STEPS == CRITIC_STEPS - 1:
            drawn, labels = self._inputs()
            with self._quicker():
                refined = self.refiner(drawn, labels)
                wholes, places = self.critic(self._changed(refined.float() * 2 - 1), labels)
            refined = refined.float()
            coarse = 4 * (F.avg_pool2d(refined, 4) - F.avg_pool2d(drawn, 4)).square().mean()
            beyond = F.relu((2 * refined - 1).abs() - 1).mean()
            realness = wholes.float().mean() + PLACES * places.float().mean()
            self._learn(0, COARSE * coarse + BEYOND * beyond - realness, number)
            with torch.no_grad():
                for mean, new in zip(self.mean.parameters(), self.refiner.parameters(), strict=True):
                    mean.lerp_(new, MEAN_SHARE)
        self.done = number + 1

    def _learn(self, network: int, loss: torch.Tensor, number: int) -> None:
        if not bool(loss.isfinite()):
            raise NonFiniteError(f"The training came to NaN or infinity at step {number + 1}.")
        self._optimizers[network].zero_grad()
        loss.backward()
        self._optimizers[network].step()

    def _quicker(self) -> torch.autocast:
        return torch.autocast("cpu", torch.bfloat16, enabled=self._half)

    def _real(self, chosen: torch.Tensor) -> torch.Tensor:
        return as_pictures(self._pixels[chosen.numpy()]).contiguous(memory_format=torch.channels_last)

    def _inputs(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Draw latents, mix real ones into some of them, and give their pictures and classes."""
        draw, prior = self._draw, self._prior
        chosen = torch.randint(len(self._pixels), (BATCH,), generator=draw)
        labels = self._labels[chosen]
        share = torch.rand(BATCH, 1, generator=draw, dtype=torch.float32).sqrt() * (
            torch.rand(BATCH, 1, generator=draw, dtype=torch.float32) < MIXED
        )
        with torch.no_grad():
            mean, deviation = prior.centre(labels.tolist())
            noise = deviation * torch.randn(BATCH, prior.size, generator=draw, dtype=torch.float32)
            apart = prior.encode(self._real(chosen)) - mean
            mixed = mean + share * apart + (1 - share.square()).clamp_min(0).sqrt() * noise
            pictures = prior.decode(mixed)
        return pictures.contiguous(memory_format=torch.channels_last), labels

    def _changed(self, pictures: torch.Tensor) -> torch.Tensor:
        """Mirror, brighten, make paler and shift pictures by chance, in the same way for real and made ones."""
        draw, count = self._draw, len(pictures)
        height, width = pictures.shape[2:]

        def drawn() -> torch.Tensor:
            return torch.rand(count, 1, 1, 1, generator=draw, dtype=torch.float32)

        pictures = torch.where(drawn() < 0.5, pictures, pictures.flip(3)) + 0.4 * (drawn() - 0.5)
        grey = pictures.mean(1, keepdim=True)
        pictures = grey + (0.5 + drawn()) * (pictures - grey)
        reach = max(1, min(height, width) // 8)
        padded = F.pad(pictures, (reach, reach, reach, reach))
        down, across = torch.randint(0, 2 * reach + 1, (2, count), generator=draw)
        rows, columns = torch.arange(height) + down[:, None], torch.arange(width) + across[:, None]
        picked = padded[torch.arange(count)[:, None, None], :, rows[:, :, None], columns[:, None, :]]
        return picked.movedim(-1, 1)

    def save(self, path: Path, key: str, steps_done: int) -> None:
        """Write a checkpoint; it is there whole or not at all."""
        state = {
            "key": key,
            "done": steps_done,
            "draw": self._draw.get_state(),
            "networks": [network.state_dict() for network in (self.refiner, self.critic, self.mean)],
            "optimizers": [optimizer.state_dict() for optimizer in self._optimizers],
        }
        buffer = io.BytesIO()
        torch.save(state, buffer)
        write_whole(path, buffer.getvalue(), called="The checkpoint ")

    def resume(self, path: Path, key: str) -> int:
        """Go on from a checkpoint, if there is one of the same question; give how many steps are done."""
        if not path.is_file():
            return 0
        try:
            state = torch.load(path, weights_only=True)
            if state["key"] != key:
                return 0
            self._draw.set_state(state["draw"])
            learners = (self.refiner, self.critic, self.mean, *self._optimizers)
            for learner, saved in zip(learners, (*state["networks"], *state["optimizers"]), strict=True):
                learner.load_state_dict(saved)
            self.done = int(state["done"])
        # torch.load lets its zip reader's and its unpickler's errors through, and a state may hold anything.
        except Exception as error:
            raise PriorError(f"The checkpoint {path} is damaged: {error}.", hint="Delete it to begin anew.") from error
        return self.done


def _hinge(answers: torch.Tensor) -> torch.Tensor:
    """Charge the critic for what it does not tell apart by one: the first half are real."""
    real, refined = answers.chunk(2)
    return F.relu(1 - real).mean() + F.relu(1 + refined).mean()
