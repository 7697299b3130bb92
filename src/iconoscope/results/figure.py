"""Figures that look alike: where they are made, and how their axes are dressed."""

from __future__ import annotations

import base64
import io
import threading
from collections.abc import Callable, Sequence
from functools import cache
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from iconoscope.errors import QuestionError, nearest, printable, written
from iconoscope.language import current_language, say
from iconoscope.results.rendering import cell_edges
from iconoscope.warning_filters import ignoring

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure
    from matplotlib.ticker import Formatter

__all__ = [
    "RESOLUTION", "ColourTable", "as_text", "bare_figure", "colour_bar", "colour_table", "curve_axes", "encoded", "finish",
    "fit_text", "grid_axes", "localise_ticks", "picture_axes", "read_resolution", "shown_figure", "shown_in_notebook",
]  # fmt: skip

ColourTable = Any
"""A colour map: the name by which matplotlib knows it, a ``Colormap`` of it, or None for the usual."""

RESOLUTION = 150.0
"""Pixels to the inch of figures, where nobody said otherwise."""
_RESOLUTIONS = 10, 2400

_DRAWING = threading.Lock()
"""matplotlib's settings are the whole process's, so one thread at a time has ours."""
_WIDEST = 1600  # pixels of a figure in a notebook: no column is wider


def bare_figure(width: float, height: float) -> Figure:
    """Make a figure (inches) that pyplot does not know of, for saving."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="compressed")


def shown_figure(width: float, height: float) -> Figure:
    """Make a figure (inches) that pyplot knows of, so that a notebook or ``plt.show()`` shows it."""
    import matplotlib.pyplot as plt

    return plt.figure(figsize=(width, height), layout="compressed")


def read_resolution(dpi: float | None) -> float:
    """Read the pixels to the inch of a figure that is saved: what is given, else the user's ``savefig.dpi``, else `RESOLUTION`.

    Raises
    ------
    QuestionError
        If it is no number, or none that a figure can be written with.
    """
    import matplotlib as mpl

    if dpi is None:
        users = mpl.rcParams["savefig.dpi"]
        return RESOLUTION if users == "figure" else float(users)
    low, high = _RESOLUTIONS
    if isinstance(dpi, bool) or not isinstance(dpi, Real) or not low <= float(dpi) <= high:
        raise QuestionError(f"dpi={written(dpi)} must be {low} to {high}: pixels to the inch.")
    return float(dpi)


def colour_table(cmap: ColourTable, default: str | None = None) -> Colormap:
    """Read a colour map; without one give `default`, or the user's ``image.cmap`` where there is none.

    Maps whose zero is in the middle have a default of their own, which ``image.cmap`` does not change: most tables have no
    middle.

    Raises
    ------
    QuestionError
        If matplotlib has none of this name.
    """
    import matplotlib as mpl
    from matplotlib.colors import Colormap

    chosen = (default or mpl.rcParams["image.cmap"]) if cmap is None else cmap
    if isinstance(chosen, Colormap):
        return chosen
    if not isinstance(chosen, str) or chosen not in mpl.colormaps:
        names = [name for name in mpl.colormaps if not name.endswith("_r")]
        raise QuestionError(
            f"cmap={written(chosen)} is no colour map of matplotlib's.", hint=nearest(str(chosen), names)
        )
    return mpl.colormaps[chosen]


def fit_text(figure: Any) -> None:
    """Bring the letters of a figure to the user's ``font.size``.

    Ours have sizes that fit their panels at matplotlib's own default; where the user changed that, all go with it.
    """
    import matplotlib as mpl
    from matplotlib.text import Text

    times = mpl.rcParams["font.size"] / mpl.rcParamsDefault["font.size"]
    if times == 1:
        return
    of_ticks: set[int] = set()
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        given = axis.get_tick_params().get("labelsize")
        if given is not None:
            axis.set_tick_params(labelsize=given * times)
        ticks = (*axis.get_major_ticks(), *axis.get_minor_ticks())
        of_ticks |= {id(label) for tick in ticks for label in (tick.label1, tick.label2)} | {id(axis.get_offset_text())}
    for text in figure.findobj(Text):
        if id(text) not in of_ticks:
            text.set_fontsize(text.get_fontsize() * times)


def localise_ticks(axes: Axes) -> None:
    """Have the numbers at the ticks of axes written as the language writes them, also when they are drawn later."""
    from matplotlib.ticker import ScalarFormatter

    if current_language() == "en":
        return
    for axis in (axes.xaxis, axes.yaxis):
        plain = axis.get_major_formatter()
        if type(plain) is ScalarFormatter:  # others write powers of ten, or what somebody chose
            axis.set_major_formatter(_with_commas()(plain))


@cache
def _with_commas() -> Callable[[Formatter], Formatter]:
    """Give the class of formatters that write as a plain one, with the comma of Spanish; matplotlib is imported late."""
    from matplotlib.ticker import ScalarFormatter

    class WithCommas(ScalarFormatter):
        def __init__(self, plain: Formatter) -> None:
            vars(self).update(vars(plain))

        def __call__(self, x: float, pos: int | None = None) -> str:
            return super().__call__(x, pos).replace(".", ",")

        def get_offset(self) -> str:
            return super().get_offset().replace(".", ",")

    return WithCommas


def finish(figure: Figure) -> None:
    """Bring a whole figure into its last form: letters of the user's size, numbers of the language."""
    fit_text(figure)
    for axes in figure.axes:
        localise_ticks(axes)


