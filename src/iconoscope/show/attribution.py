"""Gradient methods in the report, beside the occlusion map of the same image."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from iconoscope.results import Attribution, Curves, Result
from iconoscope.results.rendering import colour, data_uri, to_jpeg, to_png

__all__ = ["Attributed", "scored_maps"]


def scored_maps(results: Iterable[Result]) -> dict[str, list[Curves]]:
    """Give the curves of every map that is a result too, by how the curves name it: its technique and key."""
    found: dict[str, list[Curves]] = {}
    for result in results:
        if isinstance(result, Curves):
            found.setdefault(str(result.question.settings.get("map", "")), []).append(result)
    return found


@dataclass(frozen=True)
class Attributed:
    """The maps of one image by gradient methods, and the curves of these maps and of its occlusion maps."""

    results: list[Attribution]
    scored: Mapping[str, list[Curves]]

    def heat(self, result: Attribution) -> str:
        """Give the map on colours that are the same on both sides of zero."""
        full = result.full_red
        return data_uri(to_png(colour(result.map, low=-full, high=full, table="RdBu_r")))

    def overlay(self, result: Attribution) -> str:
        """Give the map laid over the photograph."""
        return data_uri((to_png if min(result.picture.shape[:2]) <= 128 else to_jpeg)(result.overlaid()))

    def finding(self, result: Attribution) -> str:
        """Say what was asked, and whether the values add up."""
        guessed = " (predicted: the image has no label)" if result.target_origin == "prediction" else ""
        clean = float(result.clean[result.target])
        text = f"{result.measure} of {result.names[result.target]}{guessed} {clean:.3f}"
        if result.baseline_answer is not None:
            text += (
                f", of the baseline {result.baseline_answer:.3f}; the values add up to {result.values.sum():.3f}, "
                f"the difference is {clean - result.baseline_answer:.3f}"
            )
        if not result.signed:
            text += "; a gradient has no sign that speaks for or against, and red is its size"
        return f"{text}. Full colour from {result.full_red:.2g} on"

    def areas(self, result: Result) -> list[str]:
        """Give the areas of a map's curves, deletion and insertion, for every way it was scored."""
        return [
            f"Deleted with {one.fill}, area {one.deletion_area:.3f} (moved elsewhere {one.null_deletion_areas.mean():.3f}); "
            f"inserted into {one.start}, {one.insertion_area:.3f} ({one.null_insertion_areas.mean():.3f})."
            for one in self.scored.get(f"{result.question.technique} {result.question.key}", ())
        ]
