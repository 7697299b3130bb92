"""The rule by which a hypothesis accuses a class, with its constants; and where in the picture a hypothesis is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "HYPOTHESIS_KINDS",
    "LENT",
    "WHOLE_KINDS",
    "Condition",
    "HypothesisTest",
    "SplitTest",
    "decide",
    "error_of_excess",
    "may_name",
    "position_word",
    "power",
    "split_tests",
    "wants_repetition",
]

HYPOTHESIS_KINDS = ("stamp", "mark", "thing", "pixels", "layout", "tone", "spectrum")
"""The most local first: what covers a fixed place, fine detail added there, a small thing anywhere, a few pixels that give the
answer alone, the light and colour of the picture's parts, of all of it, frequencies."""

SMALL_KINDS = ("stamp", "thing")
"""Those that change a small part of the picture, which is the same in all: what these do, little else does."""

WHOLE_KINDS = ("tone", "spectrum")
"""Those that are of the whole picture, and at no place."""

_OF_ALL = ("layout", *WHOLE_KINDS)

# The constants, chosen on networks of photographs with and without shortcuts. docs/audit.md tells how often they are right.
LEAST_EXCESSES = {
    "stamp": 0.06, "mark": 0.06, "thing": 0.10, "pixels": 0.25, "layout": 0.12, "tone": 0.20, "spectrum": 0.15,
}  # fmt: skip
"""Of the answers, changed beyond the control, in the mean of taking and giving."""
LEAST_EXCESSES_OF_FEW = LEAST_EXCESSES | {"tone": 0.25, "spectrum": 0.20}
LEAST_AREAS = {
    "stamp": 0.68, "mark": 0.68, "thing": 0.68, "pixels": 0.92, "layout": 0.85, "tone": 0.91, "spectrum": 0.91,
}  # fmt: skip
LEAST_AREAS_OF_FEW = LEAST_AREAS | {"pixels": math.inf, "layout": 0.88, "tone": 0.93, "spectrum": 0.95}
"""Of the area under the curve by which a hypothesis tells the answers. Fine detail at a fixed place and one small thing are no
natural evidence for a class; light, colour and texture are, so of these only what tells the answer nearly alone. In honest
networks of six to ten classes pixels reach 0.89, layouts 0.82, tones 0.87 and spectra 0.89; in such of two to five layouts
0.78, tones 0.82 and spectra 0.90; and in honest ones that are audited on images with a shortcut spectra 0.93. Of few classes
nobody is accused by pixels: there a few of the object itself turn the answer."""
TELLING = {"tone": (0.95, 0.15), "spectrum": (0.95, 0.08)}
"""Areas from which on a smaller excess will do, and that excess, where there are more than a few classes."""
MARGIN_ALLOWANCE = 0.12
"""How far below the least area that of the pictures' margins may be: what they do not tell may be the object's own. Where
honest networks go by the colours of their objects the whole tells them by 0.87 to 0.96, the margin by 0.53 to 0.71."""
TELLING_ALONE = 0.97
"""Area from which a class is not acquitted: no layout, tone or spectrum tells an honest one so well, whatever edits show. In
networks with shortcuts the largest in classes without one was 0.95."""
FEW = 5  # classes
LEAST_EACH_WAY = 0.03
LEAST_EACH_WAY_OF_PIXELS = (
    0.12  # without what an answer hangs on it changes in any network; the object gives it nearly as seldom
)
TELLING_AREA, ONE_WAY = 0.96, 0.15  # what tells so much, and does so much one way, need do nothing the other way
STANDARD_ERRORS = 3.0
LENT = 80  # pictures of other classes that get a class's thing, in each half
_NEAR, _NEAR_AREA = 0.5, 0.03  # of the least excess; below the least area: what comes nearer is tested on other halves
_AGREEING = 2 / 3  # of the divisions into halves

Decision = Literal["accused", "borderline", "ambiguous", "cleared"]

Condition = Literal["effect", "chance", "one way", "scan", "margin", "conflict", "repeat"]
"""What a property or a hypothesis has to meet before it accuses; a page says which of them one does not meet."""


