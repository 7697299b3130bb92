"""Pascal VOC: JPEGImages, an XML file of objects for every image, and pictures of which pixels belong to which object.

The format is that of http://host.robots.ox.ac.uk/pascal/VOC/voc2012/devkit_doc.pdf. Boxes there count from 1 and include
their last pixel; 255 in a segmentation is the border that belongs to no object.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from iconoscope.errors import ImageFileError, ImagesError, shortened
from iconoscope.subject.images.annotated import Annotated
from iconoscope.subject.images.decoding import SUFFIXES, decode_indices
from iconoscope.subject.images.encoded_images import EncodedImages, FileReader
from iconoscope.subject.images.folder import list_files
from iconoscope.subject.images.object_choice import MaskReader, labels_of, meant_objects, plain_names
from iconoscope.subject.images.source import Box, Label

__all__ = ["Voc", "is_voc", "open_voc", "read_voc"]

CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog"),
    *("horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)  # in the order of the numbers in SegmentationClass, which begin with 1
VOID = 255


@dataclass(frozen=True)
class VocObject:
    """One object: its class and its box."""

    name: str
    box: Box


@dataclass(frozen=True, eq=False)
class Voc:
    """What the XML files in a folder say; an image is found by its name without the suffix.

    Attributes
    ----------
    root : Path
        The folder that holds ``Annotations``.
    files : dict of str to Path
        The XML files by name.
    """

    root: Path
    files: dict[str, Path] = field(repr=False)

    def labels(self, ids: Sequence[str]) -> list[Label]:
        """Give the class of the images whose objects are all of one, None for the others, with a warning."""
        objects = self.read_objects(ids)
        return labels_of(
            ids, {id: [entry.name for entry in in_image] for id, in_image in objects.items()}, str(self.root)
        )

    def boxes(self, ids: Sequence[str], labels: Sequence[Label]) -> dict[str, tuple[Box, ...]]:
        """Give the boxes of the objects that are meant."""
        return self.boxes_of(self.read_objects(ids), ids, labels)

    def masks(self, ids: Sequence[str], labels: Sequence[Label]) -> dict[str, MaskReader]:
        """Give the pixels of the objects that are meant, read when they are asked for. Raises `ImagesError`."""
        readers = self.masks_of(self.read_objects(ids), ids, labels)
        if not readers:
            raise ImagesError(
                f"{self.root} has no segmentation of these images.",
                hint="Looked in SegmentationClass and SegmentationObject; give it as boxes= for the boxes.",
            )
        return readers

    def read_objects(self, ids: Sequence[str]) -> dict[str, list[VocObject]]:
        """Read the objects of the images that have an XML file. Raises `ImagesError` where none has."""
        by_image = {id: _read(path) for id in ids if (path := self.files.get(PurePosixPath(id).stem))}
        if not by_image:
            raise ImagesError(
                f"None of the {len(self.files)} annotations in {self.root} is of one of these images.",
                hint=f"There: {shortened(self.files, most=3)}; here: {shortened(ids, most=3)}.",
            )
        return by_image

    @staticmethod
    def boxes_of(
        objects: dict[str, list[VocObject]], ids: Sequence[str], labels: Sequence[Label]
    ) -> dict[str, tuple[Box, ...]]:
        """Give the boxes of objects that were read."""
        return {
            id: tuple(objects[id][row].box for row in rows)
            for id, rows in _meant_rows(objects, ids, labels).items()
            if rows
        }

    def masks_of(
        self, objects: dict[str, list[VocObject]], ids: Sequence[str], labels: Sequence[Label]
    ) -> dict[str, MaskReader]:
        """Give the segmentation of objects that were read."""
        segmented = {
            kind: {
                PurePosixPath(name).stem: self.root / kind / name
                for name in list_files(self.root / kind, {".png"}, depth=0)
            }
            for kind in ("SegmentationClass", "SegmentationObject")
            if (self.root / kind).is_dir()
        }
        readers: dict[str, MaskReader] = {}
        for id, rows in _meant_rows(objects, ids, labels).items():
            names = [entry.name for entry in objects[id]]
            chosen = sorted({names[row] for row in rows})
            stem = PurePosixPath(id).stem
            by_class = segmented.get("SegmentationClass", {}).get(stem)
            by_object = segmented.get("SegmentationObject", {}).get(stem)
            if rows and by_class and set(chosen) <= set(CLASSES):
                readers[id] = partial(_pixels, by_class, tuple(CLASSES.index(name) + 1 for name in chosen))
            elif rows and by_object:
                readers[id] = partial(_pixels, by_object, tuple(row + 1 for row in rows))
            elif rows and by_class and len(rows) == len(names):
                readers[id] = partial(_pixels, by_class, ())
        return readers


def is_voc(path: Path) -> bool:
    """Tell whether a folder is the root of a VOC set, or its ``Annotations``."""
    if path.name == "Annotations":
        return any(path.glob("*.xml"))
    return (path / "Annotations").is_dir() and any((path / "Annotations").glob("*.xml"))


def read_voc(path: Path) -> Voc:
    """List the annotations of a VOC set, given by its root or by ``Annotations``."""
    root = path.parent if path.name == "Annotations" else path
    folder = root / "Annotations"
    return Voc(root, {PurePosixPath(name).stem: folder / name for name in list_files(folder, {".xml"}, depth=0)})


def open_voc(path: Path) -> Annotated:
    """Open a VOC set by its root, or by a list in ``ImageSets``: images, labels, boxes, and masks where there are some.

    The label is the class of the objects where all are of one. Raises `ImagesError`.
    """
    listed = path if path.suffix.lower() == ".txt" else None
    root = path.absolute().parents[2] if listed else path
    paths = list_files(root / "JPEGImages", SUFFIXES, depth=0)
    if listed:
        paths = _listed(listed, paths)
    if not paths:
        raise ImagesError(f"There are no images in {root / 'JPEGImages'}.")
    voc = read_voc(root)
    objects = voc.read_objects(paths)
    labels = labels_of(paths, {id: [entry.name for entry in in_image] for id, in_image in objects.items()}, str(path))
    names = tuple(sorted({entry.name for in_image in objects.values() for entry in in_image}))
    files = EncodedImages(str(path), paths, labels, FileReader(root / "JPEGImages", paths), names)
    return Annotated(
        files,
        np.arange(len(paths)),
        masks=voc.masks_of(objects, paths, labels),
        over=voc.boxes_of(objects, paths, labels),
    )


def _meant_rows(
    objects: dict[str, list[VocObject]], ids: Sequence[str], labels: Sequence[Label]
) -> dict[str, list[int]]:
    categories = plain_names({*CLASSES, *(entry.name for in_image in objects.values() for entry in in_image)})
    label_of = dict(zip(ids, labels, strict=True))
    return {
        id: meant_objects([entry.name for entry in in_image], label_of[id], categories)
        for id, in_image in objects.items()
    }


def _listed(path: Path, files: Sequence[str]) -> list[str]:
    """Read a list of ImageSets: a name a line; in the lists of one class, -1 behind it means that it is not there."""
    try:
        lines = [line.split() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise ImagesError(f"{path} cannot be read: {error}.") from error
    by_name = {PurePosixPath(name).stem: name for name in files}
    chosen = [line[0] for line in lines if len(line) < 2 or line[1] != "-1"]
    if missing := [name for name in chosen if name not in by_name]:
        raise ImagesError(f"{path} lists {len(missing)} images that are not in JPEGImages: {shortened(missing)}.")
    return [by_name[name] for name in dict.fromkeys(chosen)]


def _read(path: Path) -> list[VocObject]:
    try:
        root = ElementTree.parse(path).getroot()
        width, height = (float(root.findtext(f"size/{side}") or 0) or math.inf for side in ("width", "height"))
        objects = []
        for item in root.iterfind("object"):
            left, top, right, bottom = (float(item.findtext(f"bndbox/{side}") or "") for side in SIDES)
            box = Box(
                math.floor(max(left - 1, 0)), math.floor(max(top - 1, 0)),
                math.ceil(min(right, width)), math.ceil(min(bottom, height)),
            )  # fmt: skip
            objects.append(VocObject((item.findtext("name") or "").strip(), box))
    except (ElementTree.ParseError, OSError, ValueError, OverflowError) as error:
        raise ImagesError(
            f"{path} cannot be read as an annotation of VOC: {error}.",
            hint="An object has a name and a bndbox with xmin, ymin, xmax, ymax.",
        ) from error
    return objects


SIDES = ("xmin", "ymin", "xmax", "ymax")


def _pixels(path: Path, numbers: tuple[int, ...]) -> NDArray[np.bool_]:
    """Give the pixels with one of the numbers; with none given, all but the ground and the void border."""
    values = decode_indices(path, f"the mask {path}")
    if not numbers:
        return (values != 0) & (values != VOID)
    mask = np.isin(values, numbers) & (values != VOID)
    if not mask.any():
        raise ImageFileError(
            f"the mask {path} cannot be read: it has no pixel of the objects {', '.join(map(str, numbers))}"
        )
    return mask
