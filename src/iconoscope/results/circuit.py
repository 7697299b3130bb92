"""What feeds a unit: the weights by which units before it drive it or hold it back, and what each adds on one image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from iconoscope.language import number, say, term
from iconoscope.results.figure import as_text, localise_ticks, picture_axes
from iconoscope.results.frame import Columns, repeated
from iconoscope.results.rendering import both_signs, enlarged_map, to_png
from iconoscope.results.result import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Circuit"]


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Circuit(Result):
    """A unit and what arrives at it: all inputs, and pictures of the strongest.

    On an image, the contributions of all inputs and the constant add up to the unit's value before its activation.

    Attributes
    ----------
    inputs : tuple of str
        The units that feed it, (inputs,); ``input:0`` is a channel of the picture itself. A text without a colon names what
        arrives and cannot be taken apart further.
    by : tuple of str
        The layer by whose weights each arrives, or that is added as it is; of what is unknown the function that made it,
        (inputs,).
    ways : tuple of str
        ``weights``, ``as it is`` (a shortcut) or ``unknown``, (inputs,).
    weights : ndarray of float32, (inputs,)
        The sum of each kernel, times what a batch norm behind it multiplies it by; 1 of what is added as it is.
    kernels : ndarray of float32, (inputs, rows, columns)
        The kernels with that factor; smaller ones in the middle of zeros.
    constant : float
        What is added whatever the image: biases, and the shifts of batch norms.
    order : ndarray of int64, (shown,)
        The strongest inputs, by their number, the strongest first: by contribution on an image, else by weight.
    made : ndarray of uint8, (1 + shown, height, width, 3), or None
        Pictures made for the unit and for these; grey where the input is the picture itself.
    picture : ndarray of uint8, (height, width, 3), or None
        The image.
    value : float, or None
        The unit's value on the image before its activation, in the mean over its map where no position is asked.
    answer : float, or None
        What the unit answers to the image, behind its activation, in the mean over its map where no position is asked; the same
        as `value` where it has none.
    contributions : ndarray of float64, (inputs,), or None
        What each input adds to that value.
    occluded : ndarray of float64, (shown,), or None
        By how much the value falls when the network is run with that input's map at zero for this layer: the check. NaN of what
        is added as it is.
    maps : ndarray of float32, (shown, rows, columns), or None
        What each of the strongest adds at every place of the unit's map.
    """

    kind: ClassVar[str] = "circuit"

    inputs: tuple[str, ...]
    by: tuple[str, ...]
    ways: tuple[str, ...]
    weights: NDArray[np.float32]
    kernels: NDArray[np.float32]
    constant: float
    order: NDArray[np.int64]
    made: NDArray[np.uint8] | None = None
    picture: NDArray[np.uint8] | None = None
    value: float | None = None
    answer: float | None = None
    contributions: NDArray[np.float64] | None = None
    occluded: NDArray[np.float64] | None = None
    maps: NDArray[np.float32] | None = None

    @property
    def unit(self) -> str:
        """The unit."""
        return self.question.unit

    @property
    def strengths(self) -> NDArray[np.floating[Any]]:
        """What the inputs are ordered by: their contributions on an image, else their weights, (inputs,)."""
        return self.weights if self.contributions is None else self.contributions

    def branches(self) -> list[tuple[str, str, int, float]]:
        """Give what arrives, branch by branch: by what, in which way, how many inputs, and what they add.

        Without an image the last is NaN.
        """
        added = np.full(len(self.inputs), np.nan) if self.contributions is None else self.contributions
        keys = list(zip(self.by, self.ways, strict=True))
        return [
            (by, way, keys.count((by, way)), float(sum(added[row] for row, key in enumerate(keys) if key == (by, way))))
            for by, way in dict.fromkeys(keys)
        ]

    def summary(self) -> str:
        """Say what feeds the unit most and, on an image, what adds up to its value."""
        strongest = ", ".join(
            f"{self.inputs[row]} ({number(self.strengths[row], '+.3g')})" for row in self.order[:4].tolist()
        )
        if self.contributions is None:
            text = say("{unit} is fed most by {inputs}, by weight", unit=self.unit, inputs=strongest)
        else:
            text = say(
                "{unit} is {value:.3g} on {subject}{before}: {constant:+.3g} whatever the image, and most of the rest from "
                "{inputs}",
                unit=self.unit,
                value=self.value,
                before=self._before_activation(),
                subject=self.question.subject_name,
                constant=self.constant,
                inputs=strongest,
            )
        added = [by for by, way, _, _ in self.branches() if way == "as it is"]
        text += say("; {names} is added as it is", names=", ".join(added)) if added else ""
        unknown = [by for by, way, _, _ in self.branches() if way == "unknown"]
        return text + (say("; {names} cannot be taken apart.", names=", ".join(unknown)) if unknown else ".")

    def _before_activation(self) -> str:
        """Say that the value is not what the unit answers, where an activation comes behind it."""
        if self.answer is None or self.answer == self.value:
            return ""
        return say(" before its activation, behind which it answers {answer:.3g}", answer=self.answer)

    def _table(self) -> Columns:
        count = len(self.inputs)
        contributions = np.full(count, np.nan) if self.contributions is None else self.contributions
        occluded = np.full(count, np.nan)
        if self.occluded is not None:
            occluded[self.order] = self.occluded
        arriving = {"input": self.inputs, "by": self.by, "way": self.ways, "weight": self.weights}
        return self._rows_of(
            count,
            **repeated(count, unit=self.unit),
            **arriving,
            contribution=contributions,
            fall_without=occluded,
        )

    def to_json(self) -> dict[str, Any]:
        """Give the question and, of every input, its weight and what it adds."""
        added = self.contributions
        return {
            **self._stated("constant"),
            "value": self.value,
            "answer": self.answer,
            "branches": [
                {"by": by, "way": way, "inputs": count, "adds": None if added is None else adds}
                for by, way, count, adds in self.branches()
            ],
            "inputs": [
                {
                    "unit": self.inputs[row],
                    "by": self.by[row],
                    "weight": float(self.weights[row]),
                    **({} if added is None else {"adds": float(added[row])}),
                }
                for row in np.argsort(-np.abs(self.strengths), kind="stable").tolist()
            ],
        }

    def figure(self) -> bytes:
        """Give the whole as PNG."""
        return self._figure("png")

    def pictures(self) -> dict[str, bytes]:
        """Give the picture made for the unit, if there is one, or else the image."""
        first = self.picture if self.made is None else self.made[0]
        return {} if first is None else {"picture.png": to_png(first)}

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the unit and what feeds it most, side by side; on `ax` only how strong these are.

        Returns
        -------
        matplotlib.axes.Axes
            Of the bars; ``.figure`` is the whole.
        """
        return self._shown() if ax is None else self._bars(ax)

    @property
    def _rows(self) -> list[str]:
        """The rows of pictures that there are."""
        spatial = self.kernels.shape[1] > 1
        rows = ["made"] if self.made is not None else []
        rows += ["kernel"] if spatial else []
        return rows + (["map"] if self.maps is not None else [])

    @property
    def _extent(self) -> tuple[float, float]:
        return 1.1 * (1 + max(4, len(self.order))) + 0.5, 2.3 + 1.2 * len(self._rows)

    def _on(self, figure: Figure) -> Axes:
        figure.set_layout_engine("constrained")
        rows, count = self._rows, len(self.order)
        grid = figure.add_gridspec(1 + len(rows), 1 + count, height_ratios=[1.3] + [1] * len(rows))
        bars = self._bars(figure.add_subplot(grid[0, 1:]))
        aside = figure.add_subplot(grid[0, 0])
        aside.set_axis_off()
        aside.text(0, 0.98, as_text(self._facts()), fontsize=7, va="top", transform=aside.transAxes)
        for row, name in enumerate(rows, 1):
            self._first(figure.add_subplot(grid[row, 0]), name)
            for column in range(count):
                axes = figure.add_subplot(grid[row, 1 + column])
                if name == "made" and self.made is not None:
                    picture_axes(axes, self.made[1 + column], "")
                elif name == "kernel":
                    weighted = [row for row in self.order.tolist() if self.ways[row] == "weights"]
                    largest = float(np.abs(self.kernels[weighted]).max(initial=0)) or 1.0
                    picture_axes(axes, self.kernels[self.order[column]], "", cmap="RdBu_r", vmin=-largest, vmax=largest)
                elif self.maps is not None:
                    picture_axes(axes, self._on_picture(self.maps[column], float(np.abs(self.maps).max())), "")
        title = say("{network}: what feeds {unit}", network=self.question.network, unit=self.unit)
        if self.picture is not None:
            title += say(" on {subject}", subject=self.question.subject_name)
        figure.suptitle(as_text(title), fontsize=9)
        return bars

    def _first(self, axes: Axes, name: str) -> None:
        """Draw the picture at the head of a row: of the unit itself, or the image."""
        if name == "made" and self.made is not None:
            picture_axes(axes, self.made[0], as_text(self.unit), size=7)
        elif name == "map" and self.picture is not None:
            picture_axes(axes, self.picture, say("what each adds, where"), size=7)
        else:
            axes.set_axis_off()
            axes.text(1, 0.5, say("its weights:\nred drives, blue\nholds back"), fontsize=7, ha="right", va="center")

    def _on_picture(self, added: NDArray[np.float32], largest: float) -> NDArray[np.uint8]:
        """Lay what is added over the image, red where it drives and blue where it holds back."""
        picture = self.picture if self.picture is not None else np.full((*added.shape, 3), 200, np.uint8)
        share = enlarged_map(added / (largest or 1.0), (len(picture), len(picture[0])))
        return both_signs(picture, share)

    def _bars(self, axes: Axes) -> Axes:
        strengths = self.strengths[self.order]
        places = np.arange(len(self.order))
        axes.bar(places, strengths, color=["#b2182b" if value > 0 else "#2166ac" for value in strengths], width=0.7)
        if self.occluded is not None:
            axes.plot(
                places, self.occluded, "o", color="black", markersize=3, label=say("falls by, when it is occluded")
            )
            axes.legend(fontsize=6, loc="best", frameon=False)
        axes.axhline(0, color="black", linewidth=0.6)
        axes.set_xlim(-0.5, len(self.order) - 0.5)
        names = [self.inputs[row].replace(":", "\n:") for row in self.order.tolist()]
        axes.set_xticks(places, [as_text(name) for name in names], fontsize=6.5)
        axes.tick_params(axis="y", labelsize=6.5)
        title = say("what each adds") if self.contributions is not None else say("sum of its weights")
        axes.set_title(title, fontsize=8)
        localise_ticks(axes)
        return axes

    def _facts(self) -> str:
        """Write the sum: what it is, and what every branch adds."""
        if self.contributions is None:
            lines = [
                say("{by}: {count} inputs", by=by, count=count) if way == "weights" else f"{by}: {term(way)}"
                for by, way, count, _ in self.branches()
            ]
            return "\n".join([say("arrives by"), *lines, say("constant {constant:+.3g}", constant=self.constant)])
        lines = [
            f"{number(adds, '+.3g')} {by}{'' if way == 'weights' else f', {term(way)}'}"
            for by, way, _, adds in self.branches()
        ]
        constant = say("{constant:+.3g} constant", constant=self.constant)
        head = say("value {value:.3g} is", value=self.value)
        if self._before_activation():
            head = say(
                "it answers {answer:.3g};\nbefore its activation {value:.3g} is", answer=self.answer, value=self.value
            )
        return "\n".join([head, *lines, constant])