class SplitTest(NamedTuple):
    """What one division of the pictures into halves gave, each half tested with what the other suggested.

    Attributes
    ----------
    area
        Under the curve by which the hypothesis tells the answer, on pictures that it was not made from.
    taken, given
        The share of the class's answers that change without it, and of other answers that become the class's with it; each
        less the control's. NaN where the area was too small to ask.
    control
        The share that the control changes.
    error
        Standard error of `excess`.
    margin
        The area by which the margin of the pictures alone tells the answer, of what is of the whole picture; NaN where that
        does not matter, or where the objects are known.
    """

    area: float
    taken: float
    given: float
    control: float
    error: float
    margin: float = math.nan

    @property
    def excess(self) -> float:
        """The mean of both ways."""
        return (self.taken + self.given) / 2

    def failed(self, kind: str, classes: int) -> tuple[Condition, ...]:
        """Give the conditions of the rule that it does not meet, where so many classes are answered; none if it passes."""
        less, more = sorted((self.taken, self.given))
        if kind == "pixels":
            works = less >= LEAST_EACH_WAY_OF_PIXELS
        else:
            works = less >= LEAST_EACH_WAY or (self.area >= TELLING_AREA and more >= ONE_WAY)
        conditions: dict[Condition, bool] = {
            "effect": self.excess >= least_excess(kind, classes, self.area),
            "chance": self.excess >= STANDARD_ERRORS * self.error,
            "one way": works,
            "scan": self.area >= least_area(kind, classes),
            "margin": not self.margin < least_area(kind, classes) - MARGIN_ALLOWANCE,
        }
        return tuple(condition for condition, holds in conditions.items() if not holds)


@dataclass(frozen=True)
class HypothesisTest:
    """One hypothesis about one class, tested on several divisions of the pictures.

    Attributes
    ----------
    kind
        One of `HYPOTHESIS_KINDS`.
    classes
        How many classes are answered.
    splits
        Tests; one where it was far from accusing.
    position
        Where it is, as `position_word` says; empty for what is at no place.
    """

    kind: str
    classes: int
    splits: tuple[SplitTest, ...]
    position: str = ""

    @property
    def mean(self) -> SplitTest:
        """The mean of the tests; its error is that of one, as they share the pictures."""
        return _mean(self.splits)

    @property
    def decision(self) -> Decision:
        """Whether it accuses the class."""
        return decide(self.kind, self.classes, self.splits)

    @property
    def tells_alone(self) -> bool:
        """Whether a property of the whole picture tells the answers nearly alone, though no edit of ours changes them by it."""
        return (
            self.kind in _OF_ALL
            and self.mean.area >= TELLING_ALONE
            and "margin" not in self.mean.failed(self.kind, self.classes)
        )


def split_tests(values: NDArray[np.floating]) -> tuple[SplitTest, ...]:
    """Give the tests that are kept as an array (splits, 6); of what was not tested there is the first alone."""
    # Those of earlier versions have no margins.
    splits = [SplitTest(*split) for split in np.asarray(values, np.float64).tolist()]
    return tuple(split for rank, split in enumerate(splits) if not rank or math.isfinite(split.area))


def least_area(kind: str, classes: int) -> float:
    """Give the least area under the curve, where so many classes are answered."""
    return (LEAST_AREAS_OF_FEW if classes <= FEW else LEAST_AREAS)[kind]


def least_excess(kind: str, classes: int, area: float) -> float:
    """Give the least share of answers, where so many classes are answered and the hypothesis tells them so well."""
    if classes <= FEW:
        return LEAST_EXCESSES_OF_FEW[kind]
    telling, smaller = TELLING.get(kind, (1.0, LEAST_EXCESSES[kind]))
    return smaller if area >= telling else LEAST_EXCESSES[kind]


def is_near(kind: str, classes: int, area: float) -> bool:
    """Whether a hypothesis tells the answers nearly well enough, so that pictures are edited to test it."""
    return area >= least_area(kind, classes) - _NEAR_AREA


def wants_repetition(kind: str, classes: int, first: SplitTest) -> bool:
    """Whether a test comes near enough to accusing for it to be repeated on other halves."""
    return is_near(kind, classes, first.area) and first.excess >= _NEAR * least_excess(kind, classes, first.area)


