"""Occlusion maps: the answers with one region after another covered."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

import iconoscope
from iconoscope.language import say, term
from iconoscope.results.figure import (
    ColourTable,
    as_text,
    colour_bar,
    colour_table,
    grid_axes,
    localise_ticks,
    picture_axes,
)
from iconoscope.results.frame import Columns, repeated
from iconoscope.results.live_patch import PatchAnswers, live_element, with_script
from iconoscope.results.object_evidence import ObjectEvidence, object_evidence
from iconoscope.results.rendering import overlay, spread
from iconoscope.results.result import ImageResult, is_page

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh
    from matplotlib.figure import Figure

__all__ = ["INDIFFERENT", "Occlusion"]

INDIFFERENT = 0.05
"""The drop of a probability below which a patch does not matter."""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Occlusion(ImageResult):
    """The network's answers with a patch at every position of one image.

    Attributes
    ----------
    top, left : ndarray of int64, (grid rows,) and (grid columns,)
        First row and column of the patch at each grid row and column, pixels of the network's input. A patch that crosses
        the border is cut there.
    patch : tuple of int
        Height and width of the patch, pixels.
    clean : ndarray of float32, (outputs,)
        The answers with nothing covered.
    occluded : ndarray of float32, (grid rows, grid columns, outputs)
        The answers with the patch at each position: it is covered or, if it is `kept`, all else is.
    target : int
        Which output was asked about.
    target_origin : str
        Why that output: ``"asked"``, ``"label"`` (the right class) or ``"prediction"`` (there is no label).
    names : tuple of str
        The outputs: the classes, or the channels of the layer.
    measure : str
        The kind of number: ``"probability"``, ``"logit"``, ``"mean activation"``, ...
    picture : ndarray of uint8, (height, width, 3)
        The photograph as the network saw it.
    method, plan : str
        Which engine answered, and what it ran how.
    all_covered : ndarray of float32, (outputs,), or None
        Where the patch is `kept`, the answers with everything covered. None of a transformer that has no answer without tokens
        of patches, and where the patch is not kept.
    object_mask : ndarray of bool, (height, width), or None
        Where the object is, if the image has a mask or boxes. It comes with the images and is no part of the question.
    """

    kind: ClassVar[str] = "occlusion"

    top: NDArray[np.int64]
    left: NDArray[np.int64]
    patch: tuple[int, int]
    clean: NDArray[np.float32]
    occluded: NDArray[np.float32]
    method: str
    plan: str
    all_covered: NDArray[np.float32] | None = None
    object_mask: NDArray[np.bool_] | None = None

    @property
    def kept(self) -> bool:
        """Whether the patch is all that is left of the picture, in place of being covered."""
        return bool(self.question.settings.get("keep", False))

    @cached_property
    def map(self) -> NDArray[np.float32]:
        """The target's answer at each position (grid rows, grid columns): the map of the textbook."""
        return self.occluded[..., self.target]

    @cached_property
    def drop(self) -> NDArray[np.float32]:
        """Loss of the target's answer at each position (grid rows, grid columns): clean minus occluded."""
        return self.clean[self.target] - self.map

    @cached_property
    def minimum(self) -> tuple[int, int]:
        """Grid row and grid column where the target's answer is lowest."""
        row, column = np.unravel_index(int(self.map.argmin()), self.map.shape)
        return int(row), int(column)

    @cached_property
    def floor(self) -> NDArray[np.float32]:
        """The answers (outputs,) that what a kept patch gives is counted from: with everything covered; else the lowest."""
        return self.occluded.min((0, 1)) if self.all_covered is None else self.all_covered

    @cached_property
    def effect(self) -> NDArray[np.float32]:
        """How much the patch matters at each position (grid rows, grid columns), on the same scale in both kinds of map.

        The `drop` under a patch that covers. Of a patch that is `kept`, the target's answer to it alone less its `floor`.
        """
        return self.map - self.floor[self.target] if self.kept else self.drop

    @cached_property
    def strongest(self) -> tuple[int, int]:
        """Grid row and grid column of the largest `effect`."""
        if not self.kept:
            return self.minimum
        row, column = np.unravel_index(int(self.map.argmax()), self.map.shape)
        return int(row), int(column)

    @cached_property
    def winner(self) -> NDArray[np.int64]:
        """The output with the highest answer at each position (grid rows, grid columns)."""
        return self.occluded.argmax(2)

    @cached_property
    def uncovered(self) -> float:
        """The share of the pixels, 0 to 1, that no patch reaches, where the stride is larger than the patch."""
        # A pixel is covered where its row and its column are.
        rows, columns = (np.zeros(length, bool) for length in self.picture.shape[:2])
        for top in self.top:
            rows[top : top + self.patch[0]] = True
        for left in self.left:
            columns[left : left + self.patch[1]] = True
        return float(1 - np.outer(rows, columns).mean())

    @property
    def indifferent(self) -> bool:
        """Whether no patch costs, or kept alone gives, more than `INDIFFERENT`; never for measures that have no such scale."""
        return self.measure == "probability" and float(self.effect.max()) < INDIFFERENT

    @cached_property
    def object_evidence(self) -> ObjectEvidence | None:
        """Where the effect lies against the object, with its null; None where no object is known."""
        return None if self.object_mask is None else self.held_against(self.object_mask)

    def held_against(self, mask: NDArray[np.bool_]) -> ObjectEvidence:
        """Hold the map against the mask (height, width) of an object: where its effect lies, and where it would by chance."""
        return object_evidence(self.effect, self.strongest, mask, top=self.top, left=self.left, patch=self.patch)

    @property
    def pointing(self) -> bool | None:
        """Whether the centre of the patch that matters most lies on the object (the pointing game, Zhang et al. 2016).

        None where no object is known, or no patch matters.
        """
        return None if self.object_evidence is None else self.object_evidence.pointing

    @property
    def object_share(self) -> float:
        """The object's share of the positive effect by pixel, 0 to 1; `object_evidence` has its share of the picture.

        NaN where no object is known, or no patch matters.
        """
        return float("nan") if self.object_evidence is None else self.object_evidence.share

    def summary(self) -> str:
        """Say in one sentence where the answer is lowest or, of a patch alone, highest."""
        row, column = self.strongest
        values: dict[str, Any] = {
            "subject": self.question.subject_name,
            "measure": term(self.measure),
            "name": self.names[self.target],
            "clean": self.clean[self.target],
            "patch": f"{self.patch[0]}x{self.patch[1]}",
            "row": self.top[row],
            "column": self.left[column],
            "value": self.map[row, column],
        }
        text = (
            say(
                "{subject}: the {measure} of {name} is {clean:.3f} and, from the {patch} patch at row {row}, column {column} "
                "alone, {value:.3f}",
                **values,
            )
            if self.kept
            else say(
                "{subject}: the {measure} of {name} is {clean:.3f} and, under the {patch} patch at row {row}, column {column}, "
                "{value:.3f}",
                **values,
            )
        )
        if self.all_covered is not None:
            text += say(", with everything covered {value:.3f}", value=self.all_covered[self.target])
        if self.measure in ("probability", "logit") and self.winner[row, column] != self.clean.argmax():
            text += say(" (the answer becomes {name})", name=self.names[int(self.winner[row, column])])
        if self.indifferent:
            text += say(": no single patch adds anything.") if self.kept else say(": no single patch matters.")
        else:
            text += "."
        if not self.uncovered:
            return text
        if self.kept:
            return text + say(" No patch shows {share:.0%} of the pixels.", share=self.uncovered)
        return text + say(" No patch covers {share:.0%} of the pixels.", share=self.uncovered)

    def to_json(self) -> dict[str, Any]:
        """Give the question, the clean answer, the lowest or of a patch alone the highest, and the map of the target."""
        row, column = self.strongest
        return {
            **super().to_json(),
            "clean": float(self.clean[self.target]),
            "predicted": self.names[int(self.clean.argmax())],
            "kept": self.kept,
            **(
                {"all_covered": None if self.all_covered is None else float(self.all_covered[self.target])}
                if self.kept
                else {}
            ),
            "maximum" if self.kept else "minimum": {
                "value": float(self.map[row, column]),
                "top": int(self.top[row]),
                "left": int(self.left[column]),
                "answer": self.names[int(self.winner[row, column])],
            },
            "patch": list(self.patch),
            "uncovered": self.uncovered,
            "top": self.top.tolist(),
            "left": self.left.tolist(),
            "map": np.round(self.map.astype(float), 6).tolist(),
            "method": self.method,
            "plan": self.plan,
            "object": self._object_to_json(),
        }

    def _object_to_json(self) -> dict[str, Any] | None:
        if self.object_evidence is None:
            return None
        measures = asdict(self.object_evidence)
        return {name: None if measure is None or np.isnan(measure) else measure for name, measure in measures.items()}

    def _table(self) -> Columns:
        rows, columns = (axis.ravel() for axis in np.indices(self.map.shape))
        patch = repeated(
            self.map.size, patch_height=self.patch[0], patch_width=self.patch[1], fill=self.fill, kept=self.kept
        )
        places = {"row": rows, "column": columns, "top": self.top[rows], "left": self.left[columns]}
        answers = {"answer": self.map.ravel(), "drop": self.drop.ravel(), "effect": self.effect.ravel()}
        winners: dict[str, Any] = {"winner_index": self.winner.ravel()}
        winners["winner"] = [self.names[index] for index in self.winner.ravel().tolist()]
        return self._target_columns(self.map.size, **patch, **places, **answers, **winners)

    def effect_by_pixel(self) -> NDArray[np.float64]:
        """Give every pixel (height, width) the mean effect over the patches that it lies in."""
        height, width = self.picture.shape[:2]
        return spread(self.effect, self.top, self.left, self.patch, (height, width))

    def drop_by_pixel(self) -> NDArray[np.float64]:
        """Give every pixel (height, width) the mean drop over the patches that it lies in."""
        height, width = self.picture.shape[:2]
        return spread(self.drop, self.top, self.left, self.patch, (height, width))

    def overlaid(self) -> NDArray[np.uint8]:
        """Lay the effect in red over the picture (height, width, 3); the strongest red is an effect of `full_red`."""
        rounding = 1e-6 * max(1.0, abs(float(self.clean[self.target])))
        share = self.effect_by_pixel() / self.full_red if self.full_red > rounding else np.zeros(self.picture.shape[:2])
        return overlay(self.picture, share)

    @cached_property
    def full_red(self) -> float:
        """The effect that is laid over the picture in the strongest red: the whole of a probability, else the largest found.

        Of a probability that is next to nothing even the whole is no reason for red: there it is `INDIFFERENT`. Of a patch that
        alone gives more than the whole picture it is what that gives.
        """
        if self.measure != "probability":
            return float(self.effect.max())
        whole = max(float(self.clean[self.target]), INDIFFERENT)
        return max(whole, float(self.effect.max())) if self.kept else whole

    def limits(self) -> tuple[float, float]:
        """Give the range of the colours: 0 to 1 for a probability, otherwise the range of what was found."""
        if self.measure == "probability":
            return 0.0, 1.0
        values = (
            *self.map.ravel(),
            self.clean[self.target],
            *(() if self.all_covered is None else (self.all_covered[self.target],)),
        )
        return float(min(values)), float(max(values))

    def save(self, path: str | Path, *, dpi: float | None = None) -> Path:
        """Save as a page with a patch that follows the mouse (.html), as a figure, or everything as a folder."""
        return iconoscope.report(self, path) if is_page(path) and dpi is None else super().save(path, dpi=dpi)

    def patch_answers(self) -> PatchAnswers:
        """Give what a page needs for a patch that follows the mouse."""
        return PatchAnswers(
            top=self.top,
            left=self.left,
            patch=self.patch,
            clean=self.clean,
            occluded=self.occluded,
            names=self.names,
            target=self.target,
            measure=self.measure,
            fill=self.fill,
            colour=self._patch_colour(),
            uncovered=self.uncovered,
            floor=self.floor if self.kept else None,
            approximate=self.plan if self.method == "fast" else "",
        )

    @property
    def fill(self) -> str:
        """The name of what covers the region."""
        return str(self.question.settings.get("fill", ""))

    def _patch_colour(self) -> tuple[int, int, int] | None:
        """Give the colour of the patch before normalisation, None where it has several or the record does not tell."""
        share: Any = None
        if self.fill == "mean":
            share = self.picture.mean((0, 1)) / 255
        elif self.fill == "black":
            share = 0
        elif self.fill == "zero":
            share = self.question.settings.get("preprocessing", {}).get("mean")
        elif self.fill.startswith("grey "):
            share = float(self.fill.removeprefix("grey "))
        if share is None:
            return None
        red, green, blue = np.broadcast_to(np.asarray(share)[..., :3] if np.ndim(share) else share, 3)
        return round(255 * float(red)), round(255 * float(green)), round(255 * float(blue))

    def _in_notebook(self, still: str) -> str:
        name = self.question.subject_name
        return with_script(live_element([self.patch_answers()], self.picture, still, alt=name))

    def plot(self, ax: Axes | None = None, *, cmap: ColourTable = None, colorbar: bool = True) -> Axes:
        """Draw the figure of the textbook, or on `ax` only its map.

        Photograph with the worst patch outlined; the answer against the patch's centre, with the clean answer on the
        colour bar and the minimum marked; the photograph under the drop. Of patches that are kept, the one that gives most,
        the maximum, and what patches give. Nothing is normalised: a probability's colours go from 0 to 1.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; without it a new figure is made.
        cmap : str or matplotlib.colors.Colormap, optional
            The colours of the map; matplotlib's ``rcParams["image.cmap"]`` if not given.
        colorbar : bool
            Whether a colour bar stands beside it.

        Returns
        -------
        matplotlib.axes.Axes
            Of the map; ``.figure`` is the whole.
        """
        look: dict[str, Any] = {"cmap": cmap, "colorbar": colorbar}
        return self._shown(**look) if ax is None else self._heat_map(ax, **look)

    @property
    def _extent(self) -> tuple[float, float]:
        return 10.5, 3.7

    def _on(self, figure: Figure, *, cmap: ColourTable = None, colorbar: bool = True) -> Axes:
        photograph, heat, laid = figure.subplots(1, 3)
        self.draw_photograph(
            photograph, say("the patch that gives most alone") if self.kept else say("the patch that costs most")
        )
        self._heat_map(heat, cmap=cmap, colorbar=colorbar)
        title = (
            say("what a patch alone adds (full red: {gain:.3g})", gain=self.full_red)
            if self.kept
            else say("what hiding costs (full red: {drop:.3g})", drop=self.full_red)
        )
        if self.uncovered:
            silent = (
                say("no patch shows {share:.0%} of the pixels", share=self.uncovered)
                if self.kept
                else say("no patch covers {share:.0%} of the pixels", share=self.uncovered)
            )
            title += f"\n{silent}"
        picture_axes(laid, self.overlaid(), title)
        figure.suptitle(as_text(self.question.subject_name), fontsize=10)
        return heat

    def draw_photograph(self, axes: Axes, title: str) -> None:
        """Draw the photograph with the patch outlined that matters most."""
        from matplotlib.patches import Rectangle

        picture_axes(axes, self.picture, title)
        row, column = self.strongest
        height, width = self.picture.shape[:2]
        top, left = int(self.top[row]), int(self.left[column])
        size = min(self.patch[1], width - left), min(self.patch[0], height - top)
        for colour, line in (("white", 2.6), ("black", 1.0)):
            axes.add_patch(Rectangle((left - 0.5, top - 0.5), *size, fill=False, edgecolor=colour, linewidth=line))

    def draw_map(self, axes: Axes, title: str, limits: tuple[float, float], *, cmap: ColourTable = None) -> QuadMesh:
        """Draw the map with the patch marked that matters most, in colours that go from one limit to the other."""
        low, high = limits
        height, width = self.picture.shape[:2]
        colours = {
            "vmin": low,
            "vmax": high if high > low else low + max(1e-6, 1e-3 * abs(low)),
            "cmap": colour_table(cmap),
        }
        mesh, (rows, columns) = grid_axes(axes, self.map, (self.top, self.left), self.patch, (height, width), **colours)
        row, column = self.strongest
        for ink, wide in (("black", 4), ("white", 2)):  # seen on every colour of every table
            axes.plot(columns[column], rows[row], "x", color=ink, markersize=8, markeredgewidth=wide)
        axes.set_xlabel(say("centre of the patch, column"), fontsize=8)
        axes.set_ylabel(say("row"), fontsize=8)
        axes.tick_params(labelsize=7)
        axes.set_title(title, fontsize=9)
        localise_ticks(axes)
        return mesh

    def scale_label(self, *, ours: bool) -> str:
        """Say what the colours of the map are; `ours` is whether they are those that it has by itself."""
        return term(self.measure)

    def _heat_map(self, axes: Axes, *, cmap: ColourTable = None, colorbar: bool = True) -> Axes:
        clean = float(self.clean[self.target])
        values, floor = {"clean": clean, "value": self.map[self.strongest]}, self.all_covered
        answer = {"measure": term(self.measure), "name": as_text(self.names[self.target])}
        title = (
            say("{measure} of {name} from the patch alone", **answer)
            + "\n"
            + say("clean {clean:.3f}, highest {value:.3f} (x)", **values)
            + ("" if floor is None else say(", all covered {floor:.3f}", floor=floor[self.target]))
            if self.kept
            else say("{measure} of {name}", **answer)
            + "\n"
            + say("clean {clean:.3f}, lowest {value:.3f} (x)", **values)
        )
        mesh = self.draw_map(axes, title, self.limits(), cmap=cmap)
        if colorbar:
            colour_bar(axes, mesh, say("red line: nothing covered"), clean=clean)
        return axes
