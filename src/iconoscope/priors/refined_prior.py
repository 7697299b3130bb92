"""A Gaussian whose pictures a small network refines: the latent is the Gaussian's, what is seen is nearer to photographs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from iconoscope.priors.gaussian import GaussianPrior
from iconoscope.priors.prior_file import BUILTIN, read_file
from iconoscope.priors.refiner import Refiner

__all__ = ["RefinedPrior"]


class RefinedPrior(GaussianPrior):
    """What a Gaussian draws, refined.

    Parameters
    ----------
    base
        The Gaussian, of whole pictures.
    refiner
        The network.
    """

    kind: str = "refined"

    def __init__(self, name: str, base: GaussianPrior, refiner: Refiner) -> None:
        super().__init__(
            name,
            base.base,
            base.levels,
            classes=base.classes,
            centres=base.centres,
            codes=base.codes,
            labels=base.labels,
            names=base.names,
        )
        self.plain = base
        self.refiner = refiner.eval().requires_grad_(False)

    def decode(self, latents: torch.Tensor, labels: Sequence[int] | None = None) -> torch.Tensor:
        """Give the pictures (n, channels, height, width) of latents (n, size) and classes; they may leave 0..1."""
        classes = torch.tensor([-1] * len(latents) if labels is None else list(labels), dtype=torch.long)
        return self.refiner(super().decode(latents), classes)

    def refining(self) -> dict[str, torch.Tensor]:
        """Give the network's weights by name, as they are saved."""
        return {f"refiner.{name}": value.half() for name, value in self.refiner.state_dict().items()}

    def tensors(self) -> dict[str, torch.Tensor]:
        """Give all tensors by name, as they are saved."""
        return self.plain.tensors() | self.refining()

    def to_file(self) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
        """Give the header and the tensors of its file; a Gaussian that ships is named there, not written again."""
        shipped = BUILTIN.get(self.plain.name)
        if shipped is not None:
            header, tensors = read_file(shipped)
            plain = header["kind"] == GaussianPrior.kind
            if plain and GaussianPrior.from_tensors(self.plain.name, tensors, header).digest() == self.plain.digest():
                return {"over": self.plain.name}, self.refining()
        return super().to_file()

    @classmethod
    def from_tensors(cls, name: str, tensors: dict[str, torch.Tensor], header: dict[str, Any]) -> RefinedPrior:
        """Make it of what was saved."""
        base = GaussianPrior.from_tensors(name, tensors, header)
        return cls.over(name, base, tensors)

    @classmethod
    def over(cls, name: str, base: GaussianPrior, tensors: dict[str, torch.Tensor]) -> RefinedPrior:
        """Make it of a Gaussian and the saved weights of the network."""
        refiner = Refiner(len(base.classes), base.shape[0])
        own = {
            key.removeprefix("refiner."): value.float() for key, value in tensors.items() if key.startswith("refiner.")
        }
        refiner.load_state_dict(own)
        return cls(name, base, refiner)
