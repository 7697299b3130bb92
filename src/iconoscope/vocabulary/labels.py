"""Labels of images, as classes of a network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from iconoscope.errors import UnitError, shortened, warn
from iconoscope.vocabulary.resolver import Names

__all__ = ["match_labels"]


def match_labels(classes: Names, labels: Sequence[str | int | None]) -> NDArray[np.int64]:
    """Give the class index of every label, -1 where there is no label or no such class.

    Labels are looked up by `Names.index`: by name (case, ``_`` and ``-`` aside), numbers as indices. What does not match is
    said in one `IconoscopeWarning`.

    Examples
    --------
    >>> match_labels(Names(("lynx", "bison"), "cars"), ["bison", "Lynx", None]).tolist()
    [1, 0, -1]
    """
    index_of: dict[str | int | None, int] = {None: -1}
    for label in dict.fromkeys(labels):
        if label is not None:
            try:
                index_of[label] = classes.index(label)
            except UnitError:
                index_of[label] = -1
    unmatched = Counter(label for label in labels if label is not None and index_of[label] < 0)
    digits = [
        label for label, index in index_of.items() if index >= 0 and isinstance(label, str) and label not in classes
    ]
    if digits:
        warn(
            f"The labels {shortened(digits, most=4)} are no names of classes and are read as indices, from 0 up: "
            f"{digits[0]} is {classes.names[index_of[digits[0]]]!r}."
        )
    if unmatched:
        counted = shortened((f"{label!r} ({count})" for label, count in unmatched.most_common()), most=8)
        warn(
            f"{unmatched.total()} of {len(labels)} images have labels that are not one class of {classes.owner}: {counted}. "
            f"Its classes are {shortened(classes.names, most=8)}."
        )
    return np.array([index_of[label] for label in labels], np.int64)
