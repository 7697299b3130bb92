"""Figures that look alike: where they are made, and how their axes are dressed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["as_text", "bare_figure", "picture_axes", "shown_figure"]


def bare_figure(width: float, height: float) -> Figure:
    """Make a figure (inches) that pyplot does not know of, for saving."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="compressed")


def shown_figure(width: float, height: float) -> Figure:
    """Make a figure (inches) that pyplot knows of, so that a notebook or ``plt.show()`` shows it."""
    import matplotlib.pyplot as plt

    return plt.figure(figsize=(width, height), layout="compressed")


def as_text(name: str) -> str:
    """Keep matplotlib from reading a name as a formula."""
    return name.replace("$", r"\$")


def picture_axes(axes: Axes, picture: Any, title: str) -> Axes:
    """Show a picture on axes without ticks."""
    axes.imshow(picture, interpolation="nearest")
    axes.set_title(title, fontsize=9)
    axes.set_xticks([])
    axes.set_yticks([])
    return axes
