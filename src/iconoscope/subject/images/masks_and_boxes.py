"""Masks and boxes of the object, given beside the images in folders, arrays, tables and dicts."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iconoscope.errors import ImagesError, shortened
from iconoscope.subject.images.arrays import as_array, load_npy
from iconoscope.subject.images.decoding import SUFFIXES, decode_mask
from iconoscope.subject.images.folder import list_files, missing_path
from iconoscope.subject.images.pillow_modes import as_mask
from iconoscope.subject.images.source import Box, MaskReader
from iconoscope.subject.images.tables import check_ids, read_table

__all__ = ["read_boxes", "read_masks"]


def read_masks(source: Any, ids: Sequence[str]) -> dict[str, MaskReader]:
    """Find the masks of the images; they are read when they are asked for.

    Parameters
    ----------
    source : str, os.PathLike, mapping, array or sequence of arrays
        A folder with the same relative paths as the images (the suffix may differ), an ``.npy`` file, masks by id, or
        one mask per image.
    ids : sequence of str
        The ids of the images.

    Raises
    ------
    ImagesError
        No mask belongs to an image, or their number is not that of the images.
    """
    if isinstance(source, str | os.PathLike):
        path = Path(source).expanduser()
        if path.is_dir():
            return _from_folder(path, ids)
        if not path.exists():
            raise missing_path(path)
        if path.suffix.lower() != ".npy":
            raise ImagesError(f"{path} is no folder of masks.", hint=MASKS)
        source = load_npy(path)
    if isinstance(source, Mapping):
        check_ids(source, ids, "masks")
        return {id: partial(_read_array, id, source[id]) for id in ids if source.get(id) is not None}
    masks = as_array(source)
    if masks is None:
        if not isinstance(source, Sequence):
            raise ImagesError(f"masks is of type {type(source).__name__}.", hint=MASKS)
        masks = source
    elif masks.ndim == 0:
        raise ImagesError(f"masks is a single value, {masks}.", hint=MASKS)
    elif masks.ndim == 2 and len(ids) == 1:
        masks = masks[None]
    if len(masks) != len(ids):
        raise ImagesError(f"masks holds {len(masks)} masks for {len(ids)} images.", hint=MASKS)
    return {id: partial(_read_array, id, mask) for id, mask in zip(ids, masks, strict=True) if mask is not None}


MASKS = "Give a folder with the same paths as the images, an array (n, height, width), or a dict id -> array."


def _from_folder(folder: Path, ids: Sequence[str]) -> dict[str, MaskReader]:
    paths_in_folder = list_files(folder, SUFFIXES)
    exact = set(paths_in_folder)
    by_stem: dict[str, list[str]] = {}
    for path in paths_in_folder:
        by_stem.setdefault(_stem(path), []).append(path)
    readers: dict[str, MaskReader] = {}
    for id in ids:
        candidates = [id] if id in exact else by_stem.get(_stem(id), [])
        if len(candidates) > 1:
            raise ImagesError(
                f"{folder} holds {len(candidates)} masks for {id}: {shortened(candidates)}.", hint="Keep one of them."
            )
        if candidates:
            path = folder / candidates[0]
            readers[id] = partial(decode_mask, path, f"the mask {path}")
    if not readers:
        raise ImagesError(
            f"None of the {len(paths_in_folder)} images in {folder} has the path of an image.",
            hint=f"The images are {shortened(ids, most=3)}; in the folder are {shortened(paths_in_folder, most=3) or 'none'}.",
        )
    return readers


def _stem(path: str) -> str:
    return str(PurePosixPath(path).with_suffix("")) if PurePosixPath(path).suffix.lower() in SUFFIXES else path


def _read_array(id: str, mask: Any) -> NDArray[np.bool_]:
    values = np.asarray(mask if (array := as_array(mask)) is None else array)
    if values.ndim == 3 and 1 in (values.shape[0], values.shape[-1]):
        values = values[..., 0] if values.shape[-1] == 1 else values[0]
    if values.ndim != 2:
        raise ImagesError(f"The mask of {id} has the shape {values.shape}.", hint="A mask is (height, width).")
    try:
        return as_mask(values)
    except ValueError as error:
        raise ImagesError(f"The mask of {id} cannot be read: {error}.") from error


def read_boxes(source: Any, ids: Sequence[str]) -> dict[str, tuple[Box, ...]]:
    """Read the boxes of the images; whether they lie inside is seen when the image is decoded.

    Parameters
    ----------
    source : str, os.PathLike or mapping
        A CSV (``id,left,top,right,bottom``) or JSON (``{id: [[left, top, right, bottom], ...]}``) file, or a dict.
        Fractions of a pixel are rounded outwards.
    ids : sequence of str
        The ids of the images.

    Raises
    ------
    ImagesError
        The file cannot be read, a box is not four numbers, or none belongs to an image.
    """
    if isinstance(source, str | os.PathLike):
        path = Path(source).expanduser()
        table: Mapping[str, Any] = read_table(path, Box._fields, several=True)
        origin = str(path)
    elif isinstance(source, Mapping):
        table, origin = source, "boxes"
    else:
        raise ImagesError(
            f"boxes is of type {type(source).__name__}.",
            hint="Give a CSV (id,left,top,right,bottom) or JSON file, or a dict id -> [[left, top, right, bottom]].",
        )
    check_ids(table, ids, origin)
    return {id: tuple(_box(id, box) for box in _rows(table[id])) for id in ids if id in table}


def _rows(boxes: Any) -> Sequence[Any]:
    if (array := as_array(boxes)) is not None:
        boxes = array.tolist()
    if not isinstance(boxes, Sequence):
        return [boxes]  # not a box either, which is said with its name
    single = len(boxes) == 4 and not any(isinstance(value, Sequence) for value in boxes)
    return [boxes] if single else boxes


def _box(id: str, box: Any) -> Box:
    try:
        left, top, right, bottom = (float(value) for value in box)
        return Box(math.floor(left), math.floor(top), math.ceil(right), math.ceil(bottom))
    except (TypeError, ValueError, OverflowError) as error:  # not four, not numbers, not finite
        raise ImagesError(
            f"{box!r} is not a box of {id}.",
            hint="A box is left, top, right, bottom in pixels, right and bottom exclusive.",
        ) from error
