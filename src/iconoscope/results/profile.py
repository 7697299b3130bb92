"""Profiles: how often a network is right, against what images are like."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from iconoscope.errors import QuestionError
from iconoscope.language import number, say, term
from iconoscope.results.estimate import wilson_interval
from iconoscope.results.figure import as_text, localise_ticks
from iconoscope.results.frame import Columns
from iconoscope.results.result import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["PROPERTIES", "Profile"]

PROPERTIES: dict[str, tuple[str, str, str]] = {
    "brightness": ("0 black, 1 white", "dark", "bright"),
    "contrast": ("deviation of the brightness", "of low contrast", "of high contrast"),
    "saturation": ("distance from grey", "grey", "colourful"),
    "sharpness": ("log of fine over coarse detail", "blurred", "sharp"),
    "noise": ("deviation of the noise", "free of noise", "noisy"),
    "original size": ("shorter side, pixels", "small files", "large files"),
    "aspect": ("width over height", "tall", "wide"),
    "object size": ("longer side over the picture's shorter", "small objects", "large objects"),
    "object distance": ("from the middle; 1 is the border", "central objects", "objects at the border"),
    "object brightness": ("0 black, 1 white", "dark objects", "bright objects"),
    "object contrast": ("difference of brightness to what is around", "objects like their ground", "objects that stand out"),
    "object sharpness": ("log of fine over coarse detail", "blurred objects", "sharp objects"),
}  # fmt: skip
"""What is measured: its scale, and what images are like at its low and at its high end."""

_ACROSS = 4


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Profile(Result):
    """How often a network is right, against measured properties of images: where does it fail?

    Attributes
    ----------
    properties : tuple of str
        What was measured, keys of `PROPERTIES`.
    edges : ndarray of float64, (properties, bins + 1)
        Where the bins of each begin and end: quantiles. NaN beyond the last, where there are fewer.
    middles : ndarray of float64, (properties, bins)
        The median of the images in each bin.
    count, right : ndarray of int64, (properties, bins)
        Images in each bin, and how many of them are answered rightly.
    expected : ndarray of float64, (properties, bins)
        The accuracy that a bin would have if each image were answered as rightly as its class is: what its classes alone give.
    class_count, class_right : ndarray of int64, (properties, classes, bins)
        The same of each class, in the same bins.
    trend : ndarray of float64, (properties,)
        Within classes, how strongly being right goes with the property: above 0 the network is right more often where there is
        more of it. In standard deviations of chance.
    p_value : ndarray of float64, (properties,)
        Of the trend, adjusted for all properties (Benjamini and Hochberg 1995).
    class_trend, class_p_value : ndarray of float64, (properties, classes)
        Likewise within each class, adjusted for all classes and properties; NaN where a class has too few to tell.
    level : float
        Up to which adjusted p-value a trend counts.
    classes : tuple of str
        The network's classes.
    images, correct, unlabelled : int
        How many were looked at, how many of them are answered rightly, and how many more have no label.
    skipped : tuple of str
        Properties that say nothing here, with the reason.
    """

    kind: ClassVar[str] = "profile"

    properties: tuple[str, ...]
    edges: NDArray[np.float64]
    middles: NDArray[np.float64]
    count: NDArray[np.int64]
    right: NDArray[np.int64]
    expected: NDArray[np.float64]
    class_count: NDArray[np.int64]
    class_right: NDArray[np.int64]
    trend: NDArray[np.float64]
    p_value: NDArray[np.float64]
    class_trend: NDArray[np.float64]
    class_p_value: NDArray[np.float64]
    level: float
    classes: tuple[str, ...]
    images: int
    correct: int
    unlabelled: int
    skipped: tuple[str, ...]

    @property
    def accuracy(self) -> float:
        """The share of all images that are answered rightly."""
        return self.correct / self.images

    @property
    def failing(self) -> tuple[str, ...]:
        """The properties that accuracy goes with, beyond what classes explain and chance allows; the strongest first."""
        order = np.argsort(-np.abs(np.nan_to_num(self.trend)), kind="stable").tolist()
        return tuple(self.properties[index] for index in order if self.p_value[index] <= self.level)

    @property
    def failing_classes(self) -> tuple[tuple[str, str], ...]:
        """The pairs of a class and a property that goes with accuracy within it; the strongest first."""
        pairs = np.argwhere(self.class_p_value <= self.level).tolist()
        pairs.sort(key=lambda pair: -abs(self.class_trend[tuple(pair)]))
        return tuple((self.classes[of_class], self.properties[row]) for row, of_class in pairs)

    def weak_end(self, name: str) -> str:
        """Say in words where of a property the network is right less often: ``"dark"``.

        Raises
        ------
        QuestionError
            If it was not measured.
        """
        return PROPERTIES[name][1 if self.trend[self._row(name)] > 0 else 2]

    def summary(self) -> str:
        """Say in one sentence where the network fails."""
        text = say(
            "{network}, {subject}: accuracy {accuracy:.3f}",
            network=self.question.network,
            subject=self.question.subject_name,
            accuracy=self.accuracy,
        )
        if not self.failing:
            return text + say(
                "; of {count} properties none goes with it beyond what classes and chance explain.",
                count=len(self.properties),
            )
        weak = [f"{self._accuracy_at(name)} ({term(self.weak_end(name))})" for name in self.failing[:3]]
        more = say(" and {count} more", count=len(self.failing) - 3) if len(self.failing) > 3 else ""
        return text + say("; it is lower where images are {properties}{more}.", properties="; ".join(weak), more=more)

    def _accuracy_at(self, name: str) -> str:
        row = self._row(name)
        filled = np.flatnonzero(self.count[row])
        worst, best = filled[[0, -1] if self.trend[row] > 0 else [-1, 0]].tolist()
        shares = self.right[row] / np.maximum(self.count[row], 1)
        return say(
            "{property} {value:.3g}: {worst:.3f} against {best:.3f} at the other end",
            property=term(name),
            value=self.middles[row, worst],
            worst=shares[worst],
            best=shares[best],
        )

    def _row(self, name: str) -> int:
        if name not in self.properties:
            raise QuestionError(f"{name!r} was not measured.", hint=f"There are: {', '.join(self.properties)}.")
        return self.properties.index(name)

    def to_json(self) -> dict[str, Any]:
        """Give the question, the accuracy, and of every property its bins and its trend."""
        rows = [
            {
                "property": name,
                "trend": _finite(self.trend[row]),
                "p_value": _finite(self.p_value[row]),
                "bins": [
                    {
                        "low": float(self.edges[row, number]),
                        "high": float(self.edges[row, number + 1]),
                        "images": int(self.count[row, number]),
                        "right": int(self.right[row, number]),
                        "expected": _finite(self.expected[row, number]),
                    }
                    for number in np.flatnonzero(self.count[row]).tolist()
                ],
            }
            for row, name in enumerate(self.properties)
        ]
        classes = [{"class": of_class, "property": name} for of_class, name in self.failing_classes]
        stated = self._stated("images", "accuracy", "unlabelled", "level")
        return {**stated, "failing": list(self.failing), "failing_classes": classes, "properties": rows}

    def _table(self) -> Columns:
        groups = [("all images", None, self.count, self.right)]
        groups += [
            (name, index, self.class_count[:, index], self.class_right[:, index])
            for index, name in enumerate(self.classes)
            if self.class_count[:, index].any()
        ]
        rows = [
            (self.properties[row], name, index, number, row, int(count[row, number]), int(right[row, number]))
            for name, index, count, right in groups
            for row, number in np.argwhere(count > 0).tolist()
        ]
        properties, names, indices, bins, at, count, right = map(list, zip(*rows, strict=True))
        low, high = wilson_interval(np.array(right), np.array(count))
        return self._rows_of(
            len(rows),
            property=properties,
            group=names,
            class_index=indices,
            bin=bins,
            low=self.edges[at, bins],
            high=self.edges[at, np.array(bins) + 1],
            images=count,
            right=right,
            accuracy=np.array(right) / np.array(count),
            accuracy_low=low,
            accuracy_high=high,
        )

    def figure(self) -> bytes:
        """Give the whole figure, as PNG."""
        return self._figure("png")

    def plot(self, ax: Axes | None = None, *, of_class: str | None = None) -> Axes:
        """Draw the accuracy against every property with 95% intervals; on `ax` that which it goes with most alone.

        The line across is the accuracy of all images; the dashed one, what the classes in each bin alone would give. A title
        is red where the accuracy goes with the property.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; without it a new figure is made.
        of_class : str, optional
            Draw the images of this class alone.

        Returns
        -------
        matplotlib.axes.Axes
            Of the first property; ``.figure`` is the whole.
        """
        index = None if of_class is None else self._class_index(of_class)
        if ax is None:
            return self._shown(of_class=index)
        self._panel(ax, self._row(self.failing[0]) if self.failing else 0, index)
        return ax

    def _class_index(self, name: str) -> int:
        if name not in self.classes or not self.class_count[:, self.classes.index(name)].any():
            present = [of_class for index, of_class in enumerate(self.classes) if self.class_count[:, index].any()]
            raise QuestionError(f"There is no image of {name!r}.", hint=f"There are: {', '.join(present[:40])}.")
        return self.classes.index(name)

    @property
    def _layout(self) -> tuple[int, int]:
        columns = 3 if len(self.properties) in (5, 6, 9) else min(_ACROSS, len(self.properties))
        return math.ceil(len(self.properties) / columns), columns

    @property
    def _extent(self) -> tuple[float, float]:
        rows, columns = self._layout
        return 0.6 + 2.7 * max(2, columns), 1.1 + 2.5 * rows

    def _on(self, figure: Figure, *, of_class: int | None = None) -> Axes:
        panels = figure.subplots(*self._layout, squeeze=False, sharey=True).ravel()
        for row, axes in enumerate(panels[: len(self.properties)]):
            self._panel(axes, row, of_class)
        for axes in panels[len(self.properties) :]:
            axes.set_axis_off()
        for axes in panels[: len(self.properties) : self._layout[1]]:
            axes.set_ylabel(say("accuracy"), fontsize=8)
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=8, frameon=False)
        about = f"{self.question.network}, {self.question.subject_name}"
        if of_class is not None:
            about += say(", images of {name}", name=self.classes[of_class])
        figure.suptitle(as_text(say("{about}: where is it right?", about=about)), fontsize=9)
        return panels[0]

    def _panel(self, axes: Axes, row: int, of_class: int | None) -> None:
        count, right, p_value = self.count[row], self.right[row], self.p_value[row]
        overall = self.accuracy
        if of_class is not None:
            count, right = self.class_count[row, of_class], self.class_right[row, of_class]
            p_value, overall = self.class_p_value[row, of_class], float(right.sum() / max(1, count.sum()))
        filled = np.flatnonzero(count)
        shares = right[filled] / count[filled]
        low, high = wilson_interval(right[filled], count[filled])
        middles = self.middles[row, filled]
        axes.axhline(overall, color="#97a1ad", linewidth=1, label=say("all of these images"))
        if of_class is None:
            axes.plot(
                middles,
                self.expected[row, filled],
                "--",
                color="#c08a2e",
                linewidth=1,
                label=say("what the classes alone give"),
            )
        within = np.stack([shares - low, high - shares]).clip(0)
        axes.errorbar(
            middles, shares, within, fmt="o-", color="#1f6c9c", markersize=3, linewidth=1.2, elinewidth=1,
            label=say("right, with its 95% interval"),
        )  # fmt: skip
        name = self.properties[row]
        scale, weak, strong = PROPERTIES[name]
        fails = p_value <= self.level
        numbers = sorted({int(count[filled].min()), int(count[filled].max())})
        images = say(" to ").join(number(count, ",") for count in numbers)
        chance = say("too few to tell") if math.isnan(p_value) else f"p {number(p_value, '.2g')}"
        title = say("{property}: {chance}\n{images} images a point", property=term(name), chance=chance, images=images)
        axes.set_title(title, fontsize=8, color="#b3341f" if fails else "black")
        axes.set_xlabel(f"{term(scale)}\n← {term(weak)}    {term(strong)} →", fontsize=7)
        axes.tick_params(labelsize=7)
        localise_ticks(axes)


def _finite(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None
