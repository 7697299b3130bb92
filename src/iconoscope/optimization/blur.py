"""A blur of the picture after every step: the classical way to keep high frequencies from growing."""

from __future__ import annotations

from dataclasses import dataclass

from iconoscope.errors import QuestionError, check_counts

__all__ = ["Blur"]


@dataclass(frozen=True, kw_only=True)
class Blur:
    """A Gaussian blur of the picture itself after a step (Yosinski et al. 2015, "Understanding Neural Networks Through Deep
    Visualization"). `Frequency` is another thing: a charge, which changes where a step goes.

    Attributes
    ----------
    sigma : float
        Standard deviation after the first step, pixels.
    last_sigma : float
        After the last one; between them it changes in a straight line. None leaves it as it is.
    every : int
        After every how many steps the picture is blurred.

    Examples
    --------
    >>> [round(Blur(sigma=1.0, last_sigma=0.5, every=2).sigma_after(step, 5), 3) for step in range(5)]
    [0.0, 0.875, 0.0, 0.625, 0.0]
    """

    sigma: float = 0.5
    last_sigma: float | None = 0.25
    every: int = 1

    def __post_init__(self) -> None:
        check_counts(every=self.every)
        for name, sigma in (("sigma", self.sigma), ("last_sigma", self.last_sigma)):
            if sigma is not None and not 0 < sigma < float("inf"):
                raise QuestionError(f"{name}={sigma} must be over 0.", hint="Try 0.4 pixels.")

    def sigma_after(self, step: int, steps: int) -> float:
        """Give the standard deviation of the blur after a step, from 0; 0 where there is none."""
        if (step + 1) % self.every:
            return 0.0
        last = self.sigma if self.last_sigma is None else self.last_sigma
        return self.sigma + (last - self.sigma) * step / max(1, steps - 1)

    def describe(self) -> str:
        """Say it in words."""
        widths = f"{self.sigma:g}" + ("" if self.last_sigma is None else f" to {self.last_sigma:g}")
        return f"blurred by {widths} px after every {'step' if self.every == 1 else f'{self.every} steps'}"
