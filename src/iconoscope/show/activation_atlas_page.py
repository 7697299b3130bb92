"""An activation atlas as one page to move about in: it holds all pictures, and opens anywhere."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iconoscope.language import say
from iconoscope.results import ActivationAtlas
from iconoscope.results.atlas import PAGE, pack_thumbnails, pages_in
from iconoscope.results.folders import without_folders
from iconoscope.results.rendering import resized
from iconoscope.show.template import write_page

__all__ = ["activation_atlas_page", "board_data", "picture_sheets"]

_SIDES = 32, 64, 128


def activation_atlas_page(atlas: ActivationAtlas, path: str | Path, *, title: str = "", lead: str = "") -> Path:
    """Write an atlas as one self-contained HTML page: move, zoom to a finer grid, and pick a cell.

    Settings are those of `report`.

    Raises
    ------
    StoreError
        If it cannot be written.
    """
    return write_page(
        path,
        "activation_atlas.html.j2",
        title=title
        or say(
            "What there is in {layer} of {network}", layer=atlas.layer, network=without_folders(atlas.question.network)
        ),
        lead=lead,
        atlas=atlas,
        # As JSON that cannot end the element it stands in.
        data=json.dumps({**board_data(atlas), **_details(atlas)}).replace("<", "\\u003c"),
        pictures=[base64.b64encode(sheet).decode() for sheet in picture_sheets(atlas)],
        crops=[base64.b64encode(sheet).decode() for sheet in atlas.crop_pages],
    )


def picture_side(atlas: ActivationAtlas) -> int:
    """Give the side of a cell's picture on its sheet, pixels: as large as it is, or 128."""
    own = min(atlas.cell_pictures.shape[1:3])
    return next((side for side in _SIDES if side >= own), _SIDES[-1])


def picture_sheets(atlas: ActivationAtlas) -> tuple[bytes, ...]:
    """Give the pictures of all cells, JPEG files, as `iconoscope.results.atlas.pack_thumbnails` lays them out."""
    side = picture_side(atlas)

    def squares() -> Iterator[NDArray[np.uint8]]:
        for picture in atlas.cell_pictures:
            shortest = min(picture.shape[:2])
            top, left = (picture.shape[0] - shortest) // 2, (picture.shape[1] - shortest) // 2
            yield resized(picture[top : top + shortest, left : left + shortest], side, side)

    return pages_in(*pack_thumbnails(squares(), len(atlas), side))


def board_data(atlas: ActivationAtlas) -> dict[str, Any]:
    """Give what is drawn of an atlas, as the scripts of pages read it (``AtlasData`` in ``web/src/atlas/view.ts``)."""
    strongest = atlas.leads.argmax(1).tolist()
    return {
        "grids": list(atlas.grids),
        "cells": atlas.cells.tolist(),
        "inks": [atlas.coloured.get(index, "") for index in strongest],
        "side": picture_side(atlas),
        "page": PAGE,
    }


def _details(atlas: ActivationAtlas) -> dict[str, Any]:
    """Give what is said of each cell once it is picked."""
    labels = [atlas.classes[target] if target >= 0 else "" for target in atlas.targets[atlas.with_crops].tolist()]
    return {
        "counts": atlas.counts.tolist(),
        "classes": [[(name, round(value, 5)) for name, value in atlas.strongest(cell)] for cell in range(len(atlas))],
        "examples": [atlas.crop_numbers[examples[examples >= 0]].tolist() for examples in atlas.examples],
        "ids": [without_folders(identity) for identity in atlas.ids[atlas.with_crops].tolist()],
        "labels": labels,
        "crop": atlas.crop_side,
    }
