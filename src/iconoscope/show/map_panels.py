"""Maps on the page of a store: occlusion and gradient methods by image, their curves, and means over many images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iconoscope.language import number, say, term
from iconoscope.results import Attribution, Curves, MeanMap, Occlusion, Result
from iconoscope.results.live_patch import live_element
from iconoscope.results.mean_map import TABLE
from iconoscope.results.rendering import colour, data_uri, lay_out, outlined, to_png
from iconoscope.show.template import Panel, picture_uri

__all__ = ["CurvesPanel", "ImagePanels", "MeanMapPanel", "areas_key", "curves_by_map", "mean_areas"]

# The answer that stays, and the classes that win elsewhere, the most frequent first (colours of Okabe and Ito 2008).
_STAYS = (246, 245, 241)
_WINNERS = ((213, 94, 0), (0, 114, 178), (0, 158, 115), (204, 121, 167), (230, 159, 0))
_OTHERS = (90, 90, 90)


def curves_by_map(results: Iterable[Result]) -> dict[str, list[Curves]]:
    """Give the curves of every map that is a result too, by how the curves name it: its technique and key."""
    by_map: dict[str, list[Curves]] = {}
    for curves in results:
        if isinstance(curves, Curves):
            by_map.setdefault(str(curves.question.settings.get("map", "")), []).append(curves)
    return by_map


@dataclass(frozen=True)
class ImagePanels:
    """One image, covered patch by patch before several networks, and what gradient methods say of it."""

    maps: list[Occlusion | Attribution]
    curves: Mapping[str, list[Curves]]

    @cached_property
    def occlusions(self) -> list[Occlusion]:
        """The maps that a patch has made."""
        return [map for map in self.maps if isinstance(map, Occlusion)]

    @cached_property
    def attributions(self) -> list[Attribution]:
        """The maps of gradient methods."""
        return [map for map in self.maps if isinstance(map, Attribution)]

    @property
    def first(self) -> Occlusion | Attribution:
        """The one whose image stands for all."""
        return [*self.occlusions, *self.attributions][0]

    def picture(self, map: Occlusion | Attribution) -> str:
        """Give the image as the network was shown it, with the object outlined where it is known."""
        if isinstance(map, Occlusion) and map.object_mask is not None:
            return picture_uri(outlined(map.picture, map.object_mask))
        return picture_uri(map.picture)

    def live(self, occlusion: Occlusion, still: str) -> str:
        """Give the element with the patch that follows the mouse; `still` is shown where there is no script."""
        name = occlusion.question.subject_name
        return live_element([occlusion.patch_answers()], occlusion.picture, still, alt=name, embedded=False)

    def heat(self, map: Occlusion | Attribution) -> str:
        """Give the map in colours; of a gradient method, the same on both sides of zero."""
        if isinstance(map, Attribution):
            return data_uri(to_png(colour(map.map, low=-map.full_red, high=map.full_red, table="RdBu_r")))
        low, high = map.limits()
        return _laid_out(map, colour(map.map, low=low, high=high))

    def areas(self, map: Occlusion | Attribution) -> list[str]:
        """Give the areas of a map's curves, deletion and insertion, for every way it was scored."""
        return [
            say(
                "Deleted with {fill}, area {deletion:.3f} (moved elsewhere {deletion_null:.3f}); inserted into {start}, "
                "{insertion:.3f} ({insertion_null:.3f}).",
                fill=curves.fill,
                deletion=curves.deletion_area,
                deletion_null=curves.null_deletion_areas.mean(),
                start=curves.start,
                insertion=curves.insertion_area,
                insertion_null=curves.null_insertion_areas.mean(),
            )
            for curves in self.curves.get(f"{map.question.technique} {map.question.key}", ())
        ]

    def winners(self, occlusion: Occlusion) -> dict[str, Any] | None:
        """Map the class that wins with the patch at each position, and list the classes; None where it is always one."""
        by_frequency = [index for index, _ in Counter(occlusion.winner.ravel().tolist()).most_common()]
        if len(by_frequency) == 1 or occlusion.measure not in ("probability", "logit"):
            return None
        clean = int(occlusion.clean.argmax())
        others = [index for index in by_frequency if index != clean]
        inks = {clean: _STAYS, **dict(zip(others, _WINNERS, strict=False))}
        cells = np.array([inks.get(index, _OTHERS) for index in occlusion.winner.ravel().tolist()], np.uint8)
        share = {index: float((occlusion.winner == index).mean()) for index in by_frequency}
        legend = [(inks[index], occlusion.names[index], share[index]) for index in inks if index in share]
        if rare := others[len(_WINNERS) :]:
            legend.append((_OTHERS, say("{count} other classes", count=len(rare)), sum(share[index] for index in rare)))
        return {
            "map": _laid_out(occlusion, cells.reshape(*occlusion.winner.shape, 3)),
            "legend": [{"ink": "#" + bytes(ink).hex(), "class": name, "share": part} for ink, name, part in legend],
        }

    def worst_patch(self, occlusion: Occlusion) -> dict[str, float]:
        """Give the box of the patch that matters most, percent of the picture."""
        height, width = occlusion.picture.shape[:2]
        row, column = occlusion.strongest
        top, left = int(occlusion.top[row]), int(occlusion.left[column])
        return {
            "top": 100 * top / height,
            "left": 100 * left / width,
            "height": 100 * min(occlusion.patch[0], height - top) / height,
            "width": 100 * min(occlusion.patch[1], width - left) / width,
        }

    def finding(self, map: Occlusion | Attribution) -> str:
        """Say what was asked, and what came of it."""
        guessed = say(" (predicted: the image has no label)") if map.target_origin == "prediction" else ""
        clean = float(map.clean[map.target])
        outcome = _attribution_outcome(map, clean) if isinstance(map, Attribution) else _occlusion_outcome(map)
        answer = say("{measure} of {name}", measure=term(map.measure), name=map.names[map.target])
        return f"{answer}{guessed} {number(clean, '.3f')}{outcome}"


