"""Sheets of small maps side by side: what the channels of a layer answer to one image, and the filters of the first layer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from iconoscope.language import say
from iconoscope.results.figure import as_text, picture_axes
from iconoscope.results.frame import Columns, repeated
from iconoscope.results.rendering import colour, to_png
from iconoscope.results.result import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["ActivationSheet", "FilterSheet"]

_SMALLEST = 24  # pixels of a cell, so that a map of 7x7 can be seen
_MOST = 256  # cells that are drawn
_INCH = 0.62  # of a cell


def _mosaic(cells: NDArray[np.uint8], across: int, gap: int, above: int) -> NDArray[np.uint8]:
    """Lay pictures (n, height, width, 3) out in rows, white between them and above each."""
    count, height, width = cells.shape[:3]
    down = -(-count // across)
    sheet = np.full((down * (height + above), across * (width + gap) - gap, 3), 255, np.uint8)
    for index, cell in enumerate(cells):
        row, column = divmod(index, across)
        top, left = above + row * (height + above), column * (width + gap)
        sheet[top : top + height, left : left + width] = cell
    return sheet


def _enlarged(cells: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Enlarge small pictures by a whole number, so that their pixels stay squares."""
    times = max(1, -(-_SMALLEST // max(cells.shape[1:3])))
    return cells.repeat(times, 1).repeat(times, 2)


def _shortfall(count: int) -> str:
    """Say how many of `count` cells are drawn, if not all are."""
    return say(" (showing {drawn} of {count})", drawn=_MOST, count=count) if count > _MOST else ""


class _Sheet(Result):
    """Cells with numbers, and how they are drawn."""

    def _cells(self) -> tuple[NDArray[np.uint8], list[str]]:
        """Give the cells, (n, height, width, 3), and what is written over each."""
        raise NotImplementedError

    def _heading(self) -> str:
        raise NotImplementedError

    def figure(self) -> bytes:
        """Give the sheet with its numbers, as PNG."""
        return self._figure("png")

    @property
    def _layout(self) -> tuple[int, int]:
        count = len(self._cells()[1])
        across = max(1, math.ceil(math.sqrt(1.5 * count)))
        return -(-count // across), across

    def pictures(self) -> dict[str, bytes]:
        """Give the sheet without its numbers."""
        cells = _enlarged(self._cells()[0])
        gap = max(2, cells.shape[2] // 8)
        return {"picture.png": to_png(_mosaic(cells, self._layout[1], gap, gap))}

    def _sheet(self, axes: Axes) -> Axes:
        cells, names = self._cells()
        cells = _enlarged(cells)
        height, width = cells.shape[1:3]
        gap, above = round(0.12 * width), round(0.36 * height)
        across = self._layout[1]
        picture_axes(axes, _mosaic(cells, across, gap, above), "")
        for index, name in enumerate(names):
            row, column = divmod(index, across)
            at = (column * (width + gap), above + row * (height + above) - 0.06 * height)
            axes.text(*at, name, fontsize=7, va="bottom")
        axes.set_axis_off()
        return axes

    @property
    def _extent(self) -> tuple[float, float]:
        down, across = self._layout
        return max(5.0, _INCH * 1.12 * across), 0.7 + _INCH * 1.36 * down

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the sheet.

        Returns
        -------
        matplotlib.axes.Axes
            Of the sheet; ``.figure`` is the whole.
        """
        return self._shown() if ax is None else self._sheet(ax)

    def _on(self, figure: Figure) -> Axes:
        figure.suptitle(as_text(self._heading()), fontsize=8.5, wrap=True)
        return self._sheet(figure.subplots())


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ActivationSheet(_Sheet):
    """The answers of every channel of a layer to one image, the brightest first.

    Attributes
    ----------
    picture : ndarray of uint8, (height, width, 3)
        The image as the network saw it.
    maps : ndarray of float32, (channels, rows, columns)
        The maps, in order of `channels`.
    channels : ndarray of int64, (channels,)
        Their numbers: that with the greatest maximum first.
    """

    kind: ClassVar[str] = "activation_sheet"

    picture: NDArray[np.uint8]
    maps: NDArray[np.float32]
    channels: NDArray[np.int64]

    @property
    def silent(self) -> list[int]:
        """The channels that answer nothing to the image anywhere."""
        return self.channels[~self.maps.any((1, 2))].tolist()

    def summary(self) -> str:
        """Say which channels answer most, and how many answer nothing."""
        layer = self.question.unit
        best = ", ".join(f"{layer}:{channel}" for channel in self.channels[:3].tolist())
        text = say(
            "{subject}: of {count} channels of {layer} {channels} answer most, up to {maximum:.3g}",
            subject=self.question.subject_name,
            count=len(self.channels),
            layer=layer,
            channels=best,
            maximum=self.maps[0].max(),
        )
        return text + (say("; {count} answer nothing.", count=len(self.silent)) if self.silent else ".")

    def to_json(self) -> dict[str, Any]:
        """Give the question and the greatest answer of every channel."""
        return {
            **self._stated(),
            "layer": self.question.unit,
            "channels": [
                {"channel": int(channel), "maximum": float(map.max()), "mean": float(map.mean())}
                for channel, map in zip(self.channels, self.maps, strict=True)
            ],
        }

    def _table(self) -> Columns:
        answers = {"maximum": self.maps.max((1, 2)), "mean": self.maps.mean((1, 2))}
        layer = repeated(len(self.maps), layer=self.question.unit)
        return self._rows_of(len(self.maps), **layer, channel=self.channels, **answers)

    def _cells(self) -> tuple[NDArray[np.uint8], list[str]]:
        low, high = self._limits()
        cells = np.stack([colour(map, low=low, high=high, table="magma") for map in self.maps[:_MOST]])
        return cells, [str(channel) for channel in self.channels[:_MOST].tolist()]

    def _limits(self) -> tuple[float, float]:
        """Give what is drawn black and what white: a few very bright places would leave all others dark."""
        low = min(0.0, float(self.maps.min()))
        return low, max(float(np.percentile(self.maps, 99)), low + 1e-12)

    def _heading(self) -> str:
        (low, high), shortfall = self._limits(), _shortfall(len(self.maps))
        return say(
            "{network}, {layer}: the channels by number, brightest first{shortfall}; black {low:.3g}, white {high:.3g} and "
            "more",
            network=self.question.network,
            layer=self.question.unit,
            shortfall=shortfall,
            low=low,
            high=high,
        )

    @property
    def _extent(self) -> tuple[float, float]:
        down, across = self._layout
        return 2.6 + _INCH * 1.12 * across, max(2.8, 0.7 + _INCH * 1.36 * down)

    def _on(self, figure: Figure) -> Axes:
        # The usual layout shrinks the sheet to the height of the picture beside it.
        figure.set_layout_engine("constrained")
        figure.suptitle(as_text(self._heading()), fontsize=8.5, wrap=True)
        picture, sheet = figure.subplots(1, 2, width_ratios=(2.4, _INCH * 1.12 * self._layout[1]))
        picture_axes(picture, self.picture, as_text(self.question.subject_name))
        return self._sheet(sheet)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class FilterSheet(_Sheet):
    """The filters of the first convolution as pictures: what each looks for in the pixels.

    Attributes
    ----------
    filters : ndarray of float32, (filters, inputs, height, width)
        The weights. Of three inputs they are shown in colour, grey is zero; each is scaled by its own largest weight.
    """

    kind: ClassVar[str] = "filter_sheet"

    filters: NDArray[np.float32]

    def summary(self) -> str:
        """Say how many filters there are, and how many are as good as nothing."""
        count, inputs, height, width = self.filters.shape
        size = np.abs(self.filters).max((1, 2, 3))
        faint = int((size < 0.01 * size.max()).sum())
        text = say(
            "{layer} of {network}: {count} filters of {size} on {inputs} channels",
            layer=self.question.unit,
            network=self.question.network,
            count=count,
            size=f"{height}x{width}",
            inputs=inputs,
        )
        return text + (say("; {count} are near zero.", count=faint) if faint else ".")

    def to_json(self) -> dict[str, Any]:
        """Give the question and the largest weight of every filter."""
        return {
            **self._stated(),
            "layer": self.question.unit,
            "shape": list(self.filters.shape),
            "largest": np.abs(self.filters).max((1, 2, 3)).astype(float).tolist(),
        }

    def _table(self) -> Columns:
        count = len(self.filters)
        sizes = {"largest": np.abs(self.filters).max((1, 2, 3)), "mean": self.filters.mean((1, 2, 3))}
        return self._rows_of(count, **repeated(count, layer=self.question.unit), filter=np.arange(count), **sizes)

    def _cells(self) -> tuple[NDArray[np.uint8], list[str]]:
        drawn = self.filters[:_MOST]
        largest = np.maximum(np.abs(drawn).max((1, 2, 3), keepdims=True), 1e-12)
        scaled = 0.5 + drawn / (2 * largest)
        if scaled.shape[1] != 3:
            scaled = scaled.mean(1, keepdims=True).repeat(3, 1)
        cells = (scaled.transpose(0, 2, 3, 1) * 255).round().astype(np.uint8)
        return cells, [str(number) for number in range(len(drawn))]

    def _heading(self) -> str:
        shortfall = _shortfall(len(self.filters))
        return say(
            "{network}: the filters of {layer} by number{shortfall}; grey is zero",
            network=self.question.network,
            layer=self.question.unit,
            shortfall=shortfall,
        )
