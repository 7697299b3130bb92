"""Pascal VOC: a root as it is unpacked, with its void border and its boxes that count from 1."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from iconoscope.errors import IconoscopeWarning, ImagesError
from iconoscope.subject.images import load_images
from iconoscope.subject.images.voc import CLASSES

HEIGHT, WIDTH = 12, 16
OBJECTS = {
    # xmin, ymin, xmax, ymax: from 1, with the last pixel
    "2007_000001": [("dog", (1, 1, 4, 3)), ("person", (5, 6, 16, 12)), ("dog", (10, 2, 10, 2))],
    "2007_000002": [("cat", (2.5, 3, 6.2, 8))],
    "2007_000003": [],
}
XML = """<annotation><filename>{name}.jpg</filename><size><width>16</width><height>12</height><depth>3</depth></size>
{objects}</annotation>"""
OBJECT = """<object><name>{name}</name><pose>Left</pose>
<part><name>head</name><bndbox><xmin>9</xmin><ymin>9</ymin><xmax>10</xmax><ymax>10</ymax></bndbox></part>
<bndbox><xmax>{2}</xmax><xmin>{0}</xmin><ymax>{3}</ymax><ymin>{1}</ymin></bndbox></object>"""


def pixels(box: tuple[float, float, float, float]) -> tuple[slice, slice]:
    left, top, right, bottom = box
    return slice(int(top) - 1, int(bottom)), slice(int(left) - 1, int(right))


def save_palette(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = PillowImage.fromarray(values, "P")
    picture.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0] + [7] * (252 * 3))
    picture.save(path)


@pytest.fixture
def root(tmp_path: Path, write: Callable) -> Path:
    root = tmp_path / "VOC2012"
    (root / "Annotations").mkdir(parents=True)
    for number, (name, objects) in enumerate(OBJECTS.items()):
        write(root / "JPEGImages" / f"{name}.png", HEIGHT, WIDTH, seed=number)
        text = "".join(OBJECT.format(*box, name=kind) for kind, box in objects)
        (root / "Annotations" / f"{name}.xml").write_text(XML.format(name=name, objects=text))
    first, by_object = OBJECTS["2007_000001"], np.zeros((HEIGHT, WIDTH), np.uint8)
    by_class = by_object.copy()
    for number, (kind, box) in enumerate(first, 1):
        by_object[pixels(box)] = number
        by_class[pixels(box)] = CLASSES.index(kind) + 1
    for values in (by_object, by_class):
        values[3:5] = 255  # the void border
    save_palette(root / "SegmentationObject" / "2007_000001.png", by_object)
    save_palette(root / "SegmentationClass" / "2007_000001.png", by_class)
    (root / "ImageSets" / "Main").mkdir(parents=True)
    (root / "ImageSets" / "Main" / "val.txt").write_text("2007_000002\n2007_000001\n")
    (root / "ImageSets" / "Main" / "cat_val.txt").write_text("2007_000001 -1\n2007_000002  1\n")
    return root


def expected(*rows: int) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    for row in rows:
        mask[pixels(OBJECTS["2007_000001"][row][1])] = True
    mask[3:5] = False
    return mask


def test_a_root_is_a_source(root: Path) -> None:
    with pytest.warns(
        IconoscopeWarning, match=r"2 of 3 images have no label .* 1 hold objects of several .*, 1 hold none"
    ):
        images = load_images(root)
    assert images.ids == ("2007_000001.png", "2007_000002.png", "2007_000003.png")
    assert images.labels == [None, "cat", None] and images.label_names == ("cat", "dog", "person")
    # Left and top lose one; right and bottom are the first pixel outside. Fractions are rounded outwards.
    assert [tuple(box) for box in images[0].boxes] == [(0, 0, 4, 3), (4, 5, 16, 12), (9, 1, 10, 2)]
    assert [tuple(box) for box in images[1].boxes] == [(1, 2, 7, 8)]
    assert images[2].boxes == () and images[2].mask is None
    np.testing.assert_array_equal(images[0].mask, expected(0, 1, 2))
    assert images[1].mask is not None and images[1].mask.sum() == 6 * 6  # from its box
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(images))[0].mask, images[0].mask)


def test_lists_of_image_sets(root: Path) -> None:
    with pytest.warns(IconoscopeWarning, match="1 of 2 images have no label"):
        images = load_images(root / "ImageSets" / "Main" / "val.txt")
    assert images.ids == ("2007_000002.png", "2007_000001.png")
    assert load_images(root / "ImageSets" / "Main" / "cat_val.txt").labels == ["cat"]
    (root / "ImageSets" / "Main" / "val.txt").write_text("2007_000009")
    with pytest.raises(ImagesError, match="lists 1 images that are not in JPEGImages: 2007_000009"):
        load_images(root / "ImageSets" / "Main" / "val.txt")


@pytest.mark.parametrize("kept", ["both", "SegmentationClass", "SegmentationObject"])
@pytest.mark.parametrize(("label", "rows"), [("dog", (0, 2)), ("person", (1,)), ("cat", ()), ("n02099601", (0, 1, 2))])
def test_the_object_is_that_of_the_label(root: Path, label: str, rows: tuple[int, ...], kept: str) -> None:
    for kind in ("SegmentationClass", "SegmentationObject"):
        if kept not in ("both", kind):
            (root / kind / "2007_000001.png").unlink()
            (root / kind).rmdir()
    images = load_images(root / "JPEGImages", labels={"2007_000001.png": label}, boxes=root)
    assert len(images[0].boxes) == len(rows)
    if not rows:
        return
    images = load_images(root / "JPEGImages", labels={"2007_000001.png": label}, masks=root)
    np.testing.assert_array_equal(images[0].mask, expected(*rows))


def test_beside_a_folder(root: Path) -> None:
    with pytest.warns(IconoscopeWarning, match=r"2 of 3 images have no label"):
        images = load_images(root / "JPEGImages", labels=str(root), boxes=root / "Annotations")
    assert images.labels == [None, "cat", None] and len(images[0].boxes) == 3


def test_names_of_ones_own_go_by_the_objects(root: Path) -> None:
    file = root / "Annotations" / "2007_000001.xml"
    file.write_text(file.read_text().replace("<name>dog</name>", "<name>hound</name>"))
    images = load_images(root / "JPEGImages", labels={"2007_000001.png": "hound"}, masks=root)
    np.testing.assert_array_equal(images[0].mask, expected(0, 2))


def test_what_does_not_work(root: Path, write: Callable) -> None:
    write(root / "elsewhere" / "x.png")
    with pytest.raises(ImagesError, match=r"None of the 3 annotations in .* is of one of these images"):
        load_images(root / "elsewhere", boxes=root)
    with pytest.raises(ImagesError, match="no segmentation of these images"):
        load_images(root / "JPEGImages" / "2007_000002.png", masks=root)
    save_palette(root / "SegmentationClass" / "2007_000001.png", np.zeros((HEIGHT, WIDTH), np.uint8))
    with pytest.raises(ImagesError, match="has no pixel of the objects 12"):
        _ = load_images(root / "JPEGImages", labels={"2007_000001.png": "dog"}, masks=root)[0].mask
    PillowImage.new("RGB", (WIDTH, HEIGHT)).save(root / "SegmentationClass" / "2007_000001.png")
    with pytest.raises(ImagesError, match="its colour mode is RGB, and numbers of objects"):
        _ = load_images(root / "JPEGImages", labels={"2007_000001.png": "dog"}, masks=root)[0].mask
    for text, message in (("<a>", "cannot be read"), (XML.format(name="x", objects="<object/>"), "could not convert")):
        (root / "Annotations" / "2007_000001.xml").write_text(text)
        with pytest.raises(ImagesError, match=r"2007_000001\.xml cannot be read as an annotation of VOC: .*"):
            load_images(root)
        with pytest.raises(ImagesError, match=message):
            load_images(root)
    for path in (root / "JPEGImages").iterdir():
        path.unlink()
    with pytest.raises(ImagesError, match=r"no images in .*JPEGImages"):
        load_images(root)
