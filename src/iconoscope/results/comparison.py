"""Several results about one image, held side by side."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

from iconoscope.errors import QuestionError
from iconoscope.results.figure import as_text
from iconoscope.results.occlusion import Occlusion
from iconoscope.results.result import Finding
from iconoscope.results.result_folder import naming_damage, read_records, write_records

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Comparison"]


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(Finding):
    """Results about the same unit and the same pixels before the same network.

    Attributes
    ----------
    results : tuple of Occlusion
        The results, whole.

    Raises
    ------
    QuestionError
        If they are not about the same.
    """

    kind: ClassVar[str]
    results: tuple[Occlusion, ...]

    def __post_init__(self) -> None:
        for result in self.results[1:]:
            self._check(self.results[0], result)

    def _check(self, first: Occlusion, other: Occlusion) -> None:
        pairs = {
            "the weights of the network": (first.question.weights, other.question.weights),
            "its preprocessing": tuple(each.question.settings.get("preprocessing") for each in (first, other)),
            "its classes": (first.names, other.names),
            "the pixels": (first.question.pixels, other.question.pixels),
            "the unit": (first.question.unit, other.question.unit),
            **self._alike(first, other),
        }
        differing = [name for name, (one, another) in pairs.items() if one != another]
        if differing:
            raise QuestionError(
                f"The results for {first.question.subject} and {other.question.subject} differ in {', '.join(differing)}.",
                hint="Ask one network about one image and one unit.",
            )

    def _alike(self, first: Occlusion, other: Occlusion) -> dict[str, tuple[object, object]]:
        """Give what else must be the same in both."""
        return {}

    @abstractmethod
    def _label(self, result: Occlusion) -> str:
        """Say in a word or two what is special about one of the results; no two the same."""

    def plot(self) -> list[Axes]:
        """Draw the results side by side on one scale of colours: the patch that costs most, and the map.

        Returns
        -------
        list of matplotlib.axes.Axes
            Of the maps; ``.figure`` is the whole.
        """
        return self._shown()

    @property
    def _extent(self) -> tuple[float, float]:
        return 0.8 + 2.9 * max(2, len(self.results)), 6.0

    def _on(self, figure: Figure) -> list[Axes]:
        limits = [result.limits() for result in self.results]
        low, high = min(low for low, _ in limits), max(high for _, high in limits)
        panels = figure.subplots(2, len(self.results), squeeze=False)
        for axes, result in zip(panels[0], self.results, strict=True):
            result.draw_photograph(axes, f"{self._label(result)}\nlargest drop {result.drop.max():.3f}")
        meshes = [
            result.draw_map(axes, f"lowest {result.map[result.minimum]:.3f} (x)", (low, high))
            for axes, result in zip(panels[1], self.results, strict=True)
        ]
        first = self.results[0]
        clean = float(first.clean[first.target])
        bar = figure.colorbar(meshes[0], ax=list(panels[1]), fraction=0.046, pad=0.03)
        bar.ax.axhline(clean, color="red", linewidth=2)
        bar.ax.tick_params(labelsize=7)
        bar.set_label(f"red line: nothing covered ({clean:.3f})", fontsize=7)
        asked = f"{first.question.subject}: {first.measure} of {first.names[first.target]}"
        figure.suptitle(as_text(asked), fontsize=10)
        return list(panels[1])

    def _keep(self, folder: Path) -> Path:
        return write_records(
            self.kind, {_file_name(self._label(occlusion)): occlusion.to_record() for occlusion in self.results}, folder
        )

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read back what `save` wrote as a folder.

        Raises
        ------
        StoreError
            If it is not there, or a record of it cannot be read.
        """
        records = read_records(cls.kind, Path(folder))
        with naming_damage(Path(folder)):
            return cls(tuple(Occlusion.from_record(record) for record in records))


def _file_name(label: str) -> str:
    return "".join(sign if sign.isalnum() or sign in "-_." else "-" for sign in label).lstrip(".") or "result"
