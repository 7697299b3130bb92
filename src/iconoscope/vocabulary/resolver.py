"""The one resolver: which class, label, layer or channel a name means, and what would have worked where it means none.

Networks, recordings, sets of images and searches all ask here, so that one spelling has one meaning everywhere.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Literal

from iconoscope.errors import QuestionError, UnitError, nearest, shortened
from iconoscope.vocabulary.unit import ClassUnit, LayerUnit, Unit, parse_unit

__all__ = ["Names", "check_channel", "find_layer", "plain_name", "resolve"]

_NUMBER = re.compile(r"\d{1,18}")
_PLURAL = {"class": "classes", "label": "labels"}
_ERRORS: dict[str, type[QuestionError]] = {"class": UnitError, "label": QuestionError}
_NONE = {"class": "It knows no classes.", "label": "Its images have no labels; load_images takes labels=."}


@lru_cache(maxsize=1 << 14)
def plain_name(name: str) -> str:
    """Give a name as it is compared: without regard to case, with ``_`` and ``-`` as spaces.

    >>> plain_name("Great-Dane") == plain_name("great_dane") == plain_name("Great Dane")
    True
    """
    return " ".join(name.lower().replace("_", " ").replace("-", " ").split())


@dataclass(frozen=True, eq=False)
class Names:
    """The classes of a network or the labels of a set, looked up as people write them.

    Attributes
    ----------
    names : tuple of str
        The names in order; some may be the same.
    owner : str
        Whose they are, with which messages begin.
    kind : "class" or "label"
        What they name.
    indexed : int or None
        The number of them, from the first, that can be asked by index too; all if None.

    Examples
    --------
    >>> classes = Names(("great white shark", "hen"), "birds")
    >>> classes.index("Great_White-Shark"), classes.index("1"), "Hen" in classes
    (0, 1, True)
    """

    names: tuple[str, ...]
    owner: str
    kind: Literal["class", "label"] = "class"
    indexed: int | None = None

    @cached_property
    def distinct(self) -> tuple[str, ...]:
        """The names, of which those that are the same have their index behind them; `index` takes these too.

        >>> Names(("crane", "hen", "crane"), "birds").distinct
        ('crane (0)', 'hen', 'crane (2)')
        """
        counts = Counter(self.names)
        distinct = [name if counts[name] == 1 else f"{name} ({index})" for index, name in enumerate(self.names)]
        if len(set(distinct)) < len(distinct):  # some name looks like another with its index
            distinct = [f"{name} ({index})" for index, name in enumerate(self.names)]
        return tuple(distinct)

    @cached_property
    def _indices(self) -> dict[str, list[int]]:
        indices: dict[str, list[int]] = {}
        for index, name in enumerate(self.names):
            indices.setdefault(plain_name(name), []).append(index)
        for index, name in enumerate(self.distinct):
            indices.setdefault(plain_name(name), [index])
        return indices

    def matching(self, name: str) -> list[int]:
        """Give the indices that a name may mean: of names that differ only in how they are spelt, those spelt just so."""
        indices = self._indices.get(plain_name(name), [])
        return [index for index in indices if self.names[index] == name] or indices

    def __contains__(self, name: str) -> bool:
        return plain_name(name) in self._indices

    def index(self, name: str | int) -> int:
        """Give the index of what has that name.

        A number is an index. A text is a name, as `plain_name` compares them; if there is none and it is in digits, it is an
        index too.

        Raises
        ------
        UnitError
            If there is no such class, or several share the name.
        QuestionError
            The same of labels.
        """
        matching = self.matching(name) if isinstance(name, str) else []
        if len(matching) == 1:
            return matching[0]
        if matching:
            raise _ERRORS[self.kind](
                f"{len(matching)} {_PLURAL[self.kind]} of {self.owner} are called {name!r}.",
                hint=f"Give the index: one of {', '.join(map(str, matching))}."
                if self.indexed is None
                else f"Give one of {', '.join(self.names[index] for index in matching)} as it is written.",
            )
        indexed = len(self.names) if self.indexed is None else self.indexed
        if _NUMBER.fullmatch(str(name)) and int(name) < indexed:
            return int(name)
        raise self.missing(name)

    def missing(self, name: str | int, *, hint: str = "") -> QuestionError:
        """Make the error that says that there is no such name, with the nearest; `hint` says what else would do."""
        message = f"{self.owner} has no {self.kind} {name!r}"
        if _NUMBER.fullmatch(str(name)) and self.names and self.indexed is None:
            message, close = f"{message}: its {_PLURAL[self.kind]} are 0 to {len(self.names) - 1}", ""
        else:
            close = nearest(str(name), self.names) if self.names else _NONE[self.kind]
        return _ERRORS[self.kind](f"{message}.", hint=" ".join(filter(None, (close, hint))))

    def unit(self, kind: Literal["logit", "prob"], index: int) -> ClassUnit:
        """Give the unit of a class by its index, written with its name or, if that is not unique, its index."""
        unique = len(self._indices[plain_name(self.names[index])]) == 1
        return ClassUnit(kind, self.names[index] if unique else str(index), index)


def resolve(
    unit: str | Unit, classes: Names, layers: Callable[[], Sequence[str]], *, owner: str = "", hint: str = ""
) -> Unit:
    """Give a unit with the full name of its layer, or with the class's own name and index.

    Parameters
    ----------
    unit
        The unit, as it was written.
    classes
        The classes.
    layers
        Gives the full names of all layers; asked only where the unit is one of a layer.
    owner
        Who has these layers, with which messages begin; by default who has the classes.
    hint
        What else would do where there is no such layer; ``{}`` in it is the layer's name.

    Raises
    ------
    UnitError
        If there is no such class or layer; the hint gives the nearest.
    """
    parsed = parse_unit(unit)
    if isinstance(parsed, ClassUnit):
        return classes.unit(parsed.kind, classes.index(parsed.name) if parsed.index is None else parsed.index)
    return replace(parsed, layer=find_layer(parsed.layer, layers(), classes, owner=owner, hint=hint))


def find_layer(name: str, layers: Sequence[str], classes: Names, *, owner: str = "", hint: str = "") -> str:
    """Give the full name of the layer that has this name, or a name that only one ends in; the rest as in `resolve`.

    Raises
    ------
    UnitError
        If there is none, or there are several.
    """
    owner = owner or classes.owner
    if name in layers:
        return name
    ending = [full for full in layers if full.endswith(f".{name}")]
    if len(ending) == 1:
        return ending[0]
    if ending:
        raise UnitError(
            f"{len(ending)} layers of {owner} end in {name!r}.", hint=f"Say which: {shortened(ending, most=20)}."
        )
    close = f"Did you mean logit:{name}, the class?" if name in classes else nearest(name, layers)
    raise UnitError(f"{owner} has no layer {name!r}.", hint=" ".join(filter(None, (close, hint.replace("{}", name)))))


def check_channel(unit: LayerUnit, channels: int) -> None:
    """See that a layer that answers that many channels has the unit's.

    Raises
    ------
    UnitError
        If it has not.
    """
    if unit.channel is not None and unit.channel >= channels:
        raise UnitError(f"{unit.layer} has no channel {unit.channel}: its channels are 0 to {channels - 1}.")