def decide(kind: str, classes: int, splits: tuple[SplitTest, ...]) -> Decision:
    """Accuse where the mean of the tests passes and most of them do; what some pass is borderline.

    What would be accused if the margins of the pictures told it as well is ambiguous: it may be the object's own.

    >>> strong, none = SplitTest(0.9, 0.5, 0.4, 0.1, 0.03), SplitTest(0.6, 0.0, 0.0, 0.1, 0.03)
    >>> [decide("mark", 10, splits) for splits in ((strong, strong, none), (strong, none, none), (none,))]
    ['accused', 'borderline', 'cleared']
    >>> decide("layout", 10, (strong._replace(margin=0.55),))
    'ambiguous'
    """
    failed = [{*split.failed(kind, classes)} for split in splits]
    of_mean = {*_mean(splits).failed(kind, classes)}

    def agreeing(*allowed: Condition) -> bool:
        """Whether the mean and most of the tests pass, whatever they fail of these."""
        passing = sum(conditions <= {*allowed} for conditions in failed)
        return of_mean <= {*allowed} and passing >= _AGREEING * len(failed) - 1e-9

    if agreeing():
        return "accused"
    if agreeing("margin"):
        return "ambiguous"
    return "cleared" if all(failed) else "borderline"


def _mean(splits: tuple[SplitTest, ...]) -> SplitTest:
    return SplitTest(*np.mean(splits, 0).tolist())


def position_word(strength: NDArray[np.floating]) -> str:
    """Say where most of a map (rows, columns) is: in one of nine parts, along the border, or all over.

    >>> corner = np.zeros((9, 9))
    >>> corner[7:, :2] = 1
    >>> position_word(corner), position_word(np.ones((9, 9)))
    ('bottom left', 'all over')
    """
    strength = np.asarray(strength, np.float64) ** 2
    if strength.sum() <= 0:
        return "all over"
    share = strength / strength.sum()
    rows, columns = share.shape
    edge = max(1, round(min(rows, columns) / 16))
    inside = share[edge : rows - edge, edge : columns - edge]
    parts = np.array([
        [part.sum() for part in np.array_split(band, 3, 1)] for band in np.array_split(share, 3, 0)
    ])  # fmt: skip
    row, column = np.unravel_index(int(parts.argmax()), parts.shape)
    if parts.max() >= 0.5:
        return _POSITIONS[int(row)][int(column)]
    if 1 - inside.sum() >= 0.6:
        return "along the border"
    for line, name in ((parts.sum(1), ("across the top", "across the middle", "across the bottom")),
                       (parts.sum(0), ("on the left", "down the middle", "on the right"))):  # fmt: skip
        if line.max() >= 0.6:
            return name[int(line.argmax())]
    return "all over"


_POSITIONS = (
    ("top left", "top", "top right"),
    ("left", "middle", "right"),
    ("bottom left", "bottom", "bottom right"),
)


_NAMES = {
    "stamp": ("border", "corner tag"),
    "mark": ("border", "corner tag"),
    "thing": ("corner tag",),
    "pixels": ("border", "corner tag"),
    "layout": ("contrast", "light gradient", "background brightness", "background hue", "border"),
    "tone": ("brightness", "contrast", "saturation", "colour cast", "background brightness", "background hue"),
    "spectrum": ("sharpness", "noise", "JPEG quality", "background texture", "original size"),
}  # fmt: skip
_POSITIONS_OF = {
    "corner tag": ("top left", "top right", "bottom left", "bottom right"),
    "border": ("along the border",),
}


def may_name(nuisance: str, kind: str, position: str) -> bool:
    """Whether a property can be what a hypothesis of a kind, at a place, found.

    >>> may_name("corner tag", "mark", "bottom right"), may_name("corner tag", "mark", "middle")
    (True, False)
    """
    return nuisance in _NAMES[kind] and position in _POSITIONS_OF.get(nuisance, (position,))


def error_of_excess(*ways: tuple[float, int]) -> float:
    """Give the standard error of the mean of both ways, each a variance and a count of images; never nothing.

    Shares from -1 to 1 have a variance of one image's at the least, however few of them agree.
    """
    return math.sqrt(sum((variance + 1 / count) / count for variance, count in ways)) / 2


def power(images: int, others: int, cost: float = 0.2) -> float:
    """Give the chance that a shortcut of a certain cost passes the bounds of the rule, by the numbers of images alone.

    Parameters
    ----------
    images, others
        How many are answered with the class, and with another, of which no more than `LENT` in each half get its thing.
    cost
        The share of the answers that change with it beyond the control.

    Examples
    --------
    >>> round(power(80, 720), 2), round(power(30, 290), 2)
    (0.96, 0.88)
    """
    from scipy.stats import norm  # half a second to import

    spread = cost * (1 - cost)  # of what happens to an image or not
    error = error_of_excess((spread, images), (spread, min(others, 2 * LENT)))
    return float(norm.cdf((cost - max(LEAST_EXCESSES["spectrum"], STANDARD_ERRORS * error)) / error))