def _occlusion_outcome(occlusion: Occlusion) -> str:
    row, column = occlusion.strongest
    value = occlusion.map[row, column]
    outcome = (
        say(", from a patch alone at most {value:.3f}", value=value)
        if occlusion.kept
        else say(", lowest {value:.3f}", value=value)
    )
    if occlusion.all_covered is not None:
        outcome += say(", with everything covered {value:.3f}", value=occlusion.all_covered[occlusion.target])
    if occlusion.indifferent:
        return outcome + (
            say(": no single patch adds anything") if occlusion.kept else say(": no single patch matters")
        )
    if occlusion.measure == "probability" and occlusion.winner[row, column] != occlusion.clean.argmax():
        outcome += say(": there the answer becomes {name}", name=occlusion.names[int(occlusion.winner[row, column])])
    evidence = occlusion.object_evidence
    if evidence is not None and evidence.pointing is not None:
        values = {
            "share": evidence.share,
            "area": evidence.area,
            "where": say("on it") if evidence.pointing else say("beside it"),
        }
        outcome += (
            say(
                "; {share:.0%} of what patches add lies on the object, which is {area:.0%} of the picture, and the patch that "
                "adds most is centred {where}",
                **values,
            )
            if occlusion.kept
            else say(
                "; {share:.0%} of the drop lies on the object, which is {area:.0%} of the picture, and the patch that costs "
                "most is centred {where}",
                **values,
            )
        )
    return outcome


def _attribution_outcome(attribution: Attribution, clean: float) -> str:
    text = ""
    if attribution.baseline_answer is not None:
        text = say(
            ", of the baseline {baseline:.3f}; the values add up to {total:.3f}, the difference is {difference:.3f}",
            baseline=attribution.baseline_answer,
            total=attribution.values.sum(),
            difference=clean - attribution.baseline_answer,
        )
    if not attribution.signed:
        text += say("; a gradient has no sign that speaks for or against, and red is its size")
    return text + say(". Full colour from {value:.2g} on", value=attribution.full_red)


def _laid_out(occlusion: Occlusion, cells: NDArray[np.uint8]) -> str:
    """Give coloured cells (grid rows, grid columns, 3) as a picture of the image's size."""
    size = (occlusion.picture.shape[0], occlusion.picture.shape[1])
    return data_uri(to_png(lay_out(cells, occlusion.top, occlusion.left, occlusion.patch, size)))


class CurvesPanel(Panel[Curves]):
    """The curves of one map."""

    @property
    def ticks(self) -> list[tuple[str, int]]:
        """Give the ends of the scale and their heights in the template's coordinates."""
        low, high = self.result.limits()
        return [(number(low, ".3g"), 112), (number(high, ".3g"), 11)]

    @property
    def polylines(self) -> list[tuple[str, list[str]]]:
        """Give the curves of either kind in the template's coordinates: the map's own comes last."""
        curves = self.result
        return [
            ("deletion", list(map(self._polyline, (*curves.null_deletion, curves.deletion[:, curves.target])))),
            ("insertion", list(map(self._polyline, (*curves.null_insertion, curves.insertion[:, curves.target])))),
        ]

    def _polyline(self, values: NDArray[np.floating]) -> str:
        low, high = self.result.limits()
        scale = 106 / max(high - low, 1e-12)
        points = zip(self.result.share.tolist(), values.tolist(), strict=True)
        return " ".join(f"{26 + 170 * share:.1f},{110 - scale * (value - low):.1f}" for share, value in points)


def areas_key(curves: Curves) -> tuple[str, ...]:
    """Give what curves must have in common for a mean over them."""
    return curves.question.weights, curves.ranked_by, curves.fill, curves.start


def mean_areas(group: list[Curves], network: str) -> dict[str, Any]:
    """Average the areas of one kind of map over images: its own, and those of the map moved elsewhere."""
    first = group[0]
    deletion = [curves.deletion_area for curves in group], [curves.null_deletion_areas for curves in group]
    insertion = [curves.insertion_area for curves in group], [curves.null_insertion_areas for curves in group]
    return {
        "network": network,
        "ranked_by": first.ranked_by,
        "fill": first.fill,
        "start": first.start,
        "images": len({curves.question.pixels for curves in group}),
        "areas": [(float(np.mean(areas)), float(np.mean(moved))) for areas, moved in (deletion, insertion)],
    }


class MeanMapPanel(Panel[MeanMap]):
    """The mean maps of one set of images, asked in one way of one network."""

    @property
    def left_out(self) -> int:
        """How many classes are not shown."""
        return len(self.result.shown(1 + len(self.result.classes))) - len(self.result.shown(self.most))

    def heat(self, group: int) -> str:
        """Give the map of a group in colours."""
        mean_map = self.result
        cells = colour(mean_map.mean[group], low=-mean_map.limit, high=mean_map.limit, table=TABLE)
        return data_uri(to_png(lay_out(cells, mean_map.top, mean_map.left, mean_map.patch, mean_map.size)))

    def centre(self, row: int, column: int) -> tuple[float, float]:
        """Give the middle of a patch by its row and column in the grid, percent of the picture from above and from the left."""
        (height, width), patch = self.result.size, self.result.patch
        top, left = self.result.top[row], self.result.left[column]
        return (
            100 * (top + min(top + patch[0], height)) / (2 * height),
            100 * (left + min(left + patch[1], width)) / (2 * width),
        )
