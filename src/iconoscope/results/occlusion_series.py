"""One image covered with several patches or fills: how large the cue is, and whether what is seen depends on the fill."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

import iconoscope
from iconoscope.errors import QuestionError
from iconoscope.language import listed, number, say, term
from iconoscope.results.figure import ColourTable, as_text, colour_bar
from iconoscope.results.live_patch import PatchAnswers, live_element, with_script
from iconoscope.results.occlusion import Occlusion
from iconoscope.results.result import Result, Series, is_page

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["OcclusionSeries", "rank_correlation"]

SHARE = 0.1
"""Of the positions: those that drop most, whose overlap is measured."""

LEAST_OVERLAP = 1 / 3
"""Intersection over union of these positions: half of them in common."""

LEAST_CORRELATION = 0.5
"""Rank correlation of all drops."""

_NAN = float("nan")


@dataclass(frozen=True, eq=False, repr=False)
class OcclusionSeries(Series):
    """The same unit of the same network asked about the same pixels, with several patches, several fills or both.

    A fill is a stimulus too. What is seen with every fill is robust; what is seen with one may be an answer to the fill. Maps
    are held against each other in pairs, those that have the patch at the same positions.

    Attributes
    ----------
    results : tuple of Occlusion
        The results, whole, in the order in which patches and fills were given.

    Raises
    ------
    QuestionError
        If there is none, or they are not about the same.

    Examples
    --------
    >>> import iconoscope as ico
    >>> net, image = ico.load_network("cars-honest", device="cpu"), ico.demo_images(2, seed=1)[1]
    >>> ico.occlude(net, image, patch=[12, 24], stride=12).largest.patch
    (24, 24)
    >>> series = ico.occlude(net, image, patch=24, stride=12, fill=["mean", "blur"])
    >>> series.robust, series.overlap >= 1 / 3
    (True, True)
    """

    kind: ClassVar[str] = "occlusion_series"
    results: tuple[Occlusion, ...]

    _of: ClassVar[type[Result]] = Occlusion
    _alike: ClassVar[Mapping[str, Callable[[Occlusion], Any]]] = {
        "the weights of the network": attrgetter("question.weights"),
        "its preprocessing": lambda occlusion: occlusion.question.settings.get("preprocessing"),
        "its classes": attrgetter("names"),
        "the pixels": attrgetter("question.pixels"),
        "the unit": attrgetter("question.unit"),
        "whether the patch is kept": attrgetter("kept"),
    }

    def __post_init__(self) -> None:
        if not self.results:
            raise QuestionError("There is no result in the series.")
        for other, traits in self._unlike():
            raise QuestionError(
                f"The results for {self.results[0].question.subject} and {other.question.subject} differ in {traits}.",
                hint="Ask one network about one image and one unit.",
            )

    @property
    def patches(self) -> tuple[tuple[int, int], ...]:
        """Height and width of each patch, pixels."""
        return tuple(dict.fromkeys(occlusion.patch for occlusion in self.results))

    @property
    def fills(self) -> tuple[str, ...]:
        """The name of each fill."""
        return tuple(dict.fromkeys(occlusion.fill for occlusion in self.results))

    @property
    def labels(self) -> tuple[str, ...]:
        """A few words for each result that say what is special about it; no two the same."""
        parts: list[list[str]] = [[] for _ in self.results]
        for label, occlusion in zip(parts, self.results, strict=True):
            if len(self.patches) > 1:
                label.append(f"patch {_size(occlusion)}")
            if len(self.fills) > 1 or len(self.patches) == 1:
                label.append(f"fill {occlusion.fill}")
        labels = [" ".join(label) for label in parts]
        if len(set(labels)) < len(labels):  # the engine differs, or the seed of the noise
            labels = [f"{label} ({number})" for number, label in enumerate(labels, 1)]
        return tuple(labels)

    @property
    def largest(self) -> Occlusion:
        """The result with the largest effect; the smaller patch of two with the same."""
        return max(self.results, key=lambda occlusion: (_largest(occlusion), -occlusion.patch[0] * occlusion.patch[1]))

    @cached_property
    def _pairs(self) -> list[tuple[Occlusion, Occlusion]]:
        """Every two results that have the patch at the same positions."""
        return [
            (first, second)
            for first, second in combinations(self.results, 2)
            if first.patch == second.patch
            and np.array_equal(first.top, second.top)
            and np.array_equal(first.left, second.left)
        ]

    @cached_property
    def correlation(self) -> float:
        """Spearman's rank correlation of the drops of two maps, -1 to 1: the lowest of all pairs.

        NaN where a map is the same everywhere, or there is no pair.
        """
        return min((_correlation(*pair) for pair in self._pairs), key=_nan_first, default=_NAN)

    @cached_property
    def overlap(self) -> float:
        """Of the positions where the answer drops most, a tenth of all: intersection over union, 0 to 1.

        The lowest of all pairs; NaN if there is none.
        """
        return min((_overlap(*pair) for pair in self._pairs), default=_NAN)

    @property
    def difference(self) -> float:
        """The largest effect of one map minus that of a later one, of the pair that differs most; NaN without a pair."""
        differences = (_largest(first) - _largest(second) for first, second in self._pairs)
        return max(differences, key=abs, default=_NAN)

    @property
    def distance(self) -> float:
        """Distance between the patches that cost most, first row and column, pixels; NaN without a pair."""
        return max((_distance(*pair) for pair in self._pairs), default=_NAN)

    @property
    def robust(self) -> bool | None:
        """Whether all fills tell the same: no patch matters with any, or the same patches do with all; None without a pair.

        The same patches matter if of any two maps the `overlap` is at least a third (half of the tenth of positions that drop
        most are common), the `correlation` at least 0.5, and neither says that no patch matters.
        """
        return all(_alike(*pair) for pair in self._pairs) if self._pairs else None

    def summary(self) -> str:
        """Say in one sentence how much each patch or fill costs and, of several fills, whether what is seen depends on them."""
        return self._summary_of_patches() if self.robust is None else self._summary_of_fills()

    def _summary_of_patches(self) -> str:
        first, largest = self.results[0], self.largest
        row, column = largest.strongest
        values: dict[str, Any] = {
            "subject": first.question.subject_name,
            "measure": term(first.measure),
            "name": first.names[first.target],
            "clean": first.clean[first.target],
        }
        if first.kept:
            extremes = [f"{number(one.map[one.strongest], '.3f')} ({_size(one)})" for one in self.results]
            text = say(
                "{subject}: the {measure} of {name} is {clean:.3f} and from a patch alone at most {values}",
                **values,
                values=listed(extremes),
            )
        else:
            drops = [f"{number(_largest(one), '.3f')} ({_size(one)})" for one in self.results]
            text = say(
                "{subject}: the {measure} of {name} is {clean:.3f} and falls by at most {drops}",
                **values,
                drops=listed(drops),
            )
        if all(occlusion.indifferent for occlusion in self.results):
            if first.kept:
                return text + say(": no patch of these sizes adds anything.")
            return text + say(": no patch of these sizes matters.")
        row, column = largest.top[row], largest.left[column]
        return text + say(
            "; the most at row {row}, column {column} with {patch}.", row=row, column=column, patch=_size(largest)
        )

    def _summary_of_fills(self) -> str:
        labels = _listed([label.removeprefix("fill ") for label in self.labels])
        text = say(
            "{subject}: {robust}. With {fills}",
            subject=self.results[0].question.subject_name,
            robust=say("robust") if self.robust else say("depends on the fill"),
            fills=labels,
        )
        kept, several = self.results[0].kept, len(self._pairs) > 1
        if all(occlusion.indifferent for occlusion in self.results):
            return text + (say(" no single patch adds anything.") if kept else say(" no single patch matters."))
        values: dict[str, Any] = {
            "effects": _listed([number(_largest(occlusion), ".3f") for occlusion in self.results]),
            "up_to": say("up to ") * several,
            "distance": self.distance,
            "at_least": say("at least ") * several,
            "overlap": self.overlap,
            "correlation": self.correlation,
        }
        if kept:
            return text + say(
                " a patch alone adds at most {effects}, {up_to}{distance:.0f} pixels apart; {at_least}{overlap:.0%} overlap of "
                "the tenth that adds most, rank correlation {at_least}{correlation:.2f}.",
                **values,
            )
        return text + say(
            " the largest drops are {effects}, {up_to}{distance:.0f} pixels apart; {at_least}{overlap:.0%} overlap of the "
            "tenth that drops most, rank correlation {at_least}{correlation:.2f}.",
            **values,
        )

    def to_json(self) -> dict[str, Any]:
        """Give the largest drops, how far the fills agree, and all that every result gives."""
        measures = {
            name: None if np.isnan(measure) else measure
            for name, measure in (
                ("correlation", self.correlation),
                ("overlap", self.overlap),
                ("difference", self.difference),
                ("distance", self.distance),
            )
        }
        return {
            "kind": self.kind,
            "patches": [list(patch) for patch in self.patches],
            "fills": list(self.fills),
            "labels": list(self.labels),
            "kept": self.results[0].kept,
            "gains" if self.results[0].kept else "drops": [_largest(occlusion) for occlusion in self.results],
            "largest": list(self.largest.patch),
            "robust": self.robust,
            **measures,
            "results": [occlusion.to_json() for occlusion in self.results],
        }

    def save(self, path: str | Path, *, dpi: float | None = None) -> Path:
        """Save as a page with a patch that follows the mouse (.html), as a figure, or everything as a folder."""
        return iconoscope.report(self, path) if is_page(path) and dpi is None else super().save(path, dpi=dpi)

    def patch_answers(self) -> list[PatchAnswers]:
        """Give what a page needs for a patch that follows the mouse, for every patch and fill."""
        return [occlusion.patch_answers() for occlusion in self.results]

    def _in_notebook(self, still: str) -> str:
        first = self.results[0]
        return with_script(live_element(self.patch_answers(), first.picture, still, alt=first.question.subject_name))

    def plot(self, *, cmap: ColourTable = None, colorbar: bool = True) -> list[Axes]:
        """Draw the results side by side on one scale of colours: the patch that costs most, and the map.

        Parameters
        ----------
        cmap : str or matplotlib.colors.Colormap, optional
            The colours of the map; matplotlib's ``rcParams["image.cmap"]`` if not given.
        colorbar : bool
            Whether a colour bar stands beside it.

        Returns
        -------
        list of matplotlib.axes.Axes
            Of the maps; ``.figure`` is the whole.
        """
        return self._shown(cmap=cmap, colorbar=colorbar)

    @property
    def _extent(self) -> tuple[float, float]:
        return 0.8 + 2.9 * max(2, len(self.results)), 6.0

    def _on(self, figure: Figure, *, cmap: ColourTable = None, colorbar: bool = True) -> list[Axes]:
        limits = [occlusion.limits() for occlusion in self.results]
        low, high = min(low for low, _ in limits), max(high for _, high in limits)
        panels = figure.subplots(2, len(self.results), squeeze=False)
        for axes, label, occlusion in zip(panels[0], self.labels, self.results, strict=True):
            effect = (
                say("alone it adds {gain:.3f}", gain=_largest(occlusion))
                if occlusion.kept
                else say("largest drop {drop:.3f}", drop=_largest(occlusion))
            )
            occlusion.draw_photograph(axes, f"{term(label)}\n{effect}")
        meshes = [
            occlusion.draw_map(axes, _extreme(occlusion), (low, high), cmap=cmap)
            for axes, occlusion in zip(panels[1], self.results, strict=True)
        ]
        first = self.results[0]
        clean = float(first.clean[first.target])
        if colorbar:
            colour_bar(
                list(panels[1]), meshes[0], say("red line: nothing covered ({clean:.3f})", clean=clean), clean=clean
            )
        values = {"measure": term(first.measure), "name": first.names[first.target]}
        answer = (
            say("{measure} of {name} from the patch alone", **values)
            if first.kept
            else say("{measure} of {name}", **values)
        )
        figure.suptitle(as_text(f"{first.question.subject_name}: {answer}"), fontsize=10)
        return list(panels[1])

    def _keep(self, folder: Path) -> Path:
        return self._keep_under(self.labels, folder)


def _size(occlusion: Occlusion) -> str:
    return f"{occlusion.patch[0]}x{occlusion.patch[1]}"


def _extreme(occlusion: Occlusion) -> str:
    """Say what the answer is at the cross of the map."""
    value = occlusion.map[occlusion.strongest]
    return say("highest {value:.3f} (x)", value=value) if occlusion.kept else say("lowest {value:.3f} (x)", value=value)


def _largest(occlusion: Occlusion) -> float:
    return float(occlusion.effect.max())


def _listed(names: list[str]) -> str:
    """Join names with commas, the last with "and"."""
    return say(" and ").join([listed(names[:-1]), names[-1]] if len(names) > 1 else names)


def _nan_first(measure: float) -> tuple[bool, float]:
    return not np.isnan(measure), measure


def _alike(first: Occlusion, second: Occlusion) -> bool:
    if first.indifferent or second.indifferent:
        return first.indifferent and second.indifferent
    return _overlap(first, second) >= LEAST_OVERLAP and _correlation(first, second) >= LEAST_CORRELATION


def _overlap(first: Occlusion, second: Occlusion) -> float:
    one, other = _strongest(first.effect), _strongest(second.effect)
    return float((one & other).sum() / (one | other).sum())


def _strongest(effect: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Mark the share of the positions (grid rows, grid columns) that matter most, and what matters as much as the last."""
    count = max(1, round(SHARE * effect.size))
    return effect >= np.partition(effect.ravel(), effect.size - count)[effect.size - count]


def _distance(first: Occlusion, second: Occlusion) -> float:
    corners = [(int(one.top[one.strongest[0]]), int(one.left[one.strongest[1]])) for one in (first, second)]
    return float(np.hypot(corners[0][0] - corners[1][0], corners[0][1] - corners[1][1]))


def _correlation(first: Occlusion, second: Occlusion) -> float:
    return rank_correlation(first.effect.ravel(), second.effect.ravel())


def rank_correlation(first: NDArray[Any], second: NDArray[Any]) -> float:
    """Give Spearman's rank correlation of two sets of numbers (n,), equal ones sharing their ranks; NaN if all are equal.

    >>> rank_correlation(np.array([1, 2, 3]), np.array([1, 8, 27]))
    1.0
    """
    from scipy.stats import rankdata

    ranks = [rankdata(numbers) - (len(numbers) + 1) / 2 for numbers in (first, second)]
    spread = np.sqrt((ranks[0] ** 2).sum() * (ranks[1] ** 2).sum())
    return float((ranks[0] * ranks[1]).sum() / spread) if spread else _NAN
