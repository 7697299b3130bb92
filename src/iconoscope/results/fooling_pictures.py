"""Pictures that a network answers with a class which nobody sees in them, and what is left of that on another look."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from iconoscope.errors import QuestionError
from iconoscope.language import number, say, term
from iconoscope.results.figure import as_text, picture_axes
from iconoscope.results.folders import without_folders
from iconoscope.results.frame import Columns, repeated
from iconoscope.results.rendering import amplified, rgb, to_png
from iconoscope.results.result import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["FoolingPictures"]

_ABOUT = {
    "photograph": "the photograph",
    "linf": "least change of any value",
    "l2": "least change in all",
    "noise": "noise",
    "robust": "moved about while made",
}
"""What each picture is, for a person."""

_AS_ASKED, _OTHERWISE = "#fbd9b5", "#eef1f3"
"""The colours of an answer that is the class asked for, and of another."""


_NARROW = 10
"""Letters of a name that have room in a cell of the table beside a probability."""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class FoolingPictures(Result):
    """Pictures that are answered with a class that was asked for.

    Attributes
    ----------
    names : tuple of str
        What the pictures are, (pictures,): ``photograph`` as the network saw it; ``linf`` and ``l2``, the photograph with the
        smallest change that was found, by the largest change of any value and by the length of the whole change; ``noise``;
        ``robust``, which was moved about while it was made.
    images : ndarray of float32, (pictures, height, width, channels)
        The pictures, 0..1.
    target : str
        The class that was asked for.
    probability : float
        How probable it had to be at least.
    looks : tuple of str
        The ways in which each was looked at, (looks,): ``as it is``, ``in 8 bits``, ``as JPEG``, ``blurred``, and ``judge``.
    answer : ndarray of str, (pictures, looks)
        The most probable class.
    answer_probability, target_probability : ndarray of float32, (pictures, looks)
        The probability of that, and of the class that was asked for.
    linf, l2 : ndarray of float32, (pictures,)
        The largest change of any value of 0..1, and the length of the change (the root of the sum of all squares), from the
        photograph or from noise; NaN for the photograph and for what was moved about.
    judge : str
        The name of the second network; empty if there was none.
    """

    kind: ClassVar[str] = "fooling_pictures"

    names: tuple[str, ...]
    images: NDArray[np.float32]
    target: str
    probability: float
    looks: tuple[str, ...]
    answer: NDArray[np.str_]
    answer_probability: NDArray[np.float32]
    target_probability: NDArray[np.float32]
    linf: NDArray[np.float32]
    l2: NDArray[np.float32]
    judge: str = ""

    def __len__(self) -> int:
        return len(self.names)

    def index(self, name: str) -> int:
        """Give the place of a picture by its name.

        Raises
        ------
        QuestionError
            If it was not made.
        """
        if name not in self.names:
            raise QuestionError(f"There is no picture {name!r}.", hint=f"There are: {', '.join(self.names)}.")
        return self.names.index(name)

    @property
    def reached(self) -> NDArray[np.bool_]:
        """Which pictures are answered with the class, as they are (pictures,)."""
        return self.answer[:, 0] == self.target

    def change(self, name: str) -> NDArray[np.float32]:
        """Give what was changed in the photograph (height, width, channels), for ``linf`` or ``l2``."""
        return self.images[self.index(name)] - self.images[self.index("photograph")]

    def summary(self) -> str:
        """Say how little it took, and what is answered on another look."""
        if "photograph" not in self.names:
            row = self.index("noise")
            return say(
                "Noise that {network} answers {answer} with {probability:.3f}; {looks}.",
                network=self.question.network,
                answer=self.answer[row, 0],
                probability=self.answer_probability[row, 0],
                looks=self._on_other_looks(row),
            )
        first, row = self.index("photograph"), self.index("linf")
        begun = (
            f"{self.question.subject_name}, {self.answer[first, 0]} {number(self.answer_probability[first, 0], '.3f')}"
        )
        if not self.reached[row]:
            return say(
                "{begun}: no change of up to half of the scale was found after which it is answered {target}.",
                begun=begun,
                target=self.target,
            )
        return say(
            "{begun}: answered {target} ({probability:.3f}) where every value is changed by at most {change:.2g} of 255; "
            "{looks}.",
            begun=begun,
            target=self.target,
            probability=self.target_probability[row, 0],
            change=255 * self.linf[row],
            looks=self._on_other_looks(row),
        )

    def _on_other_looks(self, row: int) -> str:
        return ", ".join(
            f"{self._look(look)} {self.answer[row, look]} {number(self.answer_probability[row, look], '.2f')}"
            for look in range(1, len(self.looks))
        )

    def _look(self, look: int) -> str:
        if self.looks[look] == "judge":
            return say("to {judge}", judge=without_folders(self.judge))
        return term(self.looks[look])

    def _table(self) -> Columns:
        pictures, looks = self.answer.shape
        return self._rows_of(
            pictures * looks,
            picture=np.repeat(self.names, looks),
            look=self.looks * pictures,
            **repeated(pictures * looks, target=self.target),
            target_probability=self.target_probability.ravel(),
            answer=self.answer.ravel(),
            answer_probability=self.answer_probability.ravel(),
            linf=np.repeat(self.linf, looks),
            l2=np.repeat(self.l2, looks),
        )

    def to_json(self) -> dict[str, Any]:
        """Give the question, and for every picture what changed and what is answered to it."""
        rows = [
            {
                "picture": name,
                "linf": None if np.isnan(self.linf[row]) else float(self.linf[row]),
                "l2": None if np.isnan(self.l2[row]) else float(self.l2[row]),
                "answers": [
                    {
                        "look": look,
                        "answer": str(self.answer[row, column]),
                        "probability": float(self.answer_probability[row, column]),
                        "target_probability": float(self.target_probability[row, column]),
                    }
                    for column, look in enumerate(self.looks)
                ],
            }
            for row, name in enumerate(self.names)
        ]
        return {**self._stated("target", "probability", "judge"), "pictures": rows}

    def bytes_of(self, name: str) -> NDArray[np.uint8]:
        """Give a picture as 0..255, (height, width, 3)."""
        return rgb(self.images[self.index(name)])

    def pictures(self) -> dict[str, bytes]:
        """Give every picture under its name."""
        return {f"{name}.png": to_png(self.bytes_of(name)) for name in self.names}

    def figure(self) -> bytes:
        """Give the whole figure as PNG."""
        return self._figure("png")

    @property
    def _extent(self) -> tuple[float, float]:
        table = 0.75 + 0.36 * len(self)
        return (9.6, 2.5 * self._has_photograph + max(table, 2.4 * ("noise" in self.names)) + 0.4)

    @property
    def _has_photograph(self) -> bool:
        return "photograph" in self.names

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the photograph, what was changed and what became of it, what stands beside, and all answers.

        On `ax` the first picture is drawn alone.

        Returns
        -------
        matplotlib.axes.Axes
            Of the first picture, or `ax`; ``.figure`` is the whole.
        """
        return self._shown() if ax is None else self._picture(ax, self.names[0])

    def _on(self, figure: Figure) -> Axes:
        title = say(
            "{network}: pictures that it is to answer {target}", network=self.question.network, target=self.target
        )
        figure.suptitle(as_text(title), fontsize=9)
        beside = [name for name in ("noise", "robust") if name in self.names]
        table_height = max(0.75 + 0.36 * len(self), 2.4 * bool(beside))
        first: Axes | None = None
        # One grid within another and no subfigures, of which `.figure` would be one and not the whole.
        rows = figure.add_gridspec(
            1 + self._has_photograph, 1, height_ratios=[2.5, table_height][-1 - self._has_photograph :]
        )
        if self._has_photograph:
            first = self._draw_photographs(rows[0].subgridspec(1, 5).subplots())
        below = rows[-1].subgridspec(1, len(beside) + 1, width_ratios=[1.0] * len(beside) + [3.0])
        panels = below.subplots(squeeze=False)[0]
        for axes, name in zip(panels, beside, strict=False):
            self._picture(axes, name)
        self._draw_answers(panels[-1])
        return first or panels[0]

    def _draw_photographs(self, panels: Any) -> Axes:
        """Draw the photograph, and for both measures the change, enlarged, and the photograph with it."""
        self._picture(panels[0], "photograph")
        for index, name in ((1, "linf"), (3, "l2")):
            picture, factor = amplified(self.change(name))
            picture_axes(panels[index], picture, say("the change") + (f", x{factor}" if factor > 1 else ""), size=8)
            self._picture(panels[index + 1], name)
        return panels[0]

    def _picture(self, axes: Axes, name: str) -> Axes:
        row = self.index(name)
        picture_axes(axes, self.bytes_of(name), term(_ABOUT[name]), size=8)
        size = {
            "linf": "\n" + say("by at most {change:.2g} of 255", change=255 * self.linf[row]),
            "l2": "\n" + say("length of the change {length:.2g}", length=self.l2[row]),
        }
        probability = number(self.answer_probability[row, 0], ".3f")
        answer = f"{_short(str(self.answer[row, 0]))} {probability}{size.get(name, '')}"
        axes.set_xlabel(as_text(answer), fontsize=7)
        return axes

    def _draw_answers(self, axes: Axes) -> None:
        """Draw a table of what is answered to each picture on every look."""
        axes.set_xlim(-1.35, len(self.looks))
        axes.set_ylim(len(self) - 0.02, -0.75)
        axes.set_axis_off()
        for column, look in enumerate(self.looks):
            heading = _short(without_folders(self.judge), 14) if look == "judge" else term(look)
            axes.text(column + 0.5, -0.3, as_text(heading), fontsize=7.5, ha="center", va="center")
        between = "\n" if max(map(len, self.answer.ravel())) > _NARROW else " "
        for row, name in enumerate(self.names):
            axes.text(-0.06, row + 0.5, term(_ABOUT[name]), fontsize=7.5, ha="right", va="center")
            for column in range(len(self.looks)):
                is_target = self.answer[row, column] == self.target
                axes.add_patch(_cell(column, row, _AS_ASKED if is_target else _OTHERWISE))
                answer = _short(str(self.answer[row, column]), 14)
                text = f"{answer}{between}{number(self.answer_probability[row, column], '.2f')}"
                axes.text(column + 0.5, row + 0.5, as_text(text), fontsize=7.5, ha="center", va="center")


def _cell(column: int, row: int, ink: str) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((column + 0.02, row + 0.06), 0.96, 0.88, facecolor=ink, edgecolor="none")


def _short(name: str, most: int = 22) -> str:
    return name if len(name) <= most else f"{name[: most - 2]}.."
