"""COCO annotations: one JSON file of categories, objects with boxes and outlines, and the images that they are in.

The format is that of https://cocodataset.org/#format-data; outlines are drawn by pycocotools.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iconoscope.errors import ImagesError, shortened
from iconoscope.extras import import_extra
from iconoscope.reading import read_json
from iconoscope.subject.images.object_annotations import ObjectAnnotations
from iconoscope.subject.images.source import Box, Label, MaskReader

__all__ = ["Coco", "draw_outlines", "read_coco"]

_MOST_PIXELS = 2**28  # of an image that outlines are drawn for
_FARTHEST = 4  # longer sides of the image, that a corner may lie from the upper left


@dataclass(frozen=True)
class CocoObject:
    """One object: its category, and the entries of it and of its image."""

    name: str
    entry: Mapping[str, Any] = field(repr=False)
    picture: Mapping[str, Any] = field(repr=False)
    image: str

    @property
    def crowd(self) -> bool:
        """Whether it is a region of many."""
        return bool(self.entry.get("iscrowd"))

    @property
    def box(self) -> Box:
        """The box, rounded outwards. Raises `ImagesError`."""
        try:
            left, top, width, height = (float(value) for value in self.entry["bbox"])
            # Written in hundredths of a pixel, a box may end just behind the border.
            right = min(left + width, float(self.picture.get("width", math.inf)))
            bottom = min(top + height, float(self.picture.get("height", math.inf)))
            return Box(math.floor(max(left, 0)), math.floor(max(top, 0)), math.ceil(right), math.ceil(bottom))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ImagesError(
                f"{self.entry.get('bbox')!r} is not a box of {self.image}.",
                hint="In COCO it is left, top, width, height.",
            ) from error


@dataclass(frozen=True, eq=False)
class Coco(ObjectAnnotations[CocoObject]):
    """A file of annotations; its images are found by their file names.

    Attributes
    ----------
    origin : str
        The file.
    names : mapping
        The categories by their ids.
    pictures : mapping
        By file name: the image's entry, and the entries of its objects.
    """

    origin: str
    names: Mapping[Any, str]
    pictures: Mapping[str, tuple[Mapping[str, Any], Sequence[Mapping[str, Any]]]] = field(repr=False)

    def categories(self, objects: Mapping[str, Sequence[CocoObject]]) -> Iterable[str]:
        """Give the names of the categories."""
        return self.names.values()

    def masks(self, ids: Sequence[str], labels: Sequence[Label]) -> dict[str, MaskReader]:
        """Give the outlines of the objects, drawn when they are asked for."""
        meant = self.meant(ids, labels)
        if meant and not any(entry.entry.get("segmentation") for entries in meant.values() for entry in entries):
            raise ImagesError(
                f"{self.origin} holds no outlines of these images, only boxes.", hint="Give it as boxes=."
            )
        import_extra("pycocotools.mask", "coco", self.origin)  # now, and not when the first mask is drawn
        readers: dict[str, MaskReader] = {}
        for id, entries in meant.items():
            outlines = [entry.entry["segmentation"] for entry in entries if entry.entry.get("segmentation")]
            try:
                size = int(entries[0].picture["height"]), int(entries[0].picture["width"])
            except (KeyError, TypeError, ValueError) as error:
                raise ImagesError(f"{self.origin} does not give height and width of {id}.") from error
            if outlines:
                readers[id] = partial(draw_outlines, outlines, size, f"{id} in {self.origin}")
        return readers

    def objects(self, ids: Sequence[str]) -> dict[str, list[CocoObject]]:
        """Find the images: by the whole path, else by the name of the file where no other has the same."""
        counts = Counter(PurePosixPath(id).name for id in ids)
        by_file_name: dict[str, list[str]] = {}
        for path in self.pictures:
            by_file_name.setdefault(PurePosixPath(path).name, []).append(path)
        objects: dict[str, list[CocoObject]] = {}
        for id in ids:
            name = PurePosixPath(id).name
            candidates = [id] if id in self.pictures else by_file_name.get(name, [])
            if len(candidates) == 1 and (candidates[0] == id or counts[name] == 1):
                picture, entries = self.pictures[candidates[0]]
                objects[id] = [
                    CocoObject(self._category(entry), entry, picture, f"{id} in {self.origin}") for entry in entries
                ]
        if not objects:
            raise ImagesError(
                f"None of the {len(self.pictures)} images in {self.origin} is among these.",
                hint=f"There: {shortened(self.pictures, most=3) or 'none'}; here: {shortened(ids, most=3)}.",
            )
        return objects

    def _category(self, entry: Mapping[str, Any]) -> str:
        try:
            return self.names[entry["category_id"]]
        except (KeyError, TypeError) as error:
            raise ImagesError(
                f"{self.origin}: an object has the category {entry.get('category_id')!r}, which is not among the categories."
            ) from error


def read_coco(path: Path) -> Coco | None:
    """Read a file of COCO annotations; None where the JSON is something else. Raises `ImagesError` for a broken one."""
    try:
        content = read_json(path)
    except (OSError, ValueError) as error:
        raise ImagesError(f"{path} cannot be read as JSON: {error}.") from error
    if not isinstance(content, dict) or not {"images", "annotations"} <= content.keys():
        return None
    try:
        categories = {item["id"]: str(item["name"]) for item in content.get("categories", ())}
        by_image: dict[Any, list[Mapping[str, Any]]] = {}
        for item in content["annotations"]:
            by_image.setdefault(item["image_id"], []).append(item)
        pictures = {str(item["file_name"]): (item, by_image.get(item["id"], [])) for item in content["images"]}
    except (KeyError, TypeError, AttributeError) as error:
        raise ImagesError(
            f"{path} is not the instances of COCO: {error} is missing or of another kind.",
            hint="Wanted are images (id, file_name, height, width), annotations (image_id, category_id, bbox, segmentation) "
            "and categories (id, name), as in instances_val2017.json.",
        ) from error
    if not categories:
        raise ImagesError(f"{path} has no categories: captions, perhaps.", hint="Give instances_*.json.")
    return Coco(str(path), categories, pictures)


def draw_outlines(outlines: Sequence[Any], size: tuple[int, int], name: str) -> NDArray[np.bool_]:
    """Draw polygons and run lengths, and lay them together."""
    height, width = size
    if min(size) < 1 or height * width > _MOST_PIXELS:
        raise ImagesError(f"The image of the outlines of {name} is said to have {width} x {height} pixels.")
    drawn = np.zeros(size, np.bool_)
    for outline in outlines:
        try:
            drawn |= _from_polygons(outline, size) if isinstance(outline, list) else _from_runs(outline, size)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ImagesError(f"An outline of {name} cannot be drawn: {error}.") from error
    return drawn


def _from_runs(outline: Mapping[str, Any], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Draw run lengths, as numbers or as the text that pycocotools packs them into.

    pycocotools writes beyond its memory where runs are longer than the image, so they never reach it.
    """
    height, width = size
    counts = outline["counts"]
    runs = np.array(_unpacked(counts) if isinstance(counts, str) else counts, object)
    if list(outline["size"]) != [height, width]:
        raise ValueError(f"it is for {outline['size']} rows and columns, the image has {height} and {width}")
    if runs.ndim != 1 or not all(isinstance(run, int) and 0 <= run <= height * width for run in runs):
        raise ValueError("its runs are not all whole numbers from 0 to the pixels of the image")
    if sum(runs) != height * width:
        raise ValueError(f"its runs are {sum(runs)} pixels long, the image has {height * width}")
    covered = np.arange(len(runs)) % 2 == 1
    return np.repeat(covered, runs.astype(np.int64)).reshape(width, height).T


