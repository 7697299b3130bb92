"""Styles of pictures: a parameterization, transforms, regularizers, colours, limits and an optimiser, put together."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from iconoscope.errors import QuestionError, check_choice
from iconoscope.optimization.blur import Blur
from iconoscope.optimization.canvas import IMAGENET, LIMITS
from iconoscope.optimization.parameterization import Fourier, Parameterization, Pixels
from iconoscope.optimization.regularizers import Frequency, OutOfRange, Regularizer, TotalVariation
from iconoscope.optimization.transforms import Transforms

__all__ = ["STYLES", "Style", "read_style"]

LARGE = 100
"""Pixels of the short side from which on pictures are moved further, as what is seen in them is larger."""

STEPS = 128, 256
"""Numbers of steps that suit small pictures, and large ones, if their parameterization says nothing else."""


def suitable_steps(parameterization: Parameterization | type[Parameterization], size: tuple[int, int]) -> int:
    """Give the number of steps that suits a parameterization, or all of a class, for pictures of a size."""
    return getattr(parameterization, "STEPS", STEPS)[min(size) >= LARGE]


@dataclass(frozen=True, kw_only=True, eq=False)
class Style:
    """All that decides what a picture will look like, but what it is asked for.

    Attributes
    ----------
    parameterization : Parameterization
        How pictures are written down.
    transforms : Transforms, "auto" or None
        How they are moved before the network sees them; "auto" is what suits their size; None leaves them as they are.
    regularizers : tuple of Regularizer
        What they are charged for.
    colours : ndarray, "plain" or None
        (channels, channels) a root of the covariance of colours, as `square_root` gives it; "plain": every channel by itself;
        None: that of ImageNet for three channels, else plain ones.
    limits : str
        A key of `LIMITS`: how colours are kept in 0..1.
    rate : float or None
        Step size of Adam; None: what suits the parameterization.
    fade : float or None
        What share of it is left at the last step, 0..1; None: what suits the parameterization.
    blur : Blur or None
        How pictures are blurred after a step; of `Pixels` alone.
    """

    parameterization: Parameterization = field(default_factory=Fourier)
    transforms: Transforms | str | None = "auto"
    regularizers: tuple[Regularizer, ...] = ()
    colours: NDArray[np.float64] | Literal["plain"] | None = None
    limits: str = "sigmoid"
    rate: float | None = None
    fade: float | None = None
    blur: Blur | None = None

    def __post_init__(self) -> None:
        check_choice("limits", self.limits, LIMITS)
        if isinstance(self.transforms, str) and self.transforms != "auto":
            raise QuestionError(
                f"transforms={self.transforms!r} is not a choice.", hint="Give Transforms(), auto or None."
            )
        if self.rate is not None and not 0 < self.rate < float("inf"):
            raise QuestionError(f"rate={self.rate} must be over 0.")
        if self.fade is not None and not 0 < self.fade <= 1:
            raise QuestionError(f"fade={self.fade} must be over 0 and at most 1.")
        if self.blur is not None and not isinstance(self.parameterization, Pixels):
            raise QuestionError(
                f"A blur after every step is one of pixels, and pictures are written down as "
                f"{type(self.parameterization).__name__}.",
                hint="Give parameterization=Pixels(), or regularizers=(Frequency(50),), which works with all.",
            )

    def fitted(self, size: tuple[int, int], channels: int) -> Style:
        """Give the style with nothing left open, for pictures of a size."""
        large = min(size) >= LARGE
        transforms = Transforms(jitter=8 if large else 4) if isinstance(self.transforms, str) else self.transforms
        colours = IMAGENET if self.colours is None and channels == 3 else self.colours
        if colours is None or isinstance(colours, str):
            colours = np.eye(channels)
        charges = self.regularizers
        charged = getattr(self.parameterization, "keeps_limits", False) or any(
            isinstance(charge, OutOfRange) for charge in charges
        )
        if self.limits == "penalty" and not charged:
            charges = (*charges, OutOfRange())
        rate = self.parameterization.rate if self.rate is None else self.rate
        fade = getattr(self.parameterization, "FADE", 1.0) if self.fade is None else self.fade
        return replace(self, transforms=transforms, colours=colours, regularizers=charges, rate=rate, fade=fade)

    def steps_for(self, size: tuple[int, int]) -> int:
        """Give the number of steps that suits the parameterization, for pictures of a size."""
        return suitable_steps(self.parameterization, size)

    @property
    def joint(self) -> bool:
        """Whether a picture is charged for what its neighbours are like."""
        return any(getattr(charge, "joint", False) for charge in self.regularizers)

    def to_json(self) -> dict[str, Any]:
        """Give the settings as plain values; of arrays a digest."""
        settings = {field.name: _plainly(getattr(self, field.name)) for field in fields(self)}
        if self.blur is None:  # as it was before there was one: what a store has is found again
            del settings["blur"]
        return settings

    def check_storable(self) -> None:
        """Refuse a store where a part of the style is a class of the user's own whose settings cannot be told apart."""
        for part in (self.parameterization, *self.regularizers):
            if not is_dataclass(part):
                raise QuestionError(
                    f"{type(part).__name__} does not say its settings, so a store cannot tell one from another.",
                    hint="Make it a dataclass, or ask without a store.",
                )

    def describe(self) -> str:
        """Say in a line what pictures are made with."""
        parts = [type(self.parameterization).__name__]
        if isinstance(self.transforms, Transforms):
            moved = self.transforms
            parts.append(
                f"moved by {moved.jitter:g} px, {moved.rotation:g} degrees and x{moved.scale[0]:g} to {moved.scale[1]:g}"
                + (", flipped" if moved.flip else "")
                + (f", noise {moved.noise:g}" if moved.noise else "")
            )
        else:
            parts.append("not moved")
        parts += [] if self.blur is None else [self.blur.describe()]
        parts += [f"{type(charge).__name__} {getattr(charge, 'weight', 1):g}" for charge in self.regularizers]
        return "; ".join(parts)


def _plainly(value: Any) -> Any:
    if hasattr(value, "to_json"):
        return value.to_json()
    if isinstance(value, np.ndarray):
        return f"{value.shape} {hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()[:16]}"
    if is_dataclass(value) and not isinstance(value, type):
        settings = {field.name: _plainly(getattr(value, field.name)) for field in fields(value)}
        return {"kind": type(value).__name__, **settings}
    if isinstance(value, list | tuple):
        return [_plainly(entry) for entry in value]
    if callable(value):
        return f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', type(value).__qualname__)}"
    return value


STYLES: dict[str, Style] = {
    "default": Style(),
    "none": Style(parameterization=Pixels(), transforms=None, colours="plain"),
    "blur": Style(parameterization=Pixels(), transforms=None, colours="plain", blur=Blur()),
    "frequency": Style(
        parameterization=Pixels(),
        transforms=None,
        colours="plain",
        regularizers=(TotalVariation(5.0), Frequency(50.0)),
    ),
    "robust": Style(parameterization=Pixels(), colours="plain"),
    "preconditioned": Style(transforms=None),
    "all": Style(regularizers=(TotalVariation(1.0),)),
}
"""Styles by name. ``none`` to ``all`` are the field's comparison: no regularisation, a blur after every step (Yosinski et al.
2015), a frequency penalty, transformation robustness, preconditioning, and all but the blur (Olah, Mordvintsev and Schubert
2017)."""


def read_style(style: Style | str) -> Style:
    """Read a style, or the name of one."""
    if isinstance(style, Style):
        return style
    check_choice("style", style, STYLES)
    return STYLES[style]
