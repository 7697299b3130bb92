"""The patch that follows the mouse: the answers at every position as a page holds them, and the script that shows them.

The element has the still picture in it, which is what is seen where scripts are taken out; the script (``web/src`` in the
repository, built) puts itself in its place. Nothing is fetched, and several elements on a page know nothing of each other.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iconoscope.errors import printable
from iconoscope.language import current_language, number
from iconoscope.results.audit_text import read_words
from iconoscope.results.rendering import data_uri, to_jpeg, to_png
from iconoscope.results.sixteen_bits import sixteen_bits

__all__ = ["FIRST", "KEPT", "PatchAnswers", "kept_classes", "live_element", "live_script", "script_hash", "with_script"]

FIRST = 5
"""Classes whose bars are shown under the patch."""

MOST_VALUES = 2**18
"""Numbers of one result that a page holds, of two bytes each: of more, classes that are seldom among the first are left out."""

_FEW = 32  # classes that are kept all
_FORMAT = 1
_LOSSLESS = 128  # pixels up to which a photograph is kept as PNG


@dataclass(frozen=True, kw_only=True, eq=False)
class PatchAnswers:
    """What a network answers with a patch at every position, as far as a page shows it.

    Attributes
    ----------
    top, left, patch
        As in `Occlusion`.
    clean, occluded
        (outputs,) and (grid rows, grid columns, outputs).
    names, target, measure
        The outputs, which was asked about, and the kind of number. ``"cost"`` is what covering takes from the one output on
        average, where no answers under single patches are known: every position is then a place in the picture.
    fill
        What covers the region, as the question names it; of costs, the size of the patches.
    colour
        The colour of the patch; None where it is no single colour.
    uncovered
        The share of the pixels that no patch reaches.
    floor
        Where the patch is all that is left of the picture: the answers (outputs,) that what it gives is counted from. None
        where it covers.
    approximate
        How the answers were approximated; empty where they are exact.
    """

    top: NDArray[np.int64]
    left: NDArray[np.int64]
    patch: tuple[int, int]
    clean: NDArray[np.floating]
    occluded: NDArray[np.floating]
    names: tuple[str, ...]
    target: int
    measure: str
    fill: str
    colour: tuple[int, int, int] | None
    uncovered: float = 0.0
    floor: NDArray[np.floating] | None = None
    approximate: str = ""

    def packed(self) -> dict[str, Any]:
        """Give all that the page knows of it, as plain values. Numbers take 16 bits: a probability is right to 0.00001.

        Of many classes those are kept that are among the first five somewhere, and the one that was asked about.
        """
        outputs = kept_classes(self.clean, self.occluded, self.target)
        rows = [self.clean[None, outputs], self.occluded[..., outputs].reshape(-1, len(outputs))]
        values = np.concatenate(rows if self.floor is None else [*rows, self.floor[None, outputs]])
        low, high = (0.0, 1.0) if self.measure == "probability" else (float(values.min()), float(values.max()))
        span = high - low if high > low else 1.0
        steps = sixteen_bits((values.astype(np.float64) - low) / span)
        words = read_words(current_language())["live patch"]
        return {
            "top": self.top.tolist(),
            "left": self.left.tolist(),
            "patch": list(self.patch),
            "names": [printable(self.names[index]) for index in outputs.tolist()],
            "target": int(np.flatnonzero(outputs == self.target)[0]),
            "low": low,
            "high": low + span,
            "values": base64.b64encode(steps.tobytes()).decode(),
            "probability": self.measure == "probability",
            "competing": self.measure in ("probability", "logit") and len(self.names) > 1,
            "most": self.measure == "cost",
            "kept": self.floor is not None,
            "fill": "" if self.colour is None else "#" + bytes(self.colour).hex(),
            "facts": printable(self._facts(words, len(outputs))),
            "measure": words["measures"].get(self.measure, self.measure),
        }

    def _facts(self, words: dict[str, Any], count: int) -> str:
        """Say how it was asked, and what of the answer is in the page."""
        say = words["texts"]
        height, width = self.patch
        steps = [int(starts[1] - starts[0]) if len(starts) > 1 else 0 for starts in (self.top, self.left)]
        stride = str(steps[0]) if steps[0] == steps[1] else "x".join(map(str, steps))
        if self.measure == "cost":
            return say["facts cost"].format(patch=self.fill)
        kept = "" if self.floor is None else KEPT
        fill = words["fills"].get(self.fill + kept, words["fills"].get(self.fill, self.fill))
        facts = [say[f"facts{kept}"].format(patch=f"{height}x{width}", stride=stride, fill=fill)]
        if self.uncovered:
            facts.append(say[f"silent{kept}"].format(share=number(self.uncovered, ".0%")))
        if count < len(self.names):
            every = count >= len(_ever_first(self.clean, self.occluded, self.target))
            facts.append(say["kept" if every else "kept some"].format(kept=count, all=len(self.names)))
        if self.approximate:
            facts.append(say["fast"].format(plan=self.approximate))
        return " ".join(facts)


def _ever_first(clean: NDArray[np.floating], occluded: NDArray[np.floating], target: int) -> NDArray[np.int64]:
    """Give the outputs that are among the first somewhere, those that are it most often before others; the target first."""
    answers = np.concatenate([clean[None], occluded.reshape(-1, len(clean))])
    first = min(FIRST, len(clean))
    highest = np.argpartition(-answers, first - 1, axis=1)[:, :first]
    often = np.bincount(highest.ravel(), minlength=len(clean))
    often[highest[0]] += len(answers)  # with nothing covered
    often[target] += 2 * len(answers)
    return np.argsort(-often, kind="stable")[: int((often > 0).sum())]


def kept_classes(clean: NDArray[np.floating], occluded: NDArray[np.floating], target: int) -> NDArray[np.int64]:
    """Choose the outputs that a page holds, in the network's order.

    Parameters
    ----------
    clean, occluded
        (outputs,) and (grid rows, grid columns, outputs).
    target
        The output that was asked about, which is always kept.

    Returns
    -------
    ndarray of int64
        Up to 32 outputs all; of more those that are among the first five at some position or with nothing covered. Where these
        would take more than `MOST_VALUES` numbers, those that are it most often, but always six.

    Examples
    --------
    >>> answers = np.eye(8)[None, :3].astype(float) + np.arange(8) / 100
    >>> kept_classes(answers[0, 0], answers, target=3).tolist()
    [0, 1, 2, 3, 4, 5, 6, 7]
    """
    room = max(FIRST + 1, MOST_VALUES // (1 + occluded.shape[0] * occluded.shape[1]))
    if len(clean) <= min(_FEW, room):
        return np.arange(len(clean))
    return np.sort(_ever_first(clean, occluded, target)[:room])


@cache
def live_script() -> str:
    """Give the script, as it is built from ``web/src``."""
    return (Path(__file__).parent / "scripts" / "live_patch.js").read_text(encoding="ascii").strip()


def script_hash() -> str:
    """Give the source by which a page's Content-Security-Policy lets this script run, and no other."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(live_script().encode()).digest()).decode()}'"