def _unpacked(text: str) -> list[int]:
    """Give the run lengths in a text: five bits a sign, lowest first; from the fourth on, what the last but one is changed by.

    >>> _unpacked("2221")
    [2, 2, 2, 3]
    """
    runs: list[int] = []
    value, shift = 0, 0
    for sign in text:
        bits = ord(sign) - 48
        if not 0 <= bits < 64 or shift > 60:
            raise ValueError(f"{sign!r} is no sign of packed run lengths")
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:  # the last of this number; its highest bit is the sign
            value -= (bits >> 4 & 1) << shift
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value, shift = 0, 0
    if shift:
        raise ValueError("its run lengths end in the middle of a number")
    return runs


def _from_polygons(polygons: Sequence[Any], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Draw polygons, parts of one object; pycocotools takes memory for every pixel along an edge, however far it is outside."""
    from pycocotools import mask as coco_mask

    height, width = size
    for polygon in polygons:
        corners = np.array(polygon, np.float64)
        if corners.ndim != 1 or len(corners) < 6 or len(corners) % 2:
            raise ValueError("a polygon is not a list of x, y, x, y and so on of three corners or more")
        if not (np.abs(corners) <= _FARTHEST * max(size)).all():
            raise ValueError(f"a polygon has a corner far outside of {width} x {height} pixels")
    if not polygons:
        raise ValueError("it has no polygon")
    drawn = np.zeros(size, np.bool_)
    coded: Any = coco_mask.frPyObjects(list(polygons), height, width)
    for outline in coded:
        drawn |= _from_runs({**outline, "counts": outline["counts"].decode()}, size)
    return drawn
