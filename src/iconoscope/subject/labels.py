"""Which class of the network an image's label means."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from iconoscope.errors import IconoscopeWarning, UnitError, shortened
from iconoscope.subject.network.network import Network

__all__ = ["match_labels"]


def match_labels(network: Network, labels: Sequence[str | int | None]) -> NDArray[np.int64]:
    """Give the class index of every label, -1 where there is no label or no such class.

    Labels are matched by name (case, ``_`` and ``-`` aside); numbers are class indices. What does not match is said in
    one `IconoscopeWarning`.

    Examples
    --------
    >>> from iconoscope.subject.network import load_network
    >>> match_labels(load_network("cars", device="cpu"), ["bison", "Lynx", None]).tolist()
    [1, 0, -1]
    """
    known: dict[str | int, int] = {}
    unknown: Counter[str | int] = Counter()
    numbers: list[str] = []  # texts that are no class's name, but read as an index
    indices = np.full(len(labels), -1, np.int64)
    for position, label in enumerate(labels):
        if label is None:
            continue
        if label not in known and label not in unknown:
            try:
                known[label] = network.class_index(label)
                if isinstance(label, str) and not network.has_class(label):
                    numbers.append(label)
            except UnitError:
                unknown[label] = 0
        if label in known:
            indices[position] = known[label]
        else:
            unknown[label] += 1
    if numbers:
        warnings.warn(
            f"The labels {shortened(numbers, most=4)} are no names of classes and are read as indices, from 0 up: "
            f"{numbers[0]} is {network.classes[known[numbers[0]]]!r}.",
            IconoscopeWarning,
            stacklevel=2,
        )
    if unknown:
        named = shortened((f"{label!r} ({count})" for label, count in unknown.most_common()), most=8)
        warnings.warn(
            f"{unknown.total()} of {len(labels)} images have labels that are not one class of {network.name}: {named}. "
            f"Its classes are {shortened(network.classes, most=8)}.",
            IconoscopeWarning,
            stacklevel=2,
        )
    return indices
