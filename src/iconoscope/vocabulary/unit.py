"""Units: what is asked about. One grammar for Python, the command line, file names and URLs.

===========================  ======================================================================================
``layer2.0.conv1``           a whole layer
``layer2.0.conv1:17``        channel 17 of it
``layer2.0.conv1:17@5,3``    the neuron of channel 17 in row 5, column 3 (``@center`` works too)
``blocks.6.mlp.fc1:17``      in a transformer: feature 17 over all tokens; with ``@5,3`` at the token of that patch
``blocks.6.mlp.fc1:17@cls``  the same at the token of the class
``logit:truck``              the logit of a class, by name or index
``prob:truck``               the probability of a class, by name or index
===========================  ======================================================================================

Parsing needs no network and no torch; whether a network has the unit is asked with :meth:`Network.resolve
<iconoscope.subject.network.Network.resolve>`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from iconoscope.errors import UnitError

__all__ = ["ClassUnit", "LayerUnit", "Unit", "parse_unit"]

# A number of more digits counts nothing, and Python would not read it.
_LAYER = re.compile(r"(?P<layer>[\w.\-/]+)(?::(?P<channel>\d{1,18})(?:@(?P<position>center|cls|\d{1,18},\d{1,18}))?)?")
_GRAMMAR = (
    "Units look like layer2.0.conv1, layer2.0.conv1:17, layer2.0.conv1:17@5,3, blocks.6.mlp.fc1:17@cls, logit:truck or "
    "prob:truck."
)


@dataclass(frozen=True)
class LayerUnit:
    """A layer, one of its channels, or one neuron of a channel.

    Attributes
    ----------
    layer : str
        A name of ``module.named_modules()``, or an ending of one that no other name has.
    channel : int or None
        The channel; ``None`` asks about the whole layer.
    position : tuple of int, "center", "cls" or None
        The row and the column in the layer's map, or of the patch whose token is meant; the token of the class; ``None`` asks
        about the whole channel.
    """

    layer: str
    channel: int | None = None
    position: tuple[int, int] | Literal["center", "cls"] | None = None

    def __str__(self) -> str:
        text = self.layer
        if self.channel is not None:
            text += f":{self.channel}"
        if self.position is not None:
            text += "@" + (self.position if isinstance(self.position, str) else "{},{}".format(*self.position))
        return text


@dataclass(frozen=True)
class ClassUnit:
    """The logit or the probability of a class.

    Attributes
    ----------
    kind : "logit" or "prob"
        Before or after the softmax.
    name : str
        The name of the class or, in digits, its index.
    index : int or None
        Its index, once a network has resolved the unit.
    """

    kind: Literal["logit", "prob"]
    name: str
    index: int | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"


Unit = LayerUnit | ClassUnit
"""A layer, a channel, a neuron or a class to ask about; written as a string."""


def parse_unit(text: str | Unit) -> Unit:
    """Read a unit written in the grammar of this module.

    Parameters
    ----------
    text : str or Unit
        The unit as written; a unit already parsed is given back.

    Returns
    -------
    Unit
        A `LayerUnit` or a `ClassUnit`; ``str()`` of it is the text again.

    Raises
    ------
    UnitError
        If the text does not follow the grammar.

    Examples
    --------
    >>> parse_unit("layer2.0.conv1:17@5,3")
    LayerUnit(layer='layer2.0.conv1', channel=17, position=(5, 3))
    >>> str(parse_unit("prob:great white shark"))
    'prob:great white shark'
    """
    if isinstance(text, LayerUnit | ClassUnit):
        return text
    if not isinstance(text, str):
        raise UnitError(f"A unit is written as a string; {text!r} is a {type(text).__name__}.", hint=_GRAMMAR)
    kind, colon, name = text.strip().partition(":")
    if kind in ("logit", "prob") and colon:
        if not name.strip():
            raise UnitError(f"{text!r} names no class.", hint=f"Write {kind}:truck, or {kind}:9 for the class's index.")
        return ClassUnit("logit" if kind == "logit" else "prob", name.strip())
    match = _LAYER.fullmatch(text.strip())
    if match is None:
        raise UnitError(f"{text!r} is not a unit.", hint=_GRAMMAR)
    channel, position = match["channel"], match["position"]
    if position is None:
        return LayerUnit(match["layer"], None if channel is None else int(channel))
    if position in ("center", "cls"):
        return LayerUnit(match["layer"], int(channel), position)
    row, column = position.split(",")
    return LayerUnit(match["layer"], int(channel), (int(row), int(column)))
