"""Audits on the page of a store: object and background held against each other, in the audit's words."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from iconoscope.language import current_language, term
from iconoscope.results import Audit, ClassVerdict
from iconoscope.results.audit_text import capitalised
from iconoscope.results.estimate import UNKNOWN, Estimate

__all__ = ["AuditPanel", "audit_key"]


def audit_key(audit: Audit) -> tuple[str, str]:
    """Give what audits must have in common to stand in one table: the images, and all settings but the network's recording."""
    settings = {name: setting for name, setting in audit.question.settings.items() if name != "recording"}
    return audit.question.pixels, json.dumps(settings, sort_keys=True)


def _swap(part: str, donor: str) -> Callable[[ClassVerdict], Estimate]:
    return lambda finding: getattr(finding.swaps[part], donor) if part in finding.swaps else UNKNOWN


@dataclass(frozen=True)
class AuditPanel:
    """The same images audited before several networks."""

    audits: list[Audit]
    networks: list[str]  # names of the networks that answered, as the whole page calls them

    MOST: ClassVar = 6  # classes that are listed

    # What was measured, whether it is a control, and where it is.
    MEASURES: ClassVar[tuple[tuple[str, bool, Callable[[ClassVerdict], Estimate]], ...]] = (
        ("another class's object changes the answer", False, _swap("object", "other")),
        ("its own class's object does: the control", True, _swap("object", "control")),
        ("another class's background changes the answer", False, _swap("background", "other")),
        ("its own class's background does: the control", True, _swap("background", "control")),
        ("the patch that costs most is centred on the object", False, lambda finding: finding.pointing),
        ("of what covering costs, this lies on the object", False, lambda finding: finding.object_share),
        ("of the picture, this is the object", True, lambda finding: Estimate(finding.object_area, math.nan, math.nan)),
    )

    def findings(self, audit: Audit) -> dict[str, ClassVerdict]:
        """Give the conclusions by class, in the language that is written in."""
        return audit.findings(current_language())

    def verdict(self, audit: Audit) -> str:
        """Give the conclusion on a network as a sentence."""
        return capitalised(Audit.sentences(current_language()).overall(audit.conclusions))

    def word(self, audit: Audit) -> str:
        """Give the conclusion on a network in a word or two, without what it is about."""
        return term(audit.word)

    @property
    def pairs(self) -> list[tuple[str, Audit]]:
        """Each network's name with its audit."""
        return list(zip(self.networks, self.audits, strict=True))

    @property
    def classes(self) -> list[str]:
        """The classes that are listed: the most frequent answers, network after network."""
        names = dict.fromkeys(name for audit in self.audits for name in audit.classes)
        return list(names)[: self.MOST]

    @property
    def left_out(self) -> int:
        """How many classes are not listed."""
        return len({name for audit in self.audits for name in audit.classes}) - len(self.classes)

    def rows(self, class_name: str) -> list[dict[str, Any]]:
        """Give what was measured of a class before each network, without what could not be measured before any."""
        findings = [audit.classes.get(class_name) for audit in self.audits]
        rows: list[dict[str, Any]] = []
        for words, control, measure in self.MEASURES:
            estimates = [UNKNOWN if finding is None else measure(finding) for finding in findings]
            if not all(math.isnan(estimate.value) for estimate in estimates):
                rows.append({"words": term(words), "control": control, "cells": estimates})
        return rows