def with_script(element: str) -> str:
    """Give an element with the script behind it, for where there is no page around it: a notebook.

    A second script finds that all elements are awake and does nothing.
    """
    return f"{element}<script>{live_script()}</script>"


def live_element(
    answers: Sequence[PatchAnswers],
    picture: NDArray[np.uint8],
    still: str,
    *,
    alt: str,
    embedded: bool = True,
    captioned: bool = True,
) -> str:
    """Give the element of one photograph as HTML, without the script, which stands once on a page.

    Parameters
    ----------
    answers
        One, or several of the same photograph to choose from.
    picture
        The photograph as the network saw it, (height, width, 3).
    still
        HTML that is shown where there is no script.
    alt
        The name of the photograph.
    embedded
        Whether the photograph is part of the data. If not, the first picture in `still` with the attribute
        ``data-photograph`` is taken.
    captioned
        Whether it says how it is used and what was asked; of several in a row the first does.
    """
    lang = current_language()
    words: dict[str, str] = read_words(lang)["live patch"]["texts"]
    if all(answer.measure == "cost" for answer in answers):
        words = words | {"hint": words["hint cost"], "covered": words["covered cost"]}
    if all(answer.floor is not None for answer in answers):
        words = words | {key.removesuffix(KEPT): text for key, text in words.items() if key.endswith(KEPT)}
    packed = [answer.packed() for answer in answers]
    if not captioned:
        words = words | {"hint": ""}
        packed = [answer | {"facts": ""} for answer in packed]
    contents = {
        "picture": _photograph(picture) if embedded else "",
        "alt": printable(alt),
        "size": list(picture.shape[:2]),
        "comma": lang == "es",
        "words": {key: text for key, text in words.items() if key not in _SAID_HERE and not key.endswith(KEPT)},
        "answers": [
            answer | {"label": printable(label)}
            for answer, label in zip(packed, _labels(answers, read_words(lang)["live patch"]["fills"]), strict=True)
        ],
    }
    # What could end the element it stands in is escaped.
    data = json.dumps(contents, ensure_ascii=False).replace("<", "\\u003c").replace("&", "\\u0026")
    return (
        f'<div class="iconoscope-live" data-format="{_FORMAT}" lang="{html.escape(lang)}">{still}'
        f'<script type="application/json" class="answers">{data}</script></div>'
    )


def _labels(answers: Sequence[PatchAnswers], fills: dict[str, str]) -> list[str]:
    """Say in which patch or fill each differs from others; numbered where it is in neither."""
    parts = [(f"{answer.patch[0]}x{answer.patch[1]}", fills.get(answer.fill, answer.fill)) for answer in answers]
    differing = [axis for axis in (0, 1) if len({part[axis] for part in parts}) > 1] or [0, 1]
    labels = [", ".join(part[axis] for axis in differing) for part in parts]
    if len(set(labels)) == len(labels):
        return labels
    return [f"{label} ({number})" for number, label in enumerate(labels, 1)]


KEPT = " kept"
"""What the keys of texts end with that are for a patch which is all that is left of the picture."""

_SAID_HERE = ("facts", "facts cost", "kept", "kept some", "fast", "silent", "hint cost", "covered cost")
"""Texts that the script does not need."""


def _photograph(picture: NDArray[np.uint8]) -> str:
    return data_uri(to_png(picture) if max(picture.shape[:2]) <= _LOSSLESS else to_jpeg(picture))
