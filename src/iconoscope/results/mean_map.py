"""Mean maps of a whole set of images covered region by region, one for every class."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from iconoscope.errors import QuestionError
from iconoscope.language import in_language, say
from iconoscope.results.figure import ColourTable, as_text, colour_bar, colour_table, grid_axes
from iconoscope.results.frame import Columns
from iconoscope.results.result import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh
    from matplotlib.figure import Figure

__all__ = ["TABLE", "MeanMap"]

TABLE = "RdBu_r"
"""The colours of a mean drop: red where the answer falls, white where nothing happens, blue where it rises."""

LEAST_RANGE = 0.05
"""The colours reach at least this drop, so that rounding is not painted."""

_SHOWN = 16  # panels of a figure, at most


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class MeanMap(Result):
    """The drop of the right class's probability at every position of the patch, over all images and over those of each class.

    Groups are all images together and then the classes: the first axis of every array has 1 + classes entries.

    Attributes
    ----------
    top, left : ndarray of int64, (grid rows,) and (grid columns,)
        First row and column of the patch at each grid row and column, pixels of the network's input.
    patch, size : tuple of int
        Height and width of the patch and of the network's input, pixels.
    classes : tuple of str
        The classes that were asked about, in the network's order: an image's label or, if it has none, what is predicted.
    count : ndarray of int64, (groups,)
        Images.
    unlabelled : int
        How many of them were asked about the predicted class.
    clean : ndarray of float64, (groups,)
        Mean probability with nothing covered.
    changed : ndarray of float64, (groups,)
        Share of the images whose answer, the most probable class, is another one with the patch at some position.
    mean, deviation : ndarray of float64, (groups, grid rows, grid columns)
        Mean and standard deviation, over the images, of the drop: clean minus occluded probability.
    minima : ndarray of int64, (groups, grid rows, grid columns)
        For how many images the probability is lowest there.
    """

    kind: ClassVar[str] = "mean_map"

    top: NDArray[np.int64]
    left: NDArray[np.int64]
    patch: tuple[int, int]
    size: tuple[int, int]
    classes: tuple[str, ...]
    count: NDArray[np.int64]
    unlabelled: int
    clean: NDArray[np.float64]
    changed: NDArray[np.float64]
    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]
    minima: NDArray[np.int64]

    def group(self, name: str | None = None) -> int:
        """Give the place of a class on the first axis; without a name, of all images together.

        Raises
        ------
        QuestionError
            If no image was asked about that class.
        """
        if name is None:
            return 0
        if name not in self.classes:
            raise QuestionError(f"No image was asked about {name!r}.", hint=f"There are: {', '.join(self.classes)}.")
        return 1 + self.classes.index(name)

    @cached_property
    def limit(self) -> float:
        """The mean drop of the strongest red, its negative of the strongest blue: the same for all groups."""
        return max(LEAST_RANGE, float(np.abs(self.mean).max()))

    def worst(self, group: int = 0) -> tuple[int, int]:
        """Give the grid row and grid column where the mean drop of a group is largest."""
        row, column = np.unravel_index(int(self.mean[group].argmax()), self.mean[group].shape)
        return int(row), int(column)

    def shown(self, most: int = _SHOWN) -> list[int]:
        """Give the groups in order of their images, all images first; a single class is the same as all images."""
        order = 1 + np.argsort(-self.count[1:], kind="stable")
        return [0, *order.tolist()][1 if len(self.classes) == 1 else 0 :][:most]

    def name(self, group: int) -> str:
        """Name a group for a person."""
        return say("all images") if group == 0 else self.classes[group - 1]

    def summary(self) -> str:
        """Say in one sentence what a patch costs on average, and where."""
        row, column = self.worst()
        return say(
            "{subject}: the probability of the right class is {clean:.3f} on average; a {patch} patch costs most, {most:.3f}, "
            "at row {row}, column {column}, and somewhere changes the answer of {changed:.0%} of {count} images.",
            subject=self.question.subject_name,
            clean=self.clean[0],
            patch=f"{self.patch[0]}x{self.patch[1]}",
            most=self.mean[0, row, column],
            row=self.top[row],
            column=self.left[column],
            changed=self.changed[0],
            count=self.count[0],
        )

    def to_json(self) -> dict[str, Any]:
        """Give the findings of every group, with its mean map."""
        return {
            **self._stated(),
            "images": int(self.count[0]),
            "unlabelled": self.unlabelled,
            "patch": list(self.patch),
            "top": self.top.tolist(),
            "left": self.left.tolist(),
            "all": self._values(0),
            "classes": [{"class": name, **self._values(1 + index)} for index, name in enumerate(self.classes)],
        }

    def _table(self) -> Columns:
        groups, rows, columns = (axis.ravel() for axis in np.indices(self.mean.shape))
        with in_language("en"):
            names = [self.name(group) for group in groups.tolist()]
        places = {"row": rows, "column": columns, "top": self.top[rows], "left": self.left[columns]}
        means = {"mean_drop": self.mean.ravel(), "deviation": self.deviation.ravel()}
        return self._rows_of(len(groups), group=names, images=self.count[groups], **places, **means)

    def _values(self, group: int) -> dict[str, Any]:
        row, column = self.worst(group)
        return {
            "images": int(self.count[group]),
            "clean": float(self.clean[group]),
            "changed": float(self.changed[group]),
            "worst": {
                "top": int(self.top[row]),
                "left": int(self.left[column]),
                "mean": float(self.mean[group, row, column]),
                "deviation": float(self.deviation[group, row, column]),
            },
            "mean": np.round(self.mean[group], 6).tolist(),
        }

    def plot(self, ax: Axes | None = None, *, cmap: ColourTable = None, colorbar: bool = True) -> Axes:
        """Draw the mean drop of all images and of each class in one scale of colours, or on `ax` only that of all images.

        At most sixteen groups are drawn, those with the most images first; the title says if there are more.

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
            Of the first map; ``.figure`` is the whole.
        """
        if ax is None:
            return self._shown(cmap=cmap, colorbar=colorbar)
        mesh = self._panel(ax, 0, cmap)
        if colorbar:
            colour_bar(ax, mesh, self._scale_label(cmap))
        return ax

    @property
    def _layout(self) -> tuple[int, int]:
        count = len(self.shown())
        columns = min(4, count)
        return -(-count // columns), columns

    @property
    def _extent(self) -> tuple[float, float]:
        rows, columns = self._layout
        return 1.2 + 2.3 * max(2, columns), 0.7 + 2.75 * rows

    def _on(self, figure: Figure, *, cmap: ColourTable = None, colorbar: bool = True) -> Axes:
        panels = figure.subplots(*self._layout, squeeze=False).ravel()
        groups = self.shown()
        meshes = [self._panel(axes, group, cmap) for axes, group in zip(panels, groups, strict=False)]
        for axes in panels[len(groups) :]:
            axes.set_axis_off()
        if colorbar:
            colour_bar(list(panels), meshes[0], self._scale_label(cmap), fontsize=8, aspect=30)
        left_out = 1 + len(self.classes) - (len(self.classes) == 1) - len(groups)
        patch = say("patch {size}", size=f"{self.patch[0]}x{self.patch[1]}")
        title = f"{self.question.network}, {self.question.subject_name}, {patch}"
        if left_out:
            title += say(" ({count} classes with fewer images are not drawn)", count=left_out)
        figure.suptitle(as_text(title) + "\n" + say("x: where it falls most on average"), fontsize=9)
        return panels[0]

    @staticmethod
    def _scale_label(cmap: ColourTable) -> str:
        ours = "\n" + say("(red: it falls; blue: it rises)") if cmap is None else ""
        return say("mean drop of the probability of the right class") + ours

    def _panel(self, axes: Axes, group: int, cmap: ColourTable) -> QuadMesh:
        colours = {"vmin": -self.limit, "vmax": self.limit, "cmap": colour_table(cmap, TABLE)}
        mesh, (rows, columns) = grid_axes(
            axes, self.mean[group], (self.top, self.left), self.patch, self.size, **colours
        )
        row, column = self.worst(group)
        if self.mean[group, row, column] >= LEAST_RANGE:
            for ink, wide in (("white", 3.5), ("black", 1.5)):
                axes.plot(columns[column], rows[row], "x", color=ink, markersize=7, markeredgewidth=wide)
        axes.set_xticks([])
        axes.set_yticks([])
        figures = say(
            "clean {clean:.2f}, largest {largest:.2f}, changed {changed:.0%}",
            clean=self.clean[group],
            largest=self.mean[group, row, column],
            changed=self.changed[group],
        )
        axes.set_title(f"{as_text(self.name(group))} ({self.count[group]})\n{figures}", fontsize=8)
        return mesh
