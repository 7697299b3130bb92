"""Photographs to be felt over with a patch: one page of what `occlude` gave, for one image or several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iconoscope.language import current_language
from iconoscope.results import Occlusion, OcclusionSeries
from iconoscope.results.audit_text import AuditText, read_words
from iconoscope.results.live_patch import KEPT, live_element, live_script, script_hash
from iconoscope.show.map_panels import ImagePanels
from iconoscope.show.template import write_page

__all__ = ["occlusion_page"]


def occlusion_page(subjects: Sequence[Occlusion | OcclusionSeries], path: str | Path, *, title: str, lead: str) -> Path:
    """Write occlusions of one image or several as a self-contained page; those with several patches or fills are chosen from.

    Settings are those of `report`.
    """
    lang = current_language()
    words: dict[str, Any] = read_words(lang)["live patch"]
    photographs = [_Photograph(subject, words) for subject in subjects]
    networks = dict.fromkeys(photograph.result.question.network for photograph in photographs)
    return write_page(
        path,
        "occlusions.html.j2",
        lang=lang,
        words=words["page"],
        title=title or words["page"]["title"].format(networks=", ".join(networks)),
        lead=lead,
        photographs=photographs,
        script=live_script(),
        script_hash=script_hash(),
    )


@dataclass(frozen=True)
class _Photograph:
    """One photograph of the page."""

    subject: Occlusion | OcclusionSeries
    words: dict[str, Any]

    @property
    def result(self) -> Occlusion:
        """The result whose pictures are shown without a script: the one with the largest effect."""
        return self.subject.largest if isinstance(self.subject, OcclusionSeries) else self.subject

    @property
    def panels(self) -> ImagePanels:
        """Its pictures."""
        return ImagePanels([self.result], {})

    def live(self, still: str) -> str:
        """Give the element with the patch that follows the mouse; the photograph is the one in `still`."""
        subject = self.subject
        answers = subject.patch_answers() if isinstance(subject, OcclusionSeries) else [subject.patch_answers()]
        name = self.result.question.subject_name
        return live_element(answers, self.result.picture, still, alt=name, embedded=False)

    @property
    def finding(self) -> str:
        """Say who was asked about what, and what covering does at the most or, of a kept patch, what it gives."""
        result, say, text = self.result, self.words["page"], AuditText(current_language())
        row, column = result.strongest
        kept = KEPT if result.kept else ""
        values = {
            "network": result.question.network,
            "measure": self.words["measures"].get(result.measure, result.measure),
            "name": result.names[result.target],
            "clean": text.decimal(float(result.clean[result.target]), ".3f"),
            "lowest": text.decimal(float(result.map[row, column]), ".3f"),
            "patch": f"{result.patch[0]}x{result.patch[1]}",
            "origin": say[result.target_origin],
        }
        finding = say[f"finding{kept}"].format(**values)
        if result.all_covered is not None:
            empty = text.decimal(float(result.all_covered[result.target]), ".3f")
            finding = f"{finding} {say[f'empty{KEPT}'].format(empty=empty)}"
        return f"{finding} {say[f'indifferent{kept}']}" if result.indifferent else finding
