"""A Gaussian whose pictures a small network refines: the latent is the Gaussian's, what is seen is nearer to photographs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from iconoscope.priors.gaussian import GaussianPrior
from iconoscope.priors.prior_file import BUILTIN, read_prior_file
from iconoscope.priors.refiner import Refiner

__all__ = ["RefinedPrior"]


class RefinedPrior(GaussianPrior):
    """The pictures of a Gaussian, refined.

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

    def _saved(self) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
        """Give what is saved; of a Gaussian that ships, its name alone."""
        shipped = BUILTIN.get(self.plain.name) and load_gaussian(self.plain.name)
        if shipped and shipped.digest() == self.plain.digest():
            return {"kind": self.kind, "name": self.name, "over": shipped.name}, self._refiner_weights()
        return super()._saved()

    def _refiner_weights(self) -> dict[str, torch.Tensor]:
        """Give the network's weights by name, as they are saved."""
        return {f"refiner.{name}": weight.half() for name, weight in self.refiner.state_dict().items()}

    def tensors(self) -> dict[str, torch.Tensor]:
        """Give all tensors by name, as they are saved."""
        return self.plain.tensors() | self._refiner_weights()

    @classmethod
    def from_tensors(cls, name: str, tensors: dict[str, torch.Tensor], header: dict[str, Any]) -> RefinedPrior:
        """Make a prior of what was saved, over a Gaussian that was saved with it or one that ships."""
        over = header.get("over")
        base = load_gaussian(over) if over else GaussianPrior.from_tensors(name, tensors, header)
        refiner = Refiner(len(base.classes), base.shape[0])
        refiner.load_state_dict({name: tensors[f"refiner.{name}"].float() for name in refiner.state_dict()})
        return cls(name, base, refiner)


def load_gaussian(name: str) -> GaussianPrior:
    """Read a Gaussian that ships."""
    header, tensors = read_prior_file(name)
    return GaussianPrior.from_tensors(name, tensors, header)
