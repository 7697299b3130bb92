"""The page of an activation atlas: what there is in the space of a layer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Query, Response

from iconoscope.errors import QuestionError, StoreError
from iconoscope.explorer import messages
from iconoscope.explorer.answering import SessionOf, SubjectOf
from iconoscope.explorer.command_lines import of_set, unusual
from iconoscope.explorer.session import Session
from iconoscope.explorer.subject import Subject
from iconoscope.representation import activation_atlas
from iconoscope.results import ActivationAtlas
from iconoscope.results.folders import without_folders
from iconoscope.show.activation_atlas_page import board_data, picture_sheets

__all__ = ["router"]

router = APIRouter()

LayerName = Annotated[str, Query(max_length=400)]


def _folder(subject: Subject, layer: str) -> Path:
    folders = subject.atlas_folders
    if not layer and folders:
        return next(iter(folders.values()))
    if layer not in folders:
        raise StoreError(
            f"There is no atlas of {layer[:80] or 'any layer'} in the store.", hint="Make one: iconoscope atlas"
        )
    return folders[layer]


@router.get("/activation-atlas")
def show_atlas(session: SessionOf, subject: SubjectOf, layer: LayerName = "") -> messages.AtlasPage:
    """Describe the atlas of a layer, by default the latest; where the store has none, say how one is made."""
    folders = subject.atlas_folders
    if not folders and not layer:
        return _none(session, subject)
    atlas = subject.atlas(_folder(subject, layer))
    drawn, crops = board_data(atlas), _crops(subject, atlas)
    cells = []
    for cell, (grid, row, column) in enumerate(atlas.cells.tolist()):
        strongest = atlas.strongest(cell)
        examples = atlas.examples[cell]
        cells.append(
            messages.AtlasCell(
                grid, row, column, drawn["inks"][cell], int(atlas.counts[cell]),
                classes=[name for name, _ in strongest],
                leads=[lead for _, lead in strongest],
                examples=atlas.crop_numbers[examples[examples >= 0]].tolist(),
            )
        )  # fmt: skip
    return messages.AtlasPage(
        layers=list(folders),
        layer=atlas.layer,
        vectors=len(atlas.points),
        images=len(set(atlas.ids.tolist())),
        agreement=float(np.median(atlas.agreement)),
        grids=drawn["grids"],
        cells=cells,
        crops=crops,
        side=drawn["side"],
        crop=atlas.crop_side,
        page=drawn["page"],
        pictures=len(picture_sheets(atlas)),
        crop_sheets=len(atlas.crop_pages),
        legend={atlas.classes[index]: ink for index, ink in atlas.coloured.items()},
        unframed=atlas.unframed,
        damaged=subject.optional.damaged("atlas"),
        commands=of_set(
            session, subject, "activation_atlas", atlas.layer, command="atlas", **_settings(atlas), out="atlas.html"
        ),
    )


def _settings(atlas: ActivationAtlas) -> dict[str, object]:
    """Give the settings of an atlas that are not the usual ones."""
    settings = atlas.question.settings
    fitting = settings["preprocessing"]["size"]
    unusual_settings = {name: value for name, value in settings.items() if name != "style"}
    if unusual_settings["size"] == fitting:
        del unusual_settings["size"]
    return {
        name: list(value) if name == "grids" and isinstance(value, tuple) else value
        for name, value in unusual(activation_atlas, unusual_settings).items()
    }


def _crops(subject: Subject, atlas: ActivationAtlas) -> list[messages.AtlasCrop]:
    """Name the images of all crops."""
    rows = {} if subject.recording is None else {identity: row for row, identity in enumerate(subject.recording.ids)}
    return [
        messages.AtlasCrop(
            without_folders(identity), rows.get(identity, -1), atlas.classes[target] if target >= 0 else ""
        )
        for identity, target in zip(
            atlas.ids[atlas.with_crops].tolist(), atlas.targets[atlas.with_crops].tolist(), strict=True
        )
    ]


def _none(session: Session, subject: Subject) -> messages.AtlasPage:
    """Say how an atlas is made: of the last layer that answers maps."""
    maps = [layer.name for layer in subject.layers if len(layer.shape) == 3 and min(layer.shape[1:]) > 1]
    layer = maps[-1] if maps else subject.layers[-1].name if subject.layers else ""
    commands = of_set(session, subject, "activation_atlas", layer, command="atlas", out="atlas.html")
    damaged = subject.optional.damaged("atlas")
    return messages.AtlasPage([], layer, 0, 0, 0.0, [], [], [], 1, 1, 1, 0, 0, {}, 0, damaged, commands)


@router.get("/activation-atlas/pictures/{sheet}", response_class=Response)
def show_pictures(sheet: int, subject: SubjectOf, layer: LayerName = "") -> Response:
    """Give a sheet of the cells' pictures, a JPEG."""
    return _sheet(picture_sheets(subject.atlas(_folder(subject, layer))), sheet)


@router.get("/activation-atlas/crops/{sheet}", response_class=Response)
def show_crops(sheet: int, subject: SubjectOf, layer: LayerName = "") -> Response:
    """Give a sheet of crops of photographs, a JPEG."""
    return _sheet(subject.atlas(_folder(subject, layer)).crop_pages, sheet)


def _sheet(sheets: tuple[bytes, ...], number: int) -> Response:
    if not 0 <= number < len(sheets):
        raise QuestionError(f"The atlas has no sheet {number}.", hint=f"There are {len(sheets)}.")
    return Response(sheets[number], media_type="image/jpeg")
