"""The pictures of one unit in several styles."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from iconoscope.errors import QuestionError, nearest
from iconoscope.language import listed, number, say, term
from iconoscope.results.figure import as_text, picture_axes
from iconoscope.results.folders import without_folders
from iconoscope.results.result import Result, Series
from iconoscope.results.visualization import Visualization

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["StyleComparison"]

_ABOUT = {
    "none": "plain pixels",
    "blur": "blurred after every step",
    "frequency": "high frequencies cost",
    "robust": "moved about",
    "preconditioned": "along the spectrum, colours apart",
    "all": "spectrum, moved, high frequencies cost",
    "default": "spectrum, moved",
    "prior": "along a learned prior",
}
"""What each style does, in a few words."""


@dataclass(frozen=True, eq=False, repr=False)
class StyleComparison(Series):
    """The pictures of one unit in several styles, from the same seed.

    Attributes
    ----------
    results : tuple of Visualization
        One for each style, with as many pictures each. Where a class was asked for, `own_probability` and `judge_probability`
        of each say how probable the network and the judge hold that class for its pictures.

    Raises
    ------
    QuestionError
        If there is none, or they are not about the same.
    """

    kind: ClassVar[str] = "style_comparison"
    results: tuple[Visualization, ...]

    _of: ClassVar[type[Result]] = Visualization
    _alike: ClassVar[Mapping[str, Callable[[Visualization], Any]]] = {
        "the weights of the network": attrgetter("question.weights"),
        "the unit": attrgetter("units"),
        "what they began as": attrgetter("start"),
        "their judge": attrgetter("judge"),
    }

    def __post_init__(self) -> None:
        if not self.results:
            raise QuestionError("There is no style to compare.")
        for other, traits in self._unlike():
            raise QuestionError(
                f"The pictures of {self.results[0].style_name} and {other.style_name} differ in {traits}.",
                hint="Compare styles on one unit of one network.",
            )

    @property
    def names(self) -> list[str]:
        """The styles, as they were asked for, or what they are made of; of two the same, with their numbers."""
        names = [visualization.style_name or visualization.style for visualization in self.results]
        return names if len(set(names)) == len(names) else [f"{name} ({n})" for n, name in enumerate(names, 1)]

    def __getitem__(self, name: str) -> Visualization:
        """Give the pictures of a style by its name.

        Raises
        ------
        QuestionError
            If none was made in that style.
        """
        if name not in self.names:
            raise QuestionError(f"No picture was made in the style {name!r}.", hint=nearest(name, self.names))
        return self.results[self.names.index(name)]

    def summary(self) -> str:
        """Say what each style comes to: by the judge where there is one, else by the answer to the pictures moved about."""
        first = self.results[0]
        if first.judge_probability is not None:
            said = "judge_probability"
            by = say("by the probability that the judge {judge} gives their pictures", judge=first.judge)
        else:
            said, by = "moved_activation", say("by the answer to their pictures moved about")
        means = [
            f"{name} {number(np.mean(getattr(each, said)), '.3g')}"
            for name, each in zip(self.names, self.results, strict=True)
        ]
        styles = say("{count} styles", count=len(means)) if len(means) > 1 else say("1 style")
        return say(
            "{unit} of {network} in {styles}, {by}: {means}.",
            unit=first.units[0],
            network=first.question.network,
            styles=styles,
            by=by,
            means=listed(means),
        )

    def to_json(self) -> dict[str, Any]:
        """Give for every style its answers, and all that its pictures give."""
        rows = [
            {
                "style": name,
                "activation": _mean(visualization.activation),
                "moved_activation": _mean(visualization.moved_activation),
                "own_probability": _mean(visualization.own_probability),
                "judge_probability": _mean(visualization.judge_probability),
            }
            for name, visualization in zip(self.names, self.results, strict=True)
        ]
        results = [visualization.to_json() for visualization in self.results]
        return {"kind": self.kind, "judge": self.results[0].judge, "styles": rows, "results": results}

    def plot(self) -> list[Axes]:
        """Draw a column for each style, with as many rows as there are pictures of each.

        Returns
        -------
        list of matplotlib.axes.Axes
            The first row; ``.figure`` is the whole.
        """
        return self._shown()

    @property
    def _extent(self) -> tuple[float, float]:
        return max(3.4, 1.75 * len(self.results)), 2.3 * len(self.results[0]) + 0.85

    def _on(self, figure: Figure) -> list[Axes]:
        first = self.results[0]
        title = say(
            "{network}: {unit}, from {start}",
            network=first.question.network,
            unit=first.units[0],
            start=term(without_folders(first.start)),
        )
        figure.suptitle(as_text(title), fontsize=9)
        panels = figure.subplots(len(first), len(self.results), squeeze=False)
        for column, (name, visualization) in enumerate(zip(self.names, self.results, strict=True)):
            for row in range(len(first)):
                axes = picture_axes(panels[row, column], visualization.bytes_of(row), "")
                axes.set_xlabel(self._answers(visualization, row), fontsize=7)
            panels[0, column].set_title(as_text(_heading(name, visualization)), fontsize=8)
        return list(panels[0])

    def _answers(self, visualization: Visualization, row: int) -> str:
        """Say what a picture is answered, and with which probabilities."""
        moved = visualization.moved_activation[row]
        answer = say("answer {value:.3g}", value=visualization.activation[row])
        lines = [answer + (say(", moved {value:.3g}", value=moved) if np.isfinite(moved) else "")]
        if visualization.own_probability is not None:
            lines.append(say("probability {value:.3f}", value=visualization.own_probability[row]))
        if visualization.judge_probability is not None:
            judge, probability = _shortened(visualization.judge), visualization.judge_probability[row]
            lines.append(as_text(say("{judge} says {probability:.3f}", judge=judge, probability=probability)))
        return "\n".join(lines)

    def _keep(self, folder: Path) -> Path:
        return self._keep_under([f"{number}-{name}" for number, name in enumerate(self.names, 1)], folder)


def _heading(name: str, visualization: Visualization) -> str:
    about = term(visualization.prior.partition(":")[0] if name == "prior" else _ABOUT.get(name, ""))
    lines = [*textwrap.wrap(name, 26)[:3], *textwrap.wrap(about, 26)]
    return "\n".join(lines)


def _shortened(name: str) -> str:
    return without_folders(name) if len(name) <= 18 else f"{without_folders(name)[:16]}.."


def _mean(values: NDArray[np.float32] | None) -> float | None:
    return None if values is None or not np.isfinite(values).all() else float(values.mean())
