"""The activation atlas of a layer."""

from __future__ import annotations

from dataclasses import dataclass

from iconoscope.explorer.messages.session import Commands, DamagedRecord

__all__ = ["AtlasCell", "AtlasCrop", "AtlasPage"]


@dataclass(frozen=True)
class AtlasCell:
    """A cell of an atlas, and what is said of it.

    Attributes
    ----------
    grid, row, column
        Which of the grids, and where on it.
    ink
        The colour of the class that it speaks for most; empty where there are too many to tell apart.
    count
        How many of the layer's answers lie in it.
    classes, leads
        The classes that it speaks for, the strongest first, and what it adds to their logits over that of all in the mean.
    examples
        Numbers of crops.
    """

    grid: int
    row: int
    column: int
    ink: str
    count: int
    classes: list[str]
    leads: list[float]
    examples: list[int]


@dataclass(frozen=True)
class AtlasCrop:
    """What is around a place of an image: the image's id, its number in the recording (-1 where it is not in it), its label."""

    id: str
    number: int
    label: str


@dataclass(frozen=True)
class AtlasPage:
    """The activation atlas of a layer (`GET activation-atlas?layer=`; without a layer the latest).

    `/api/activation-atlas/pictures/{sheet}` and `/api/activation-atlas/crops/{sheet}` give its sheets, JPEG files.

    Attributes
    ----------
    layers
        Of which the store has one; none where it has none, and then the commands are those that make one.
    layer
        Whose it is, or would be.
    grids
        Cells of each grid on a side.
    side, crop, page
        Of a picture, a crop and a sheet of them, pixels.
    pictures, crop_sheets
        How many sheets there are.
    legend, unframed
        The colours of classes, by their names; and how many have none, since there are too many.
    damaged
        Atlases that cannot be read, of whatever layer.
    """

    layers: list[str]
    layer: str
    vectors: int
    images: int
    agreement: float
    grids: list[int]
    cells: list[AtlasCell]
    crops: list[AtlasCrop]
    side: int
    crop: int
    page: int
    pictures: int
    crop_sheets: int
    legend: dict[str, str]
    unframed: int
    damaged: list[DamagedRecord]
    commands: Commands
