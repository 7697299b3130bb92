"""Nuisances: what may come with a class and be learned in its place, each a statistic and an edit.

A nuisance is two functions. The statistic measures something plain of pictures, an array (n, numbers). The edit gives
pictures what others have of it and leaves all else as it is. There are two ways to say what is to be given, and a nuisance
has one of them: by the donors (a tag is copied), or by the numbers wanted (a brightness is set).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from iconoscope.auditing import illumination, image_quality, object_properties, overlays
from iconoscope.auditing.segmentation import Pictures
from iconoscope.errors import check_choice

__all__ = ["EDITED_ALONE", "NUISANCES", "Nuisance"]

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Nuisance:
    """A nuisance that a network may have learned in place of its classes.

    Attributes
    ----------
    name : str
        As it is named in a verdict.
    statistic : callable
        ``statistic(pictures) -> (n, numbers)``: measures it.
    edit : callable
        ``edit(pictures, donors) -> (n, height, width, 3)``: gives every picture what its donor has, donors being pictures
        too; or, where `by` is ``"value"``, ``edit(pictures, values)`` with values as the statistic gives them.
    by : "donor" or "value"
        Which of the two the edit takes. By value, not only another picture's value can be given but also a class's mean.
    needs : "nothing", "object", "native" or "sizes"
        What must be known: where the object is; the pixels as they were stored, not resized; images of different sizes.
    within : str
        The broader nuisance that it is a part of: if the part does nearly as much, the part is named.

    Examples
    --------
    A nuisance of one's own, the brightness of everything:

    >>> def brightness(pictures):
    ...     return pictures.pixels.mean((1, 2, 3))[:, None]
    >>> def set_brightness(pictures, values):
    ...     return (pictures.pixels + (values - brightness(pictures))[:, None, None]).clip(0, 1)
    >>> Nuisance("brightness of everything", brightness, set_brightness, by="value").needs
    'nothing'
    """

    name: str
    statistic: Callable[[Pictures], Floats]
    edit: Callable[[Pictures, Any], Floats]
    by: Literal["donor", "value"] = "donor"
    needs: Literal["nothing", "object", "native", "sizes"] = "nothing"
    within: str = ""

    def __post_init__(self) -> None:
        for setting, choices in (("by", ("donor", "value")), ("needs", ("nothing", "object", "native", "sizes"))):
            check_choice(setting, getattr(self, setting), choices)


_ALL = (
    Nuisance("brightness", illumination.brightness, illumination.set_brightness, "value"),
    Nuisance("contrast", illumination.contrast, illumination.set_contrast, "value"),
    Nuisance("saturation", illumination.saturation, illumination.set_saturation, "value"),
    Nuisance("colour cast", illumination.cast, illumination.set_cast, "value"),
    Nuisance("light gradient", illumination.gradient, illumination.set_gradient, "value"),
    Nuisance(
        "background brightness",
        illumination.background_brightness,
        illumination.set_background_brightness,
        "value",
        within="brightness",
    ),
    Nuisance(
        "background hue", illumination.background_hue, illumination.set_background_hue, "value", within="colour cast"
    ),
    Nuisance("background texture", overlays.texture, overlays.give_texture),
    Nuisance("corner tag", overlays.corners, overlays.give_corners),
    Nuisance("border", overlays.border, overlays.give_border),
    Nuisance("sharpness", image_quality.sharpness, image_quality.set_sharpness, "value"),
    Nuisance("noise", image_quality.noise, image_quality.set_noise, "value"),
    Nuisance("JPEG quality", image_quality.blocks, image_quality.set_blocks, "value", "native"),
    Nuisance("original size", image_quality.original_size, image_quality.set_original_size, "value", "sizes"),
    Nuisance("aspect", object_properties.aspect, object_properties.set_aspect, "value", "sizes"),
    Nuisance("position", object_properties.position, object_properties.set_position, "value", "object"),
    Nuisance("object size", object_properties.size, object_properties.set_size, "value", "object"),
    Nuisance("paint", object_properties.paint, object_properties.set_paint, "value", "object"),
)
NUISANCES: dict[str, Nuisance] = {nuisance.name: nuisance for nuisance in _ALL}
"""The properties that an audit tries if nothing else is said, by name."""

EDITED_ALONE = tuple(nuisance for nuisance in _ALL if nuisance.name != "noise")
"""Those that edit a picture alike, whatever others are edited with it; noise is drawn for all of them at once."""
