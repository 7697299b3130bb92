"""Pictures made by input optimisation, which show what units look for."""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from iconoscope.atomic_files import writing_whole
from iconoscope.errors import QuestionError
from iconoscope.language import say, term
from iconoscope.results.change import CHANGES_SHOWN, change_extent, draw_change, draw_changes, draw_course, draw_nearest
from iconoscope.results.figure import as_text, picture_axes
from iconoscope.results.folders import without_folders
from iconoscope.results.frame import Columns
from iconoscope.results.rendering import gradient_picture, rgb, to_png
from iconoscope.results.result import Result
from iconoscope.results.result_folder import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Visualization"]

_ANIMATED = {".gif": "GIF", ".webp": "WEBP"}


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Visualization(Result):
    """Pictures that were changed until units answered as strongly as could be.

    Attributes
    ----------
    images : ndarray of float32, (n, height, width, channels)
        The pictures, 0..1.
    units : tuple of str
        What each was asked for, (n,).
    objective : ndarray of float32, (n, steps)
        The answer at every step, to the picture as it was moved there; before the ReLU, if one follows.
    last_gradient : ndarray of float32, (n, height, width, channels)
        The gradient of the objective alone at the last step, whatever else was charged; zeros if that was not reached.
    frames : ndarray of uint8, (n, frames, height, width, channels)
        What the pictures were like on the way, from the first to the last.
    activation : ndarray of float32, (n,)
        The answer to the picture as it is, behind the ReLU, if one follows.
    moved_activation : ndarray of float32, (n,)
        The mean answer to the picture moved, turned and scaled in ways that it was not optimised for; NaN if not tried.
    natural_activation : ndarray of float32, (n,)
        The strongest answer to any of the images that were given to compare with; NaN if none were.
    dead : ndarray of bool, (n,)
        Units that answered nothing to any picture that was tried.
    start : str
        What the pictures began as.
    style : str
        How they were made, in words.
    prior : str
        What they were made along, in words; empty if nothing.
    likelihood : ndarray of float32, (n,), or None
        The logarithm of the density of each picture's latent, in nats.
    likelier_than : ndarray of float32, (n,), or None
        The share of real images whose latents are less likely, 0..1.
    neighbours : ndarray of uint8, (n, k, height, width, channels), or None
        The real images that are nearest to each picture, the nearest first, as the prior knows them.
    neighbour_names : ndarray of str, (n, k), or None
        Their ids.
    neighbour_distance : ndarray of float32, (n,), or None
        The distance to the nearest, over that of a typical real image to the nearest other one: far below 1 is a copy.
    natural_spread : ndarray of float32, (n,), or None
        Mean distance (root mean square of pixels) between two real images of the class that was asked for, or of any two.
    loss_gradient : ndarray of float32, (n, height, width, channels), or None
        The gradient of the whole loss at the last step, to the picture: of what regularizers and diversity charge, less the
        objective up to its cap. Pictures go against it. None where nothing is charged: it is minus `last_gradient` then.
    start_images : ndarray of float32, (n, height, width, channels), or None
        The images that pictures began as, 0..1; None where they began as noise or a colour.
    asked_class : ndarray of int, (n,), or None
        The index of the class that was asked for, -1 where it was something else; as the next two only beside `start_images`.
    classes : tuple of str
        The names of the classes that the next two are about, (classes,); empty if the network answers none.
    start_probabilities, probabilities : ndarray of float32, (n, classes), or None
        As what the network classifies the images, and the pictures that were made of them.
    style_name : str
        The name by which `compare_styles` was asked for the style; else empty.
    judge : str
        The name of a second network that was shown the pictures; empty if there was none.
    judge_probability : ndarray of float32, (n,), or None
        With which probability it says that each is of the class that was asked for.
    own_probability : ndarray of float32, (n,), or None
        With which probability the network itself says so; beside a comparison of styles.
    """

    kind: ClassVar[str] = "visualization"

    images: NDArray[np.float32]
    units: tuple[str, ...]
    objective: NDArray[np.float32]
    last_gradient: NDArray[np.float32]
    frames: NDArray[np.uint8]
    activation: NDArray[np.float32]
    moved_activation: NDArray[np.float32]
    natural_activation: NDArray[np.float32]
    dead: NDArray[np.bool_]
    start: str
    style: str
    prior: str = ""
    likelihood: NDArray[np.float32] | None = None
    likelier_than: NDArray[np.float32] | None = None
    neighbours: NDArray[np.uint8] | None = None
    neighbour_names: NDArray[np.str_] | None = None
    neighbour_distance: NDArray[np.float32] | None = None
    natural_spread: NDArray[np.float32] | None = None
    loss_gradient: NDArray[np.float32] | None = None
    start_images: NDArray[np.float32] | None = None
    asked_class: NDArray[np.int64] | None = None
    classes: tuple[str, ...] = ()
    start_probabilities: NDArray[np.float32] | None = None
    probabilities: NDArray[np.float32] | None = None
    style_name: str = ""
    judge: str = ""
    judge_probability: NDArray[np.float32] | None = None
    own_probability: NDArray[np.float32] | None = None

    @classmethod
    def from_record(cls, record: Record) -> Self:
        """Make the result again; one from before there were two gradients has that of the loss as both, minus and plus."""
        if "loss_gradient" not in {*record.fields, *record.arrays}:
            arrays = {**record.arrays, "loss_gradient": -record.arrays["last_gradient"]}
            record = replace(record, arrays=arrays)
        return super().from_record(record)

    def __len__(self) -> int:
        return len(self.images)

    def summary(self) -> str:
        """Say in a sentence or two how strongly the units answer, and which of them answer nothing."""
        names = list(dict.fromkeys(self.units))
        if len(self) == 1:
            text = say("{unit}: the picture answers {value:.3g}", unit=self.units[0], value=self.activation[0])
            if np.isfinite(self.moved_activation[0]):
                text += say(", moved about {value:.3g}", value=self.moved_activation[0])
            if np.isfinite(self.natural_activation[0]):
                text += say("; the best of the images given {value:.3g}", value=self.natural_activation[0])
        else:
            least, most = float(self.activation.min()), float(self.activation.max())
            units = say("{count} units from {first} to {last}", count=len(names), first=names[0], last=names[-1])
            text = say(
                "{units}: {count} pictures that answer {least:.3g} to {most:.3g}",
                units=names[0] if len(names) == 1 else units,
                count=len(self),
                least=least,
                most=most,
            )
            if len(names) == 1 and (diversity := self.diversity()):
                text += say("; {share:.0%} as different from each other as real images", share=diversity[names[0]])
        text += self._standing()
        dead = list(dict.fromkeys(np.array(self.units)[self.dead].tolist()))
        if dead:
            listed = ", ".join(dead[:8]) + (say(" and more") if len(dead) > 8 else "")
            text += say(
                ". {dead} of {count} dead, which answered nothing to any picture that was tried: {names}",
                dead=len(dead),
                count=len(names),
                names=listed,
            )
        return f"{text}."

    def _standing(self) -> str:
        """Say how pictures that were made along a prior stand among real images."""
        if self.likelier_than is None or self.neighbour_distance is None:
            return ""
        index = int(np.argmin(self.neighbour_distance))
        nearest = "" if self.neighbour_names is None else f" ({without_folders(str(self.neighbour_names[index, 0]))})"
        return say(
            ". {share:.0%} of real images are less likely{averaged}; the nearest real image{nearest} is {times:.2f} times as "
            "far as real images are from each other",
            share=self.likelier_than.mean(),
            averaged="" if len(self) == 1 else say(", in the mean"),
            nearest=nearest,
            times=self.neighbour_distance[index],
        )

    def diversity(self) -> dict[str, float]:
        """Give how different the pictures of each unit are, over how different real images are: 1 is as much, 0 all the same.

        Of units with several pictures that were made along a prior with real images; the mean distance of two (root mean
        square of pixels).
        """
        if self.natural_spread is None:
            return {}
        diversity: dict[str, float] = {}
        for name in dict.fromkeys(self.units):
            rows = [index for index, unit in enumerate(self.units) if unit == name]
            flat = self.images[rows].reshape(len(rows), -1)
            apart = [float(np.sqrt(np.square(flat[a] - flat[b]).mean())) for b in range(len(rows)) for a in range(b)]
            if apart:
                diversity[name] = float(np.mean(apart)) / float(self.natural_spread[rows[0]])
        return diversity

    def to_json(self) -> dict[str, Any]:
        """Give the question, and for every picture its unit, its answers and whether the unit is dead."""
        return {
            **self._stated("start", "style"),
            "steps": self.objective.shape[1],
            "pictures": [
                {
                    "unit": self.units[index],
                    "activation": float(self.activation[index]),
                    "moved_activation": _finite(self.moved_activation[index]),
                    "natural_activation": _finite(self.natural_activation[index]),
                    "first_objective": float(self.objective[index, 0]),
                    "last_objective": float(self.objective[index, -1]),
                    "dead": bool(self.dead[index]),
                    **self._standing_of(index),
                }
                for index in range(len(self))
            ],
            **({"prior": self.prior, "diversity": self.diversity()} if self.prior else {}),
        }

    def _standing_of(self, index: int) -> dict[str, Any]:
        names = ("likelihood", "likelier_than", "neighbour_distance")
        arrays = {name: getattr(self, name) for name in names}
        standing: dict[str, Any] = {name: float(array[index]) for name, array in arrays.items() if array is not None}
        if self.neighbour_names is not None:
            standing["neighbour"] = str(self.neighbour_names[index, 0])
        return standing

    def _table(self) -> Columns:
        answers = {
            name: getattr(self, name) for name in ("activation", "moved_activation", "natural_activation", "dead")
        }
        ends = {"first_objective": self.objective[:, 0], "last_objective": self.objective[:, -1]}
        numbers = np.arange(len(self))
        return self._rows_of(len(self), picture=numbers, unit=list(self.units), **answers, **ends)

    def bytes_of(self, index: int) -> NDArray[np.uint8]:
        """Give a picture as 0..255, (height, width, 3)."""
        return rgb(self.images[index])

    def gradient_picture(self, index: int) -> NDArray[np.uint8]:
        """Give the last gradient as a picture, (height, width, 3): grey is zero; the strongest are at the ends of the scale.

        Few pixels may have far larger gradients than all others, so the strongest half of a percent are shown alike.
        """
        return gradient_picture(self.last_gradient[index])

    @property
    def _layout(self) -> tuple[int, int]:
        columns = min(len(self), max(1, math.ceil(math.sqrt(1.6 * len(self)))))
        return math.ceil(len(self) / columns), columns

    @property
    def is_moved(self) -> bool:
        """Whether pictures were moved about before the network saw them."""
        style = self.question.settings.get("style")
        return not (isinstance(style, Mapping) and "transforms" in style and style["transforms"] is None)

    @property
    def _extent(self) -> tuple[float, float]:
        if self.start_images is not None and len(self) <= CHANGES_SHOWN:
            return change_extent(self)
        if len(self) == 1:
            return (8.4, 3.1) if self.neighbours is None else (10.4, 3.1)
        rows, columns = self._layout
        side = 1.15 if len(self) > 12 else 2.1
        return max(3.2, columns * side), rows * (side + 0.22) + 0.35

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw one picture with its last gradient and the course of its objective, or many as a sheet; on `ax` the first alone.

        Of a photograph that was changed also the photograph, the difference, and the probabilities before and after.

        Returns
        -------
        matplotlib.axes.Axes
            Of the first picture; ``.figure`` is the whole.
        """
        return self._shown() if ax is None else self._picture(ax, 0)

    def _on(self, figure: Figure) -> Axes:
        figure.suptitle(as_text(self._title()), fontsize=9)
        if self.start_images is not None and len(self) <= CHANGES_SHOWN:
            return draw_change(figure, self) if len(self) == 1 else draw_changes(figure, self)
        if len(self) == 1:
            if self.neighbours is None:
                picture, gradient, course = figure.subplots(1, 3, width_ratios=(1, 1, 1.2))
            else:
                picture, nearest, gradient, course = figure.subplots(1, 4, width_ratios=(1, 1, 1, 1.2))
                draw_nearest(nearest, self)
            picture_axes(gradient, self.gradient_picture(0), say("gradient of the last step"))
            draw_course(course, self)
            return self._picture(picture, 0)
        panels = figure.subplots(*self._layout, squeeze=False).ravel()
        for index, axes in enumerate(panels[: len(self)]):
            self._picture(axes, index)
        for axes in panels[len(self) :]:
            axes.set_axis_off()
        return panels[0]

    def _title(self) -> str:
        layers = {name.partition(":")[0] for name in self.units}
        layer = next(iter(layers))
        along = say(", along the {prior}", prior=term(self.prior.partition(":")[0])) if self.prior else ""
        if len(layers) == 1 and len(set(self.units)) > 1:
            of_classes = {"logit": say("the logits of its classes"), "prob": say("the probabilities of its classes")}
            return f"{self.question.network}: {of_classes.get(layer, say('channels of {layer}', layer=layer))}{along}"
        start = term(without_folders(self.start))
        return say("{network}, from {start}", network=self.question.network, start=start) + along

    def _picture(self, axes: Axes, index: int) -> Axes:
        small = len(self) > 12
        name = self.units[index]
        if small:
            name = name.partition(":")[2] or name
        title = textwrap.fill(f"{as_text(name)}{say(' (dead)') if self.dead[index] else ''}", 14 if small else 24)
        return picture_axes(axes, self.bytes_of(index), title, size=7 if small else 8)

    def strip(self, index: int = 0) -> NDArray[np.uint8]:
        """Give the frames of a picture side by side, (height, frames * width, 3)."""
        return np.concatenate([rgb(frame) for frame in self.frames[index]], 1)

    def animate(self, path: str | Path, *, index: int = 0, duration: float = 2.0) -> Path:
        """Write the frames of a picture as a moving one.

        Parameters
        ----------
        path
            A name that ends in .gif or .webp.
        index
            Which picture.
        duration
            Seconds from the first frame to the last; the last stays a second longer.

        Raises
        ------
        QuestionError
            If the name ends in something else, or there is no such picture.
        StoreError
            If it cannot be written.
        """
        from PIL import Image

        path = Path(path)
        if path.suffix.lower() not in _ANIMATED:
            raise QuestionError(
                f"A moving picture is not written as {path.suffix!r}.", hint=f"{', '.join(_ANIMATED)} are."
            )
        if not -len(self) <= index < len(self):
            raise QuestionError(f"There is no picture {index}: they are 0 to {len(self) - 1}.")
        frames = [Image.fromarray(rgb(frame)) for frame in self.frames[index]]
        milliseconds = max(20, round(1000 * duration / len(frames)))
        buffer = io.BytesIO()
        frames[0].save(
            buffer,
            format=_ANIMATED[path.suffix.lower()],
            save_all=True,
            append_images=frames[1:],
            duration=[milliseconds] * (len(frames) - 1) + [milliseconds + 1000],
            loop=0,
        )
        with writing_whole(path) as hidden:
            hidden.write_bytes(buffer.getvalue())
        return path

    def pictures(self) -> dict[str, bytes]:
        """Give every picture, the first as ``picture.png``."""
        named = {f"picture-{index}.png": to_png(self.bytes_of(index)) for index in range(1, len(self))}
        return {"picture.png": to_png(self.bytes_of(0)), **named}


def _finite(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None
