"""The page of a store: what it holds, and nothing else, as one HTML file that opens anywhere."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from iconoscope.errors import StoreError, check_counts
from iconoscope.language import current_language, say
from iconoscope.results import (
    SIDES,
    ActivationAtlas,
    ActivationSheet,
    Attribution,
    Audit,
    Circuit,
    Concepts,
    Curves,
    FilterSheet,
    FoolingPictures,
    ImageMap,
    Inversion,
    MeanMap,
    Occlusion,
    Profile,
    Question,
    Result,
    TopImages,
    UnitSearch,
    Visualization,
)
from iconoscope.results.audit_text import read_words
from iconoscope.results.live_patch import live_script, script_hash
from iconoscope.show.audit_panels import AuditPanel, audit_key
from iconoscope.show.map_panels import CurvesPanel, ImagePanels, MeanMapPanel, areas_key, curves_by_map, mean_areas
from iconoscope.show.template import Panel, write_page
from iconoscope.show.unit_panels import (
    ActivationAtlasPanel,
    ImageMapPanel,
    OptimizedPanel,
    UnitSearchPanel,
    sheet_key,
)
from iconoscope.signatures import checked
from iconoscope.store import Store, load_question, load_result

__all__ = ["store_page"]

R = TypeVar("R", bound=Result)


@checked
def store_page(
    store: Store | str | Path, out: str | Path = "report.html", *, title: str = "", lead: str = "", most: int = 24
) -> Path:
    """Write what a store holds as one self-contained HTML page.

    Networks that were asked the same about the same image stand side by side. The page needs no network connection, fits a
    phone, and follows the reader's choice of light or dark.

    Parameters
    ----------
    store
        The folder with the results.
    out
        Where to write the page.
    title
        Its heading; one is made if none is given.
    lead
        A sentence or two under the heading, for readers who do not know what was asked.
    most
        How many images are shown at the most; the page says how many there are.

    Returns
    -------
    Path
        Of the page.

    Raises
    ------
    StoreError
        If the store holds nothing, or the page cannot be written.
    """
    check_counts(most=most)
    store = Store.at(store)
    results, questions, damaged = _read(store, most)
    if not results:
        raise StoreError(
            f"{store.folder} holds no result to report.",
            hint="Ask something first, for example: iconoscope occlude --network ... --images ... --store DIR",
        )
    page = _Page(results, questions, most)
    return write_page(
        out,
        "store.html.j2",
        page=page,
        sides=SIDES,
        title=title or page.heading,
        lead=lead,
        damaged=damaged,
        words=read_words(current_language())["live patch"]["page"],
        script=live_script(),
        script_hash=script_hash(),
    )


_OF_ONE_IMAGE = (Occlusion.kind, Attribution.kind)


def _read(store: Store, most: int) -> tuple[list[Result], list[tuple[str, Question]], list[str]]:
    """Read what is shown; the kind and question of everything; and what is wrong with damaged records.

    Of what is not shown only the question is read: a whole data set would not fit into memory. A damaged result must not
    take the others with it, but is named on the page.
    """
    results: list[Result] = []
    questions: list[tuple[str, Question]] = []
    damaged: list[str] = []
    images: set[str] = set()  # the pixels of those that are shown
    for folder in store.folders():
        try:
            kind, question = load_question(folder)
            questions.append((kind, question))
            if kind in _OF_ONE_IMAGE and question.pixels not in images:
                if len(images) >= most:
                    continue
                images.add(question.pixels)
            results.append(load_result(folder))
        except StoreError as error:
            damaged.append(error.message.replace(f"{store.folder}{os.sep}", ""))
    return results, questions, damaged


@dataclass(frozen=True)
class _Page:
    results: list[Result]
    all_questions: list[tuple[str, Question]]  # the kind and the question of all that the store holds
    most: int

    AT_ONCE: ClassVar[int] = 6
    """Images that are seen before the others are unfolded, where each was asked about once: a mean asks about hundreds."""
    PANELS: ClassVar[dict[str, type[Panel[Any]]]] = {
        MeanMap.kind: MeanMapPanel,
        Profile.kind: Panel,
        UnitSearch.kind: UnitSearchPanel,
        TopImages.kind: Panel,
        ImageMap.kind: ImageMapPanel,
        Concepts.kind: Panel,
        ActivationAtlas.kind: ActivationAtlasPanel,
        Circuit.kind: Panel,
        ActivationSheet.kind: Panel,
        FilterSheet.kind: Panel,
        Inversion.kind: Panel,
        FoolingPictures.kind: Panel,
    }

    @cached_property
    def names(self) -> dict[str, str]:
        """The networks' names by their digests, in the order in which they were first asked; never two the same."""
        names: dict[str, str] = {}
        for _, question in self.all_questions:
            names.setdefault(question.weights, question.network)
        shared = {name for name, count in Counter(names.values()).items() if count > 1}
        return {digest: f"{name} [{digest[:6]}]" if name in shared else name for digest, name in names.items()}

    def name(self, result: Result) -> str:
        return self.names[result.question.weights]

    @property
    def heading(self) -> str:
        *first, last = self.names.values()
        if len(first) > 2:
            return say("What did {count} networks learn?", count=len(self.names))
        return (
            say("What did {first} and {last} learn?", first=", ".join(first), last=last)
            if first
            else say("What did {network} learn?", network=last)
        )

    def of_kind(self, kind: type[R]) -> list[R]:
        return [result for result in self.results if isinstance(result, kind)]

    def panels(self, *kinds: str) -> list[Panel[Any]]:
        """Give the panels of all results of some kinds."""
        return [
            self.PANELS[result.kind](result, self.name(result), self.most)
            for result in self.results
            if result.kind in kinds
        ]

    @cached_property
    def audits(self) -> list[AuditPanel]:
        groups = _grouped(self.of_kind(Audit), audit_key)
        return [AuditPanel(group, [self.name(audit) for audit in group]) for group in groups]

    @cached_property
    def images(self) -> list[ImagePanels]:
        """The images that have maps."""
        maps = [result for result in self.results if isinstance(result, Occlusion | Attribution)]
        curves = curves_by_map(self.results)
        return [ImagePanels(of_image, curves) for of_image in _grouped(maps, lambda map: map.question.pixels)]

    @property
    def image_count(self) -> int:
        """Number of images that were asked about, shown or not."""
        return len({question.pixels for kind, question in self.all_questions if kind in _OF_ONE_IMAGE})

    @property
    def alone(self) -> bool:
        """Whether every image was asked about once only, so that there is nothing to put side by side."""
        return all(len(image.maps) == 1 for image in self.images)

    @cached_property
    def all_curves(self) -> list[Curves]:
        """The scored maps; those of one image follow one another."""
        by_image = _grouped(self.of_kind(Curves), lambda curves: curves.question.pixels)
        return [curves for of_image in by_image for curves in of_image]

    @property
    def curves(self) -> list[CurvesPanel]:
        return [CurvesPanel(curves, self.name(curves), self.most) for curves in self.all_curves[: self.most]]

    @cached_property
    def mean_areas(self) -> list[dict[str, Any]]:
        """The mean areas of every kind of map, where there is more than one to compare."""
        probabilities = [curves for curves in self.all_curves if curves.measure == "probability"]
        if len(probabilities) < 2:
            return []
        return [mean_areas(group, self.name(group[0])) for group in _grouped(probabilities, areas_key)]

    @cached_property
    def optimized(self) -> list[OptimizedPanel]:
        sheets = _grouped(self.of_kind(Visualization), sheet_key)
        return [OptimizedPanel(sheet, self.name(sheet[0])) for sheet in sheets]

    @property
    def questions(self) -> list[Result]:
        """Results on the page, each with its question, in the order of the page."""
        return [
            *(panel.result for panel in self.panels(MeanMap.kind)),
            *(audit for panel in self.audits for audit in panel.audits),
            *(map for image in self.images for map in (*image.occlusions, *image.attributions)),
            *(panel.result for panel in self.curves),
            *(result for panel in self.optimized for result in panel.results[: panel.MOST]),
            *(panel.result for kind in self.PANELS if kind != MeanMap.kind for panel in self.panels(kind)),
        ]


def _grouped(results: list[R], key: Callable[[R], Hashable]) -> list[list[R]]:
    groups: dict[Hashable, list[R]] = {}
    for result in results:
        groups.setdefault(key(result), []).append(result)
    return list(groups.values())
