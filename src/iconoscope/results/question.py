"""The question that a result answers, and the key that the store files it under."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from iconoscope.language import term
from iconoscope.results.folders import without_folders

__all__ = ["UNSEEN", "Question"]

UNSEEN = "?"
"""Begins the digest of a network of which not all can be seen that decides its answers."""

_UNSEEN_DIGEST = re.compile(r"\?[0-9a-f]{3,16}: (.*)", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Question:
    """A question to a network about pixels, complete enough to be asked again.

    Attributes
    ----------
    technique : str
        Short name of the technique, which is also its folder in the store: ``occlude``, ``top``, ``map``.
    network : str
        How the network was named when it was loaded. Not part of the key.
    weights : str
        Digest of its architecture and weights. Where it begins with ``?``, not all that decides the network's answers can be
        seen; no two such digests are equal.
    subject : str
        What it was asked about, for a person: an image's id, or how many images of where. Not part of the key.
    pixels : str
        Digest of the pixels that it was asked about.
    unit : str
        The unit, resolved, in the grammar of units; empty where the technique asks about none.
    settings : mapping
        All else that decides the answer: preprocessing, patch, fill, seed and so on; plain JSON values.
    version : str
        The version of iconoscope that asked. Not part of the key.
    """

    technique: str
    network: str
    weights: str
    subject: str
    pixels: str
    unit: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    version: str = ""

    def __post_init__(self) -> None:
        # As they come back from disk: lists where tuples were given.
        object.__setattr__(self, "settings", json.loads(json.dumps(dict(self.settings), allow_nan=False)))

    @property
    def key(self) -> str:
        """SHA-256, in hexadecimal, of all that decides the answer.

        >>> asked = Question(technique="occlude", network="n", weights="w", subject="a.jpg", pixels="p")
        >>> asked.key == Question(technique="occlude", network="m", weights="w", subject="b.jpg", pixels="p").key
        True
        """
        decides = {
            name: value for name, value in self.to_json().items() if name not in ("network", "subject", "version")
        }
        return hashlib.sha256(json.dumps(decides, sort_keys=True, allow_nan=False).encode()).hexdigest()

    @property
    def subject_name(self) -> str:
        """The subject as figures and pages show it: without the folders of this disk, in the language that is written in.

        >>> Question(technique="top", network="n", weights="w", subject="9 images from /home/me/cars", pixels="p").subject_name
        '9 images from cars'
        """
        return term(without_folders(self.subject))

    @property
    def unkept(self) -> str:
        """What of the network, or of a prior or functions in the settings, cannot be seen; empty where all is.

        No store keeps such an answer.

        >>> Question(technique="top", network="n", weights="?f00: head.table (mmap.mmap)", subject="", pixels="").unkept
        'head.table (mmap.mmap)'
        """
        return next(filter(None, map(_unseen_in, (self.weights, self.settings))), "")

    def to_json(self) -> dict[str, Any]:
        """Give the question as plain JSON values."""
        return asdict(self)


def _unseen_in(setting: Any) -> str:
    """Give what a digest says that cannot be seen, of settings within settings the first; empty if there is none."""
    if isinstance(setting, Mapping | list):
        parts = setting.values() if isinstance(setting, Mapping) else setting
        return next(filter(None, map(_unseen_in, parts)), "")
    stated = _UNSEEN_DIGEST.fullmatch(setting) if isinstance(setting, str) else None
    return stated.group(1) if stated else ""
