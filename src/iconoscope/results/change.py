"""The figure of a photograph that was changed: what became of it, the difference, and as what both are classified."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from iconoscope.language import number, say
from iconoscope.results.figure import as_text, picture_axes
from iconoscope.results.folders import without_folders
from iconoscope.results.rendering import amplified, rgb

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "CHANGES_SHOWN", "Change", "change_extent", "draw_change", "draw_changes", "draw_course", "draw_nearest",
    "probability_bars",
]  # fmt: skip

CHANGES_SHOWN = 6
"""Photographs and what became of them that stand beside each other in one figure; of more, what became of them alone."""

BEFORE, AFTER = "#a9b4bb", "#2a78a5"
"""The colours of what was before and of what is after."""


class Change(Protocol):
    """The part of a `Visualization` that is drawn here."""

    @property
    def images(self) -> NDArray[np.float32]:
        """The pictures."""
        ...

    @property
    def units(self) -> tuple[str, ...]:
        """What each was asked for."""
        ...

    @property
    def objective(self) -> NDArray[np.float32]:
        """The answers at every step."""
        ...

    @property
    def neighbours(self) -> NDArray[np.uint8] | None:
        """The real images that are nearest."""
        ...

    @property
    def neighbour_distance(self) -> NDArray[np.float32] | None:
        """How far they are."""
        ...

    @property
    def start(self) -> str:
        """What the pictures began as, in words."""
        ...

    @property
    def start_images(self) -> NDArray[np.float32] | None:
        """The photographs."""
        ...

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes."""
        ...

    @property
    def asked_class(self) -> NDArray[np.int64] | None:
        """The class that was asked for."""
        ...

    @property
    def start_probabilities(self) -> NDArray[np.float32] | None:
        """As what the photographs are classified."""
        ...

    @property
    def probabilities(self) -> NDArray[np.float32] | None:
        """As what the pictures are."""
        ...

    @property
    def is_moved(self) -> bool:
        """Whether pictures were moved about."""
        ...

    def gradient_picture(self, index: int) -> NDArray[np.uint8]:
        """Give the last gradient as a picture."""
        ...


def change_extent(change: Change) -> tuple[float, float]:
    """Give width and height of the figure, inches."""
    return (9.2, 5.1) if len(change.images) == 1 else (8.4, 0.4 + 2.35 * len(change.images))


def draw_change(figure: Figure, change: Change) -> Axes:
    """Draw one photograph and what became of it: above the pictures, below probabilities and the course of the objective."""
    # One grid within another and no subfigures, of which `.figure` would be one and not the whole.
    above, below = figure.add_gridspec(2, 1, height_ratios=(1.15, 1))
    axes = above.subgridspec(1, 4).subplots(squeeze=False)[0]
    _draw_row(axes, change, 0, titles=(without_folders(change.start), change.units[0]))
    classified = change.probabilities is not None
    ratios = [1.0] * (change.neighbours is not None) + [1.3] * classified + [1.3]
    panels = list(below.subgridspec(1, len(ratios), width_ratios=ratios).subplots(squeeze=False).ravel())
    if change.neighbours is not None:
        draw_nearest(panels.pop(0), change)
    if change.start_probabilities is not None and change.probabilities is not None:
        asked_class = -1 if change.asked_class is None else int(change.asked_class[0])
        probability_bars(
            panels.pop(0), change.classes, change.start_probabilities[0], change.probabilities[0], asked_class
        )
    draw_course(panels[0], change)
    return axes[1]


def draw_changes(figure: Figure, change: Change) -> Axes:
    """Draw several photographs and what became of them, one in a row."""
    grid = figure.subplots(len(change.images), 4, squeeze=False)
    for index, row in enumerate(grid):
        _draw_row(
            row, change, index, titles=(_answer(change, index, before=True), _answer(change, index, before=False))
        )
    return grid[0][1]


def _draw_row(axes: Sequence[Axes], change: Change, index: int, *, titles: tuple[str, str]) -> None:
    """Draw photograph, picture, difference and gradient."""
    assert change.start_images is not None
    photograph, picture = change.start_images[index], change.images[index]
    difference, factor = amplified(picture - photograph)
    enlarged = f" x{factor}" if factor > 1 else ""
    picture_axes(axes[0], rgb(photograph), as_text(_short(titles[0])), size=8)
    picture_axes(axes[1], rgb(picture), as_text(_short(titles[1])), size=8)
    picture_axes(axes[2], difference, say("difference") + enlarged, size=8)
    picture_axes(axes[3], change.gradient_picture(index), say("gradient of the last step"), size=8)


def _short(title: str, most: int = 28) -> str:
    return title if len(title) <= most else f"{title[: most - 2]}.."


def _answer(change: Change, index: int, *, before: bool) -> str:
    """Say as what a photograph or a picture is classified; without classes, what it is."""
    probabilities = change.start_probabilities if before else change.probabilities
    if probabilities is None:
        return say("before") if before else change.units[index]
    best = int(probabilities[index].argmax())
    return f"{change.classes[best]} {number(probabilities[index, best], '.3f')}"


def probability_bars(
    axes: Axes, classes: Sequence[str], before: NDArray[np.float32], after: NDArray[np.float32], asked: int
) -> None:
    """Draw probabilities before and after: of what is answered before, of what was asked for, and of what is answered after."""
    answers = [int(before.argmax()), *([asked] if asked >= 0 else []), int(after.argmax())]
    chosen = [*dict.fromkeys(answers)]
    places = np.arange(len(chosen))
    for values, shift, ink, label in (
        (before, -0.19, BEFORE, say("before")),
        (after, 0.19, AFTER, say("after")),
    ):
        axes.barh(places + shift, values[chosen], 0.36, color=ink, label=label)
        for row, value in zip(places, values[chosen], strict=True):
            axes.text(min(float(value), 1.0) + 0.015, row + shift, number(value, ".3f"), fontsize=7, va="center")
    names = [_short(classes[index], 20) for index in chosen]
    axes.set_yticks(places, [as_text(name) for name in names], fontsize=8)
    axes.set_ylim(len(chosen) - 0.45, -0.55)
    axes.set_xlim(0, 1.16)
    axes.set_xticks([0, 0.5, 1])
    axes.tick_params(labelsize=7, axis="x")
    axes.set_title(say("probability before and after"), fontsize=9)
    axes.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=2, frameon=False)


def draw_course(axes: Axes, change: Change) -> None:
    """Draw what the unit answered at every step."""
    axes.plot(np.arange(1, change.objective.shape[1] + 1), change.objective[0], color=AFTER, linewidth=1)
    axes.set_xlabel(say("step"), fontsize=8)
    axes.set_title(
        say("what it answers while it is moved") if change.is_moved else say("what it answers at every step"),
        fontsize=9,
    )
    axes.tick_params(labelsize=7)
    axes.yaxis.get_offset_text().set_fontsize(7)  # a power of ten, which lies beside the title


def draw_nearest(axes: Axes, change: Change) -> None:
    """Draw the real image that is nearest to the first picture."""
    assert change.neighbours is not None
    title = say("nearest real image")
    if change.neighbour_distance is not None:
        title += say(", at {distance:.2f}", distance=change.neighbour_distance[0])
    picture_axes(axes, rgb(change.neighbours[0, 0]), title)
