"""Pascal VOC: JPEGImages, an XML file of objects for every image, and pictures of which pixels belong to which object.

The format is that of http://host.robots.ox.ac.uk/pascal/VOC/voc2012/devkit_doc.pdf. Boxes there count from 1 and include
their last pixel; 255 in a segmentation is the border that belongs to no object.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from iconoscope.errors import ImageFileError, ImagesError, shortened
from iconoscope.reading import read_bytes, read_text
from iconoscope.subject.images.decoding import SUFFIXES, decode_indices
from iconoscope.subject.images.encoded_images import EncodedImages, FileReader
from iconoscope.subject.images.folder import list_files
from iconoscope.subject.images.object_annotations import ObjectAnnotations
from iconoscope.subject.images.source import Box, Label, MaskReader

__all__ = ["Voc", "is_voc", "open_voc", "read_voc"]

CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog"),
    *("horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)  # in the order of the numbers in SegmentationClass, which begin with 1
VOID = 255
ANNOTATION_BYTES = 2**24


@dataclass(frozen=True)
class VocObject:
    """One object: its class, its box, and its number in SegmentationObject."""

    name: str
    box: Box
    number: int
    crowd: bool = False


@dataclass(frozen=True, eq=False)
class Voc(ObjectAnnotations[VocObject]):
    """The XML files in a folder; an image is found by its name without the suffix.

    Attributes
    ----------
    origin : str
        What was given.
    root : Path
        The folder that holds ``Annotations``.
    files : dict of str to Path
        The XML files by name.
    """

    origin: str
    root: Path
    files: dict[str, Path] = field(repr=False)
    # Labels, boxes and masks are asked for one after the other; each file is read once.
    _objects: dict[Path, list[VocObject]] = field(default_factory=dict, repr=False)

    def categories(self, objects: Mapping[str, Sequence[VocObject]]) -> Iterable[str]:
        """Give the classes of VOC, and those that are there beside them."""
        return {*CLASSES, *(entry.name for entries in objects.values() for entry in entries)}

    def objects(self, ids: Sequence[str]) -> dict[str, list[VocObject]]:
        """Read the objects of the images that have an XML file. Raises `ImagesError` where none has."""
        paths = {id: path for id in ids if (path := self.files.get(PurePosixPath(id).stem))}
        if not paths:
            raise ImagesError(
                f"None of the {len(self.files)} annotations in {self.root} is of one of these images.",
                hint=f"There: {shortened(self.files, most=3)}; here: {shortened(ids, most=3)}.",
            )
        for path in paths.values():
            if path not in self._objects:
                self._objects[path] = _read(path)
        return {id: self._objects[path] for id, path in paths.items()}

    def masks(self, ids: Sequence[str], labels: Sequence[Label]) -> dict[str, MaskReader]:
        """Give the pixels of the objects that are meant, read when they are asked for. Raises `ImagesError`."""
        readers = self.segmentation(ids, labels)
        if not readers:
            raise ImagesError(
                f"{self.root} has no segmentation of these images.",
                hint="Looked in SegmentationClass and SegmentationObject; give it as boxes= for the boxes.",
            )
        return readers

    def segmentation(self, ids: Sequence[str], labels: Sequence[Label]) -> dict[str, MaskReader]:
        """Give the masks of the objects that are meant, where there are some."""
        by_class, by_object = (self._pictures(folder) for folder in ("SegmentationClass", "SegmentationObject"))
        objects, readers = self.objects(ids), dict[str, MaskReader]()
        for id, meant in self.meant(ids, labels).items():
            stem = PurePosixPath(id).stem
            names = sorted({entry.name for entry in meant})
            if stem in by_class and set(names) <= set(CLASSES):
                numbers = tuple(CLASSES.index(name) + 1 for name in names)
                readers[id] = partial(_pixels, by_class[stem], numbers)
            elif stem in by_object:
                readers[id] = partial(_pixels, by_object[stem], tuple(entry.number for entry in meant))
            elif stem in by_class and len(meant) == len(objects[id]):
                readers[id] = partial(_pixels, by_class[stem], ())
        return readers

    def _pictures(self, folder: str) -> dict[str, Path]:
        path = self.root / folder
        names = list_files(path, {".png"}, depth=0) if path.is_dir() else []
        return {PurePosixPath(name).stem: path / name for name in names}


def is_voc(path: Path) -> bool:
    """Tell whether a folder is the root of a VOC set, or its ``Annotations``."""
    if path.name == "Annotations":
        return any(path.glob("*.xml"))
    return (path / "Annotations").is_dir() and any((path / "Annotations").glob("*.xml"))


def read_voc(path: Path, *, origin: str = "") -> Voc:
    """List the annotations of a VOC set, given by its root or by ``Annotations``."""
    root = path.parent if path.name == "Annotations" else path
    folder = root / "Annotations"
    files = {PurePosixPath(name).stem: folder / name for name in list_files(folder, {".xml"}, depth=0)}
    return Voc(origin or str(root), root, files)


def open_voc(path: Path) -> EncodedImages:
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
    voc = read_voc(root, origin=str(path))
    labels = voc.labels(paths)
    names = tuple(sorted({entry.name for entries in voc.objects(paths).values() for entry in entries}))
    return EncodedImages(
        str(path),
        paths,
        labels,
        FileReader(root / "JPEGImages", paths),
        label_names=names,
        masks_by_id=voc.segmentation(paths, labels),
        boxes_by_id=voc.boxes(paths, labels),
    )


def _listed(path: Path, files: Sequence[str]) -> list[str]:
    """Read a list of ImageSets: a name a line; in the lists of one class, -1 behind it means that it is not there."""
    try:
        lines = [line.split() for line in read_text(path).splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise ImagesError(f"{path} cannot be read: {error}.") from error
    by_name = {PurePosixPath(name).stem: name for name in files}
    chosen = [line[0] for line in lines if len(line) < 2 or line[1] != "-1"]
    if missing := [name for name in chosen if name not in by_name]:
        raise ImagesError(f"{path} lists {len(missing)} images that are not in JPEGImages: {shortened(missing)}.")
    return [by_name[name] for name in dict.fromkeys(chosen)]


def _read(path: Path) -> list[VocObject]:
    try:
        root = ElementTree.fromstring(read_bytes(path, most=ANNOTATION_BYTES))
        width, height = (float(root.findtext(f"size/{side}") or 0) or math.inf for side in ("width", "height"))
        objects = []
        for number, item in enumerate(root.iterfind("object"), 1):
            left, top, right, bottom = (float(item.findtext(f"bndbox/{side}") or "") for side in SIDES)
            box = Box(
                math.floor(max(left - 1, 0)), math.floor(max(top - 1, 0)),
                math.ceil(min(right, width)), math.ceil(min(bottom, height)),
            )  # fmt: skip
            objects.append(VocObject((item.findtext("name") or "").strip(), box, number))
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
