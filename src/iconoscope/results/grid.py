"""Maps of several results side by side, in one scale of colours."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from iconoscope.errors import QuestionError, written
from iconoscope.language import say, term
from iconoscope.results.attribution import Attribution
from iconoscope.results.figure import ColourTable, as_text, colour_bar, colour_table, picture_axes
from iconoscope.results.frame import Columns, stacked
from iconoscope.results.occlusion import Occlusion
from iconoscope.results.occlusion_series import OcclusionSeries
from iconoscope.results.result import FIGURES, Finding, Result, check_figure_name
from iconoscope.signatures import checked

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["ResultGrid", "grid"]

MOST = 64
"""Maps of one grid at the most: more are too small to be read."""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ResultGrid(Finding):
    """Maps of several results side by side, in one scale of colours.

    Attributes
    ----------
    results : tuple of Occlusion or of Attribution
        In their order.
    titles : tuple of str
        One for each.
    columns : int
        How many stand in a row.
    cmap : str or Colormap
        The colours, None for those that the results have by themselves.
    """

    results: tuple[Any, ...]
    titles: tuple[str, ...]
    columns: int
    cmap: ColourTable = None

    @property
    def limits(self) -> tuple[float, float]:
        """The range of the colours that all maps share."""
        limits = [result.limits() for result in self.results]
        return min(low for low, _ in limits), max(high for _, high in limits)

    @property
    def one_picture(self) -> bool:
        """Whether all are about the same photograph, so that it is drawn once."""
        first = self.results[0].picture
        return all(np.array_equal(first, result.picture) for result in self.results)

    def summary(self) -> str:
        """Say what the maps are of, and their scale."""
        low, high = self.limits
        titles = "; ".join(term(title.replace("\n", ", ")) for title in self.titles)
        return say(
            "{count} maps in one scale, {low:.3g} to {high:.3g}: {titles}.",
            count=len(self.results),
            low=low,
            high=high,
            titles=titles,
        )

    def to_json(self) -> dict[str, Any]:
        """Give the scale and every result."""
        return {
            "kind": "grid",
            "limits": list(self.limits),
            "titles": list(self.titles),
            "results": [result.to_json() for result in self.results],
        }

    def _table(self) -> Columns:
        tables = [result._table() for result in self.results]
        titles = [title for title, table in zip(self.titles, tables, strict=True) for _ in table["row"]]
        return {"title": titles, **stacked(tables)}

    def plot(self, *, cmap: ColourTable = None, colorbar: bool = True) -> list[Axes]:
        """Draw the maps with one colour bar; of one photograph that comes first, of several each stands over its map.

        Parameters
        ----------
        cmap : str or matplotlib.colors.Colormap, optional
            The colours, in place of those that the grid was made with.
        colorbar : bool
            Whether the colour bar is drawn.

        Returns
        -------
        list of matplotlib.axes.Axes
            Of the maps; ``.figure`` is the whole.
        """
        return self._shown(cmap=cmap, colorbar=colorbar)

    @property
    def _layout(self) -> tuple[int, int]:
        """Rows and columns of panels."""
        count = len(self.results) + self.one_picture
        columns = min(self.columns + self.one_picture, count)
        return math.ceil(count / columns) * (1 if self.one_picture else 2), columns

    @property
    def _extent(self) -> tuple[float, float]:
        rows, columns = self._layout
        height, width = self.results[0].picture.shape[:2]
        lines = max(title.count("\n") + 1 for title in self.titles)
        return 1.3 + 2.5 * max(2, columns), 0.4 + rows * (2.5 * min(1.6, max(0.5, height / width)) + 0.18 * lines)

    def _on(self, figure: Figure, *, cmap: ColourTable = None, colorbar: bool = True) -> list[Axes]:
        rows, columns = self._layout
        panels = figure.subplots(rows, columns, squeeze=False)
        for axes in panels.ravel():
            axes.set_axis_off()
        chosen = self.cmap if cmap is None else cmap
        if self.one_picture:
            picture_axes(panels[0, 0], self.results[0].picture, say("what the network saw")).set_axis_on()
            maps = list(panels.ravel()[1 : len(self.results) + 1])
        else:
            above, below = panels[0::2].ravel(), panels[1::2].ravel()
            maps = list(below[: len(self.results)])
            for axes, result in zip(above, self.results, strict=False):
                picture_axes(axes, result.picture, as_text(_wrapped(result.question.subject_name))).set_axis_on()
        coloured = None
        for axes, result, title in zip(maps, self.results, self.titles, strict=True):
            axes.set_axis_on()
            # The photograph above has its name already.
            omitted = None if self.one_picture else result.question.subject_name
            lines = [term(line) for line in title.split("\n") if line != omitted]
            coloured = result.draw_map(axes, as_text(_wrapped("\n".join(lines))), self.limits, cmap=chosen)
            axes.set(xlabel="", ylabel="", xticks=[], yticks=[])
        if colorbar:
            colour_bar(maps, coloured, self.results[0].scale_label(ours=chosen is None), fontsize=8, aspect=30)
        return maps

    def _keep(self, folder: Path) -> Path:
        raise QuestionError(
            f"A grid is a figure, and {folder.name} would be a folder.",
            hint=f"Give a name that ends in {', '.join(FIGURES)}; each of its results is saved by itself.",
        )


@checked
def grid(
    results: Sequence[Any],
    *,
    titles: Sequence[str] | None = None,
    columns: int | None = None,
    cmap: Any = None,
    out: str | Path | None = None,
) -> ResultGrid:
    """Put the maps of several results side by side in one scale of colours: one image by several fills, networks or methods.

    What is the same colour is the same number in all of them, so they can be compared by eye.

    Parameters
    ----------
    results
        Occlusions, or attributions by one method; all with one measure. An `OcclusionSeries` stands for all that is in it.
    titles
        One for each. If not given, each is called by what distinguishes it: network, image, class, method, patch, fill.
    columns
        How many maps stand in a row; if not given, up to four.
    cmap
        The colours: a colour map of matplotlib's or its name. If not given, those of the results.
    out
        Where to write the figure: a name ending in .png, .pdf, .svg, .jpg or .webp.

    Returns
    -------
    ResultGrid
        With ``.plot()`` and ``.save("grid.png")``; a notebook shows it.

    Raises
    ------
    QuestionError
        If there is none, or they have no common scale.

    Examples
    --------
    >>> import iconoscope as ico
    >>> net, images = ico.load_network("cars", device="cpu"), ico.demo_images(count=2)
    >>> side_by_side = ico.grid([ico.occlude(net, images[0], fill=fill, patch=32) for fill in ("zero", "mean")])
    >>> side_by_side.titles, side_by_side.limits
    (('fill zero', 'fill mean'), (0.0, 1.0))
    """
    check_figure_name(out)
    flat = [
        part for result in results for part in (result.results if isinstance(result, OcclusionSeries) else [result])
    ]
    _check_scale(flat)
    if titles is not None and len(titles) != len(flat):
        raise QuestionError(f"There are {len(flat)} results and {len(titles)} titles.", hint="Give one for each.")
    if columns is not None and columns < 1:
        raise QuestionError(f"columns={columns} must be 1 or more.")
    if cmap is not None:
        colour_table(cmap)
    result_grid = ResultGrid(
        results=tuple(flat),
        titles=tuple(titles) if titles is not None else _titles(flat),
        columns=columns or min(4, len(flat)),
        cmap=cmap,
    )
    if out is not None:
        result_grid.save(out)
    return result_grid


def _check_scale(results: Sequence[Any]) -> None:
    """Refuse results whose numbers cannot be compared."""
    if not 1 <= len(results) <= MOST:
        raise QuestionError(f"A grid has 1 to {MOST} results; there are {len(results)}.")
    for result in results:
        if not isinstance(result, Occlusion | Attribution):
            raise QuestionError(
                f"{written(result)} has no map of one image.",
                hint="Give what occlude or attribute gave; other results are drawn by their own plot().",
            )
    first = results[0]
    for result in results[1:]:
        if type(result) is not type(first) or result.measure != first.measure:
            raise QuestionError(
                f"A map of the {first.measure} ({first.kind}) and one of the {result.measure} ({result.kind}) have no "
                "common scale.",
                hint="Make a grid of each kind and measure.",
            )
        if isinstance(first, Attribution) and result.method != first.method:
            raise QuestionError(
                f"Numbers of {first.method} and of {result.method} have no common unit.",
                hint="Make a grid of each method; faithfulness compares methods.",
            )


def _titles(results: Sequence[Result]) -> tuple[str, ...]:
    """Call every result by what distinguishes it from others; by its number where nothing does."""
    traits = [_traits(result) for result in results]
    names = [name for name in traits[0] if len({one[name] for one in traits}) > 1]
    texts = ["\n".join(_said(name, one[name]) for name in names) for one in traits]
    return tuple(text or str(number) for number, text in enumerate(texts, 1))


def _traits(result: Any) -> dict[str, str]:
    shared = {
        "network": result.question.network,
        "image": result.question.subject_name,
        "target": result.names[result.target],
    }
    if isinstance(result, Occlusion):
        shown = "kept" if result.kept else "covered"
        patch = {"patch": f"{result.patch[0]}x{result.patch[1]}", "what the patch is": shown, "fill": result.fill}
        return {**shared, **patch, "engine": result.method}
    return {**shared, "method": result.told}


def _said(name: str, value: str) -> str:
    return f"{name} {value}" if name in ("patch", "fill") else value


def _wrapped(title: str) -> str:
    return "\n".join(line for part in title.split("\n") for line in textwrap.wrap(part, 34) or [""])
