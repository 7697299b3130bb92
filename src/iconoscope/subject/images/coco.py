"""COCO annotations: one JSON file of categories, objects with boxes and outlines, and the images that they are in.

The format is that of https://cocodataset.org/#format-data; outlines are drawn by pycocotools.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iconoscope.errors import ImagesError, shortened
from iconoscope.extras import import_extra
from iconoscope.subject.images.object_choice import MaskReader, labels_of, meant_objects, plain_names
from iconoscope.subject.images.source import Box, Label

__all__ = ["Coco", "read_coco"]


@dataclass(frozen=True, eq=False)
class Coco:
    """What a file says of images, found by their file names.

    Attributes
    ----------
    origin : str
        The file.
    names : sequence of str
        The categories.
    pictures : mapping
        By file name: the image's entry, and the entries of its objects.
    """

    origin: str
    names: Sequence[str]
    pictures: Mapping[str, tuple[Mapping[str, Any], Sequence[Mapping[str, Any]]]] = field(repr=False)
    categories: Mapping[Any, str] = field(repr=False)

    def labels(self, ids: Sequence[str]) -> list[Label]:
        """Give the category of the images whose objects are all of one, None for the others, with a warning."""
        entries = self._entries(ids)
        return labels_of(
            ids, {id: [self._name(item) for item in items] for id, (_, items) in entries.items()}, self.origin
        )

    def boxes(self, ids: Sequence[str], labels: Sequence[Label]) -> dict[str, tuple[Box, ...]]:
        """Give the boxes of the objects, rounded outwards."""
        meant = self._meant_objects(ids, labels)
        return {id: tuple(self._box(id, picture, item) for item in items) for id, (picture, items) in meant.items()}

    def masks(self, ids: Sequence[str], labels: Sequence[Label]) -> dict[str, MaskReader]:
        """Give the outlines of the objects, drawn when they are asked for."""
        meant = self._meant_objects(ids, labels)
        if meant and not any(item.get("segmentation") for _, items in meant.values() for item in items):
            raise ImagesError(
                f"{self.origin} holds no outlines of these images, only boxes.", hint="Give it as boxes=."
            )
        import_extra("pycocotools.mask", "coco", self.origin)  # now, and not when the first mask is drawn
        readers: dict[str, MaskReader] = {}
        for id, (picture, items) in meant.items():
            outlines = [item["segmentation"] for item in items if item.get("segmentation")]
            try:
                size = int(picture["height"]), int(picture["width"])
            except (KeyError, TypeError, ValueError) as error:
                raise ImagesError(f"{self.origin} does not give height and width of {id}.") from error
            if outlines:
                readers[id] = partial(_draw, outlines, size, f"{id} in {self.origin}")
        return readers

    def _entries(self, ids: Sequence[str]) -> dict[str, tuple[Mapping[str, Any], Sequence[Mapping[str, Any]]]]:
        """Find the images: by the whole path, else by the name of the file where no other has the same."""
        counts = Counter(PurePosixPath(id).name for id in ids)
        short: dict[str, list[str]] = {}
        for name in self.pictures:
            short.setdefault(PurePosixPath(name).name, []).append(name)
        entries = {}
        for id in ids:
            name = PurePosixPath(id).name
            candidates = [id] if id in self.pictures else short.get(name, [])
            if len(candidates) == 1 and (candidates[0] == id or counts[name] == 1):
                entries[id] = self.pictures[candidates[0]]
        if not entries:
            raise ImagesError(
                f"None of the {len(self.pictures)} images in {self.origin} is among these.",
                hint=f"There: {shortened(self.pictures, most=3) or 'none'}; here: {shortened(ids, most=3)}.",
            )
        return entries

    def _meant_objects(self, ids: Sequence[str], labels: Sequence[Label]) -> dict[str, tuple[Mapping, list[Mapping]]]:
        """Give of every image the objects that are meant; regions of crowds are none."""
        meant = {}
        label_of, categories = dict(zip(ids, labels, strict=True)), plain_names(self.names)
        for id, (picture, items) in self._entries(ids).items():
            single = [item for item in items if not item.get("iscrowd")]
            rows = meant_objects([self._name(item) for item in single], label_of[id], categories)
            if rows:
                meant[id] = (picture, [single[row] for row in rows])
        return meant

    def _name(self, item: Mapping[str, Any]) -> str:
        try:
            return self.categories[item["category_id"]]
        except (KeyError, TypeError) as error:
            raise ImagesError(
                f"{self.origin}: an object has the category {item.get('category_id')!r}, which is not among the categories."
            ) from error

    def _box(self, id: str, picture: Mapping[str, Any], item: Mapping[str, Any]) -> Box:
        try:
            left, top, width, height = (float(value) for value in item["bbox"])
            # Written in hundredths of a pixel, a box may end just behind the border.
            most = float(picture.get("width", math.inf)), float(picture.get("height", math.inf))
            right, bottom = min(left + width, most[0]), min(top + height, most[1])
            return Box(math.floor(max(left, 0)), math.floor(max(top, 0)), math.ceil(right), math.ceil(bottom))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ImagesError(
                f"{self.origin}: {item.get('bbox')!r} is not a box of {id}.",
                hint="In COCO it is left, top, width, height.",
            ) from error


def read_coco(path: Path) -> Coco | None:
    """Read a file of COCO annotations; None where the JSON is something else. Raises `ImagesError` for a broken one."""
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
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
    return Coco(str(path), list(categories.values()), pictures, categories)


def _draw(outlines: Sequence[Any], size: tuple[int, int], name: str) -> NDArray[np.bool_]:
    """Draw polygons and run lengths, and lay them together."""
    from pycocotools import mask as coco_mask

    height, width = size
    drawn = np.zeros(size, np.bool_)
    for outline in outlines:
        try:
            if isinstance(outline, list):  # polygons: parts of one object
                parts = coco_mask.frPyObjects(outline, height, width)
            elif isinstance(outline["counts"], list):
                parts = [coco_mask.frPyObjects(outline, height, width)]
            else:
                parts = [outline]
            values = coco_mask.decode(coco_mask.merge(parts)).astype(np.bool_)
        except Exception as error:  # pycocotools answers what is no outline with whatever breaks first
            raise ImagesError(f"An outline of {name} cannot be drawn: {error}.") from error
        if values.shape != size:
            raise ImagesError(
                f"An outline of {name} is for {values.shape[1]} x {values.shape[0]} pixels, the image is {width} x {height}."
            )
        drawn |= values
    return drawn
