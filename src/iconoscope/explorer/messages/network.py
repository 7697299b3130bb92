"""A network: its layers as a strip, and the audit's verdicts."""

from __future__ import annotations

from dataclasses import dataclass

from iconoscope.explorer.messages.session import Commands, DamagedRecord

__all__ = ["AuditSummary", "ClassVerdict", "LayerSummary", "NetworkPage"]


@dataclass(frozen=True)
class LayerSummary:
    """A layer in the strip: kind (Conv2d, ReLU ...), what it answers, and whether its units were recorded."""

    name: str
    kind: str
    channels: int
    rows: int
    columns: int
    recorded: bool
    dead: list[int]


@dataclass(frozen=True)
class ClassVerdict:
    """What the audit says of a class, or of the network (`name` empty). `findings` are what it names, in words."""

    name: str
    word: str
    text: str
    findings: list[str]


@dataclass(frozen=True)
class AuditSummary:
    """The audit's verdicts. `page` is the address of its whole page."""

    overall: ClassVerdict
    classes: list[ClassVerdict]
    page: str


@dataclass(frozen=True)
class NetworkPage:
    """What a network is.

    Attributes
    ----------
    preprocessing
        In words, line by line: size, mean, std, interpolation, crop, and where each comes from.
    accuracy
        The share of labelled images answered rightly, 0 to 1; None where none is labelled.
    confusion
        Images of each label (row) by answer (column); empty where none is labelled.
    damaged
        Audits that cannot be read.
    """

    name: str
    source: str
    preprocessing: list[str]
    parameters: int | None
    accuracy: float | None
    labelled: int
    confusion: list[list[int]]
    layers: list[LayerSummary]
    audit: AuditSummary | None
    damaged: list[DamagedRecord]
    commands: Commands
