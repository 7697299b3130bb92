"""Attributions: the numbers that a gradient method gives to every pixel of one image."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from iconoscope.language import number, say, term
from iconoscope.results.figure import ColourTable, as_text, colour_bar, colour_table, picture_axes
from iconoscope.results.frame import Columns, repeated
from iconoscope.results.rendering import both_signs
from iconoscope.results.result import ImageResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

__all__ = ["FULL", "TABLE", "Attribution", "full_colour"]

TABLE = "RdBu_r"
"""Colours whose middle, white, is zero."""

FULL = 99.5
"""The percentile of a map's absolute values that is drawn in full colour: one pixel must not make all others pale."""


def full_colour(values: NDArray[Any]) -> float:
    """Give the absolute value of a map (height, width) that is drawn in full colour: the percentile `FULL`.

    >>> full_colour(np.array([[0.0, 0.0], [0.0, -2.0]])) > 1.9
    True
    """
    strengths = np.abs(values)
    percentile = float(np.percentile(strengths, FULL))
    return percentile if percentile > 0 else float(strengths.max())


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Attribution(ImageResult):
    """Attributions of a gradient method for every pixel of one image.

    Attributes
    ----------
    values : ndarray of float32, (height, width, channels)
        The number for every channel of every pixel of the network's input, with its sign; one channel where it
        weighs the maps of a layer.
    signed : bool
        Whether a value is a share of the answer, so that what is positive speaks for the unit and what is negative against
        it. A gradient is none: its sign says whether the pixel should be brighter or darker.
    clean : ndarray of float32, (outputs,)
        The answers to the photograph.
    target : int
        Which output was asked about.
    target_origin : str
        Why that one: ``"asked"``, ``"label"`` (the right class) or ``"prediction"`` (there is no label).
    names : tuple of str
        The outputs: the classes, or the channels of the layer.
    measure : str
        What the numbers are: ``"probability"``, ``"logit"``, ``"mean activation"``, ...
    picture : ndarray of uint8, (height, width, 3)
        The photograph as the network saw it.
    method : str
        Which method.
    baseline : str
        What the image was held against; empty where the method has no such thing.
    baseline_answer : float or None
        The target's answer to the baseline.
    convergence : float or None
        The method's own error, where it says one: the sum of its values less what the answer differs by.
    layer : str
        The layer whose maps were weighed; empty for methods without one.
    steps : int
        Points of the path or samples; 0 for methods without either.
    """

    kind: ClassVar[str] = "attribution"

    values: NDArray[np.float32]
    signed: bool
    clean: NDArray[np.float32]
    method: str
    baseline: str
    baseline_answer: float | None
    convergence: float | None
    layer: str
    steps: int

    @cached_property
    def map(self) -> NDArray[np.float32]:
        """A number for every pixel (height, width): the sum over channels; of gradients, that of their absolute values."""
        return (self.values if self.signed else np.abs(self.values)).sum(2)

    @property
    def completeness(self) -> float | None:
        """The sum of all values less what the answer differs by between baseline and photograph; None without a baseline.

        It is zero where the values are shares that add up, as the axiom of completeness asks (Sundararajan et al. 2017).
        """
        if self.baseline_answer is None:
            return None
        total = float(self.values.sum(dtype=np.float64))
        return total - (float(self.clean[self.target]) - self.baseline_answer)

    @cached_property
    def full_red(self) -> float:
        """The value that is laid over the picture in the strongest colour, as `full_colour` says."""
        return full_colour(self.map)

    @property
    def told(self) -> str:
        """The method with what it was told: its baseline, its layer."""
        more = [f"baseline {self.baseline}"] if self.baseline else []
        more += [f"layer {self.layer}"] if self.layer else []
        return ", ".join([self.method, *more])

    def summary(self) -> str:
        """Say in one sentence what was asked, and whether the values add up."""
        clean = float(self.clean[self.target])
        text = say(
            "{subject}: the {measure} of {name} is {clean:.3f}, by {method}",
            subject=self.question.subject_name,
            measure=term(self.measure),
            name=self.names[self.target],
            clean=clean,
            method=term(self.told),
        )
        if self.baseline_answer is None:
            return f"{text}."
        return text + say(
            ": it differs by {difference:.3f} from the baseline's {baseline:.3f}, and the values add up to {total:.3f}.",
            difference=clean - self.baseline_answer,
            baseline=self.baseline_answer,
            total=float(self.values.sum(dtype=np.float64)),
        )

    def to_json(self) -> dict[str, Any]:
        """Give the question, the answers to photograph and baseline, and whether the values add up; not the map."""
        row, column = np.unravel_index(int(self.map.argmax()), self.map.shape)
        return {
            **super().to_json(),
            "clean": float(self.clean[self.target]),
            "predicted": self.names[int(self.clean.argmax())],
            "method": self.method,
            "baseline": self.baseline or None,
            "baseline_answer": self.baseline_answer,
            "convergence": self.convergence,
            "completeness": self.completeness,
            "layer": self.layer or None,
            "steps": self.steps or None,
            "highest": {"row": int(row), "column": int(column), "value": float(self.map[row, column])},
        }

    def _table(self) -> Columns:
        rows, columns = (axis.ravel() for axis in np.indices(self.map.shape))
        method = repeated(self.map.size, method=self.method)
        return self._target_columns(self.map.size, **method, row=rows, column=columns, value=self.map.ravel())

    def overlaid(self) -> NDArray[np.uint8]:
        """Lay the map over the picture (height, width, 3): red speaks for the unit, blue against it."""
        full = self.full_red
        return both_signs(self.picture, self.map / full if full > 0 else np.zeros_like(self.map))

    def plot(self, ax: Axes | None = None, *, cmap: ColourTable = None, colorbar: bool = True) -> Axes:
        """Draw the photograph, the map and the map laid over the photograph, or on `ax` only the map.

        Red speaks for the unit, blue against it, white is nothing; the scale is the same on both sides.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; without it a new figure is made.
        cmap : str or matplotlib.colors.Colormap, optional
            The colours of the map; red and blue around white if not given, since its zero is in the
            middle.
        colorbar : bool
            Whether a colour bar stands beside it.

        Returns
        -------
        matplotlib.axes.Axes
            Of the map; ``.figure`` is the whole.
        """
        look: dict[str, Any] = {"cmap": cmap, "colorbar": colorbar}
        return self._shown(**look) if ax is None else self._heat_map(ax, **look)

    @property
    def _extent(self) -> tuple[float, float]:
        return 10.5, 3.9

    def _on(self, figure: Figure, *, cmap: ColourTable = None, colorbar: bool = True) -> Axes:
        photograph, heat, laid = figure.subplots(1, 3)
        picture_axes(photograph, self.picture, say("what the network saw"))
        self._heat_map(heat, cmap=cmap, colorbar=colorbar)
        picture_axes(laid, self.overlaid(), say("laid over the photograph"))
        figure.suptitle(as_text(f"{self.question.subject_name}: {term(self.told)}"), fontsize=10)
        return heat

    def limits(self) -> tuple[float, float]:
        """Give the range of the colours, the same on both sides of zero."""
        full = self.full_red or 1.0
        return -full, full

    def draw_map(self, axes: Axes, title: str, limits: tuple[float, float], *, cmap: ColourTable = None) -> AxesImage:
        """Draw the map in colours that go from one limit to the other."""
        low, high = limits
        picture_axes(axes, self.map, title, cmap=colour_table(cmap, TABLE), vmin=low, vmax=high)
        return axes.images[-1]

    def scale_label(self, *, ours: bool) -> str:
        """Say what the colours of the map are; `ours` is whether they are those that it has by itself."""
        if not self.signed:
            return say("size of the gradient, without its sign")
        return say("red: for, blue: against") if ours else say("above zero: for, below: against")

    def _heat_map(self, axes: Axes, *, cmap: ColourTable = None, colorbar: bool = True) -> Axes:
        clean = float(self.clean[self.target])
        answer = say("{measure} of {name}", measure=term(self.measure), name=as_text(self.names[self.target]))
        title = f"{answer}: {number(clean, '.3f')}"
        if self.completeness is not None and self.baseline_answer is not None:
            title += "\n" + say(
                "baseline {baseline:.3f}, values add up to {total:.3f}",
                baseline=self.baseline_answer,
                total=self.values.sum(dtype=np.float64),
            )
        coloured = self.draw_map(axes, title, self.limits(), cmap=cmap)
        if colorbar:
            colour_bar(axes, coloured, self.scale_label(ours=cmap is None), extend="both")
        return axes
