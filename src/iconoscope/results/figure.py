"""Figures that look alike: where they are made, and how their axes are dressed."""

from __future__ import annotations

import base64
import io
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["as_text", "bare_figure", "encoded", "picture_axes", "shown_figure", "shown_in_notebook"]

_WIDEST = 1600  # pixels of a figure in a notebook: no column is wider


def bare_figure(width: float, height: float) -> Figure:
    """Make a figure (inches) that pyplot does not know of, for saving."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="compressed")


def shown_figure(width: float, height: float) -> Figure:
    """Make a figure (inches) that pyplot knows of, so that a notebook or ``plt.show()`` shows it."""
    import matplotlib.pyplot as plt

    return plt.figure(figsize=(width, height), layout="compressed")


def encoded(figure: Figure, form: str) -> bytes:
    """Write a figure as png, pdf, svg, jpg or webp; the same figure is the same file."""
    import matplotlib as mpl

    buffer = io.BytesIO()
    # SVG and PDF would carry the date of drawing.
    undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(form)
    with mpl.rc_context({"svg.hashsalt": "iconoscope"}), warnings.catch_warnings():
        # A character that the font lacks is drawn as a box: no reason to warn of every figure.
        warnings.filterwarnings("ignore", "Glyph", UserWarning)
        figure.savefig(buffer, format=form, dpi=150, metadata=undated, bbox_inches="tight", pad_inches=0.1)
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


def picture_axes(axes: Axes, picture: Any, title: str, *, size: float = 9) -> Axes:
    """Show a picture on axes without ticks."""
    axes.imshow(picture, interpolation="nearest")
    axes.set_title(title, fontsize=size)
    axes.set_xticks([])
    axes.set_yticks([])
    return axes
