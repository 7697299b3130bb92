"""Pictures that a layer answers as it does a photograph: what of the photograph is left there."""

from __future__ import annotations

import math
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from iconoscope.errors import QuestionError
from iconoscope.language import listed, number, say, term
from iconoscope.results.figure import as_text, picture_axes
from iconoscope.results.folders import without_folders
from iconoscope.results.frame import Columns
from iconoscope.results.rendering import rgb, to_png
from iconoscope.results.result import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Inversion"]

_IN_A_LINE = 7
"""Layers beside the photograph, at most."""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Inversion(Result):
    """Pictures made so that layers answer them as they do a photograph.

    Attributes
    ----------
    layers : tuple of str
        The layers, in the order in which they were asked for, (layers,).
    photograph : ndarray of float32, (height, width, channels)
        The photograph as the network saw it, 0..1.
    images : ndarray of float32, (layers, count, height, width, channels)
        The pictures, 0..1: `count` of each layer, from different starts.
    distance : ndarray of float32, (layers, count)
        Squared distance of a layer's answer to the picture from that to the photograph, over the square of the latter: 0 is the
        same code, 1 as far as an answer of zeros.
    other_distance : ndarray of float32, (layers,)
        The same of other images, their median: the measure of what is near.
    measure : str
        What these are, in words.
    objective : ndarray of float32, (layers, count, steps)
        Minus the distance at every step.
    classes : tuple of str
        The classes of the network.
    photograph_probabilities : ndarray of float32, (classes,)
        As what the network classifies the photograph.
    probabilities : ndarray of float32, (layers, count, classes)
        As what it classifies each picture.
    style : str
        How pictures were made, in words.
    prior : str
        What they were made along, in words; empty if nothing.
    """

    kind: ClassVar[str] = "inversion"

    layers: tuple[str, ...]
    photograph: NDArray[np.float32]
    images: NDArray[np.float32]
    distance: NDArray[np.float32]
    other_distance: NDArray[np.float32]
    measure: str
    objective: NDArray[np.float32]
    classes: tuple[str, ...]
    photograph_probabilities: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    style: str
    prior: str = ""

    def __len__(self) -> int:
        return len(self.layers)

    def spread(self) -> NDArray[np.float64]:
        """Give how different the pictures of each layer are (layers,): mean distance of two, the root mean square of pixels.

        What they differ in is not in the code. NaN where there is one picture alone.
        """
        count = self.images.shape[1]
        flat = self.images.reshape(len(self), count, -1).astype(np.float64)
        pairs = [(a, b) for b in range(count) for a in range(b)]
        if not pairs:
            return np.full(len(self), np.nan)
        return np.mean([np.sqrt(np.square(flat[:, a] - flat[:, b]).mean(1)) for a, b in pairs], axis=0)

    def agreement(self) -> NDArray[np.float64]:
        """Give the share of each layer's pictures that are classified as the photograph is (layers,)."""
        return (self.probabilities.argmax(2) == self.photograph_probabilities.argmax()).mean(1)

    def summary(self) -> str:
        """Say how near the codes came, layer by layer, and how many pictures are classified as the photograph is."""
        answer = self.classes[int(self.photograph_probabilities.argmax())]
        rows = range(len(self)) if len(self) <= 4 else (0, len(self) // 2, len(self) - 1)
        layers = [
            f"{self.layers[index]} {number(self.distance[index].mean(), '.3g')} "
            f"({number(self.other_distance[index], '.3g')})"
            for index in rows
        ]
        alike = float(self.agreement().mean())
        pictures = self.images.shape[0] * self.images.shape[1]
        return say(
            "{subject}, {answer}: distances of codes (of {others}) {layers}; {alike} of {count} pictures are classified as "
            "{answer} too.",
            subject=self.question.subject_name,
            answer=answer,
            others=term(self.measure),
            layers=listed(layers),
            alike=round(alike * pictures),
            count=pictures,
        )

    def _table(self) -> Columns:
        layers, count = self.distance.shape
        answers = self.probabilities.argmax(2).ravel()
        return self._rows_of(
            layers * count,
            layer=np.repeat(self.layers, count),
            picture=np.tile(np.arange(count), layers),
            distance=self.distance.ravel(),
            other_distance=np.repeat(self.other_distance, count),
            answer=[self.classes[index] for index in answers.tolist()],
            answer_index=answers,
            answer_probability=self.probabilities.max(2).ravel(),
        )

    def to_json(self) -> dict[str, Any]:
        """Give the question, and for every layer its distances, and as what its pictures are classified."""
        best = self.probabilities.argmax(2)
        spread = self.spread()
        rows = [
            {
                "layer": layer,
                "distance": self.distance[index].tolist(),
                "other_distance": float(self.other_distance[index]),
                "spread": None if math.isnan(spread[index]) else float(spread[index]),
                "predictions": [self.classes[answer] for answer in best[index].tolist()],
                "probabilities": self.probabilities[index].max(1).tolist(),
            }
            for index, layer in enumerate(self.layers)
        ]
        prediction = self.classes[int(self.photograph_probabilities.argmax())]
        return {**self._stated("measure", "style", "prior"), "prediction": prediction, "layers": rows}

    def bytes_of(self, layer: str, index: int = 0) -> NDArray[np.uint8]:
        """Give a picture of a layer as 0..255, (height, width, 3).

        Raises
        ------
        QuestionError
            If that layer was not inverted, or has no such picture.
        """
        if layer not in self.layers or not 0 <= index < self.images.shape[1]:
            raise QuestionError(
                f"There is no picture {index} of {layer}.",
                hint=f"Layers: {', '.join(self.layers)}; pictures 0 to {self.images.shape[1] - 1} of each.",
            )
        return rgb(self.images[self.layers.index(layer), index])

    def pictures(self) -> dict[str, bytes]:
        """Give the photograph and the first picture of every layer."""
        named = {f"{layer}.png": to_png(self.bytes_of(layer)) for layer in self.layers}
        return {"picture.png": to_png(rgb(self.photograph)), **named}

    def figure(self) -> bytes:
        """Give the strip as PNG."""
        return self._figure("png")

    @property
    def _lines(self) -> int:
        return -(-len(self) // _IN_A_LINE)

    @property
    def _extent(self) -> tuple[float, float]:
        columns = 1 + -(-len(self) // self._lines)
        return max(3.6, 1.55 * columns), 0.5 + 2.05 * self._lines * self.images.shape[1]

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the photograph, a column for each layer and a row for each picture; on `ax` the first picture alone.

        Returns
        -------
        matplotlib.axes.Axes
            Of the photograph, or `ax`; ``.figure`` is the whole.
        """
        return self._shown() if ax is None else self._picture(ax, 0, 0)

    def _on(self, figure: Figure) -> Axes:
        count = self.images.shape[1]
        columns = -(-len(self) // self._lines)
        title = say("{network}: what is left of the photograph in each layer", network=self.question.network)
        if self.prior:
            title += say(", along the {prior}", prior=term(self.prior.partition(":")[0]))
        title += "\n" + say("distance of the code, in brackets that of {others}", others=term(self.measure))
        figure.suptitle(as_text(title), fontsize=9)
        panels = figure.subplots(self._lines * count, 1 + columns, squeeze=False)
        for axes in panels.ravel():
            axes.set_axis_off()
        for index in range(len(self)):
            line, column = divmod(index, columns)
            for row in range(count):
                axes = panels[line * count + row, 1 + column]
                axes.set_axis_on()
                self._picture(axes, index, row)
        for first in panels[::count, 0]:
            first.set_axis_on()
            picture_axes(first, rgb(self.photograph), _wrapped(without_folders(self.question.subject)), size=8)
            first.set_xlabel(f"{say('the photograph')}\n{self._answer(self.photograph_probabilities)}", fontsize=7)
        return panels[0, 0]

    def _picture(self, axes: Axes, index: int, row: int) -> Axes:
        picture_axes(axes, rgb(self.images[index, row]), _wrapped(self.layers[index]) if row == 0 else "", size=8)
        distance = f"{number(self.distance[index, row], '.3g')} ({number(self.other_distance[index], '.3g')})"
        axes.set_xlabel(f"{distance}\n{self._answer(self.probabilities[index, row])}", fontsize=7)
        return axes

    def _answer(self, probabilities: NDArray[np.float32]) -> str:
        best = int(probabilities.argmax())
        name = self.classes[best]
        return as_text(f"{name if len(name) <= 18 else f'{name[:16]}..'} {number(probabilities[best], '.2f')}")


def _wrapped(name: str) -> str:
    return as_text("\n".join(textwrap.wrap(name, 20)[:2]))