def encoded(figure: Figure, form: str, *, dpi: float = RESOLUTION) -> bytes:
    """Write a figure as png, pdf, svg, jpg or webp; the same figure is the same file."""
    import matplotlib as mpl
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set_text(printable(text.get_text()))
    buffer = io.BytesIO()
    # SVG and PDF would carry the date of drawing.
    undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(form)
    # A character that the font lacks is drawn as a box: no reason to warn of every figure.
    with _DRAWING, ignoring("Glyph", UserWarning):
        salt = mpl.rcParams["svg.hashsalt"]
        try:
            mpl.rcParams["svg.hashsalt"] = "iconoscope"
            figure.savefig(buffer, format=form, dpi=dpi, metadata=undated, bbox_inches="tight", pad_inches=0.1)
        finally:
            mpl.rcParams["svg.hashsalt"] = salt
    return buffer.getvalue()


def shown_in_notebook(png: bytes) -> str:
    """Give a figure as a ``data:`` address for a notebook: no wider than it is shown, and as WebP where that halves it.

    A notebook is a file that is kept and sent: figures full of photographs would make it many times as large. Lines
    and letters stay as sharp as they are.
    """
    from PIL import Image

    picture = Image.open(io.BytesIO(png)).convert("RGB")
    if picture.width > _WIDEST:
        picture = picture.resize((_WIDEST, round(picture.height * _WIDEST / picture.width)), Image.Resampling.LANCZOS)
    files = {}
    for kind, settings in (("png", {"optimize": True}), ("webp", {"quality": 88})):
        buffer = io.BytesIO()
        picture.save(buffer, kind, **settings)
        files[kind] = buffer.getvalue()
    kind = "webp" if 2 * len(files["webp"]) < len(files["png"]) else "png"
    return f"data:image/{kind};base64,{base64.b64encode(files[kind]).decode()}"


def as_text(name: str) -> str:
    """Keep matplotlib from reading a name as a formula."""
    return name.replace("$", r"\$")


def picture_axes(axes: Axes, picture: Any, title: str, *, size: float = 9, **colours: Any) -> Axes:
    """Show a picture, or numbers in `colours` of matplotlib, on axes without ticks."""
    axes.imshow(picture, interpolation="nearest", **colours)
    axes.set_title(title, fontsize=size)
    axes.set_xticks([])
    axes.set_yticks([])
    return axes


def grid_axes(
    axes: Axes,
    values: NDArray[Any],
    starts: tuple[NDArray[np.int64], NDArray[np.int64]],
    patch: tuple[int, int],
    size: tuple[int, int],
    **colours: Any,
) -> tuple[QuadMesh, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Colour the positions of a patch on a picture, each around the centre of the patch.

    Parameters
    ----------
    values
        (grid rows, grid columns).
    starts
        First row and first column of the patch at each grid row and column, pixels.
    patch, size
        Height and width of the patch and of the picture, pixels.
    colours
        The scale, as matplotlib names it: vmin, vmax, cmap.

    Returns
    -------
    tuple
        What a colour bar is made of; and the middles of the cells, row by row and column by column, pixels.
    """
    rows, columns = (cell_edges(*axis) for axis in zip(starts, patch, size, strict=True))
    mesh = axes.pcolormesh(columns, rows, values, edgecolors="none", **colours)
    axes.set_aspect("equal")
    axes.set_xlim(-0.5, size[1] - 0.5)
    axes.set_ylim(size[0] - 0.5, -0.5)
    return mesh, ((rows[1:] + rows[:-1]) / 2, (columns[1:] + columns[:-1]) / 2)


def colour_bar(
    axes: Axes | Sequence[Axes],
    coloured: Any,
    label: str,
    *,
    clean: float | None = None,
    fontsize: int = 7,
    **form: Any,
) -> None:
    """Put a colour bar beside axes, with a red line at the answer with nothing covered if that is given."""
    beside = axes if isinstance(axes, Sequence) else [axes]
    bar = beside[0].figure.colorbar(coloured, ax=axes, fraction=0.046, pad=0.03, **form)
    if clean is not None:
        bar.ax.axhline(clean, color="red", linewidth=2)
    bar.ax.tick_params(labelsize=7)
    bar.set_label(label, fontsize=fontsize)
    localise_ticks(bar.ax)


def curve_axes(axes: Axes, limits: Sequence[tuple[float, float]], title: str, changed: str) -> None:
    """Dress axes on which answers are drawn against the share of the pixels that were changed.

    Parameters
    ----------
    limits
        The lowest and the highest answer of every curve.
    changed
        How they were changed.
    """
    low, high = min(low for low, _ in limits), max(high for _, high in limits)
    room = 0.03 * (high - low) or 0.01
    axes.set_xlim(0, 1)
    axes.set_ylim(low - room, high + room)
    axes.set_xlabel(say("share of the pixels {changed}", changed=changed), fontsize=8)
    axes.tick_params(labelsize=7)
    axes.set_title(title, fontsize=9)
    localise_ticks(axes)
