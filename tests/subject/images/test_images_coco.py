"""COCO annotations, against pycocotools' own reading of the same file."""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from iconoscope.errors import IconoscopeWarning, ImagesError, MissingExtraError
from iconoscope.subject.images import load_images
from iconoscope.subject.images.coco import draw_outlines
from iconoscope.subject.images.object_annotations import meant_objects, plain_names

pycocotools = pytest.importorskip("pycocotools")
# pycocotools has not followed NumPy 2 yet.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")

HEIGHT, WIDTH = 40, 50
CATEGORIES = [{"id": 18, "name": "dog"}, {"id": 1, "name": "person"}, {"id": 64, "name": "potted plant"}]


def rle(values: np.ndarray) -> dict[str, Any]:
    """Uncompressed run lengths, as crowds have them: columns first, beginning with zeros."""
    flat = values.flatten(order="F").astype(int)
    ends = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff(np.concatenate([[0], ends, [len(flat)]])).tolist()
    return {"size": list(values.shape), "counts": counts if not flat[0] else [0, *counts]}


def packed(values: np.ndarray) -> dict[str, Any]:
    from pycocotools import mask

    coded: Any = mask.encode(np.asfortranarray(values.astype(np.uint8)))
    return {**coded, "counts": coded["counts"].decode()}


def block(top: int, bottom: int, left: int, right: int) -> np.ndarray:
    values = np.zeros((HEIGHT, WIDTH), bool)
    values[top:bottom, left:right] = True
    return values


POLYGON = [[5.2, 6.1, 20.4, 7.3, 18.0, 30.6, 4.0, 25.0], [30, 30, 40, 30, 35, 39]]
OBJECTS = [
    # image, category, outline, box, crowd
    (7, 18, POLYGON, [4.0, 6.1, 36.0, 32.9], 0),
    (7, 1, packed(block(20, 38, 30, 48)), [30, 20, 18, 18], 0),
    (7, 1, rle(block(0, 5, 0, 50)), [0, 0, 50, 5], 1),
    (8, 1, rle(block(2, 9, 3, 11)), [3, 2, 8, 7], 0),
    (8, 1, [[10, 20, 20.5, 20, 20.5, 39.99]], [10, 20, 40.01, 20.01], 0),
    (9, 64, packed(block(1, 3, 1, 3)), [1, 1, 2, 2], 0),
]


@pytest.fixture
def folder(tmp_path: Path, write: Callable) -> Path:
    for number, name in enumerate(("a.png", "b.png", "c.png", "none.png")):
        write(tmp_path / "images" / name, HEIGHT, WIDTH, seed=number)
    pictures = [
        {"id": number, "file_name": name, "height": HEIGHT, "width": WIDTH}
        for number, name in ((7, "a.png"), (8, "b.png"), (9, "c.png"), (10, "none.png"), (11, "elsewhere.png"))
    ]
    annotations = [
        {"id": row, "image_id": image, "category_id": kind, "segmentation": outline, "bbox": box, "iscrowd": crowd}
        for row, (image, kind, outline, box, crowd) in enumerate(OBJECTS)
    ]
    content = {"info": {}, "images": pictures, "annotations": annotations, "categories": CATEGORIES}
    (tmp_path / "instances.json").write_text(json.dumps(content))
    return tmp_path


def truth(folder: Path, rows: list[int]) -> np.ndarray:
    from pycocotools.coco import COCO

    coco = COCO(folder / "instances.json")
    return np.logical_or.reduce([coco.annToMask(coco.anns[row]) for row in rows])


def test_masks_are_those_of_pycocotools(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = load_images(folder / "images", masks=folder / "instances.json")
    assert not capsys.readouterr().out
    assert images[3].mask is None
    for row, objects in ((0, [0, 1]), (1, [3, 4]), (2, [5])):  # without the crowd
        np.testing.assert_array_equal(images[row].mask, truth(folder, objects))
    again = pickle.loads(pickle.dumps(images))
    np.testing.assert_array_equal(again[0].mask, images[0].mask)


@pytest.mark.parametrize(
    ("label", "objects"), [("dog", [0]), ("Person", [1]), ("potted_plant", []), ("n02099601", [0, 1]), (3, [0, 1])]
)
def test_the_object_is_that_of_the_label(folder: Path, label: Any, objects: list[int]) -> None:
    file = folder / "instances.json"
    images = load_images(folder / "images", labels=[label, None, None, None], masks=file, boxes=file)
    if not objects:
        assert images[0].mask is None and not images[0].boxes
        return
    np.testing.assert_array_equal(images[0].mask, truth(folder, objects))
    assert len(images[0].boxes) == len(objects)


def test_labels_from_class_folders_count_too(folder: Path) -> None:
    (folder / "images" / "dog").mkdir()
    (folder / "images" / "a.png").rename(folder / "images" / "dog" / "a.png")
    images = load_images(folder / "images", masks=folder / "instances.json")
    by_id = {image.id: image for image in images}
    np.testing.assert_array_equal(by_id["dog/a.png"].mask, truth(folder, [0]))


def test_boxes_are_rounded_outwards_and_end_at_the_border(folder: Path) -> None:
    images = load_images(folder / "images", boxes=str(folder / "instances.json"))
    assert [tuple(box) for box in images[0].boxes] == [(4, 6, 40, 39), (30, 20, 48, 38)]
    assert [tuple(box) for box in images[1].boxes] == [(3, 2, 11, 9), (10, 20, 50, 40)]
    assert images[3].boxes == ()


def test_labels(folder: Path) -> None:
    file = folder / "instances.json"
    with pytest.warns(
        IconoscopeWarning, match="2 of 4 images have no label from .*: 1 hold objects of several .*, 1 hold none"
    ):
        images = load_images(folder / "images", labels=file, masks=file)
    assert images.labels == [None, "person", "potted plant", None]
    np.testing.assert_array_equal(images[0].mask, truth(folder, [0, 1]))


def test_meant_objects() -> None:
    assert meant_objects(["a", "b"], None, plain_names(["a", "b"])) == [0, 1]
    assert meant_objects(["b", "b"], "a", plain_names(["a", "b"])) == []


def test_images_are_found_by_name_where_one_has_it(folder: Path, write: Callable) -> None:
    write(folder / "images" / "x" / "b.png", HEIGHT, WIDTH)
    images = load_images(folder / "images", boxes=folder / "instances.json")
    found = {image.id: len(image.boxes) for image in images}
    assert found == {"a.png": 2, "b.png": 2, "c.png": 1, "none.png": 0, "x/b.png": 0}


def change(folder: Path, edit: Callable[[dict[str, Any]], Any]) -> Path:
    content = json.loads((folder / "instances.json").read_text())
    edit(content)
    (folder / "changed.json").write_text(json.dumps(content))
    return folder / "changed.json"


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda content: content["images"].clear(), "None of the 0 images in"),
        (lambda content: content["categories"].clear(), "has no categories"),
        (lambda content: content["images"][0].pop("file_name"), "'file_name' is missing"),
        (lambda content: content["annotations"].append(3), "is not the instances of COCO"),
        (lambda content: content["annotations"][0].update(category_id=99), "the category 99, which is not among"),
        (lambda content: [item.pop("segmentation") for item in content["annotations"]], "no outlines"),
        (lambda content: content["images"][0].pop("height"), r"does not give height and width of a\.png"),
    ],
)
def test_files_that_do_not_work(folder: Path, edit: Callable, message: str) -> None:
    with pytest.raises(ImagesError, match=message):
        load_images(folder / "images", masks=change(folder, edit))


def test_outlines_and_boxes_that_are_none(folder: Path) -> None:
    wrong = change(folder, lambda content: content["annotations"][0].update(segmentation=[[1, 2]], bbox=[1, 2, 3]))
    with pytest.raises(ImagesError, match=r"An outline of a\.png in .* cannot be drawn"):
        _ = load_images(folder / "images", masks=wrong)[0].mask
    with pytest.raises(ImagesError, match=r"\[1, 2, 3\] is not a box of a\.png"):
        load_images(folder / "images", boxes=wrong)
    (folder / "broken.json").write_text('{"images": [')
    with pytest.raises(ImagesError, match=r"broken\.json cannot be read as JSON"):
        load_images(folder / "images", masks=folder / "broken.json")


@pytest.mark.parametrize(
    ("outline", "message"),
    [
        ({"size": [20, 30], "counts": [3, 2147483648]}, "runs"),  # written beyond its memory by pycocotools
        ({"size": [20, 30], "counts": [3, 5]}, "runs are 8 pixels long, the image has 600"),
        ({"size": [20, 30], "counts": [-600, 1200]}, "runs"),
        ({"size": [20, 30], "counts": ["a", 600]}, "runs"),
        ({"size": [20, 30], "counts": 600}, "runs"),
        ({"size": [30, 20], "counts": [0, 600]}, "is for"),
        ({"size": [20, 30], "counts": "oooooooooooooooooooooooo"}, "no sign"),
        ({"size": [20, 30], "counts": "\u2603"}, "no sign"),
        ({"size": [20, 30], "counts": "o"}, "middle of a number"),
        ({"size": [20, 30]}, "counts"),
        ([[0, 0, 1e9, 0, 1e9, 1e9]], "far outside"),
        ([[0, 0, float("nan"), 0, 5, 5]], "far outside"),
        ([[0, 0, 5, 0, 5]], "three corners"),
        ([{"a": 1}], "float"),
    ],
)
def test_outlines_that_would_break_pycocotools_never_reach_it(outline: Any, message: str) -> None:
    with pytest.raises(ImagesError, match=message):
        draw_outlines([outline], (20, 30), "a.png")


@pytest.mark.parametrize("size", [(0, 5), (-1, 5), (2**31, 2**31)])
def test_an_image_of_impossible_size_has_no_outlines(size: tuple[int, int]) -> None:
    with pytest.raises(ImagesError, match="is said to have"):
        draw_outlines([[[0, 0, 5, 0, 5, 5]]], size, "a.png")


def test_packed_run_lengths_are_read_as_pycocotools_reads_them() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        values = np.repeat(
            rng.random(rng.integers(1, 60, 2)) < rng.choice([0, 0.02, 0.5, 0.98, 1]), rng.integers(1, 40), 1
        )
        assert np.array_equal(draw_outlines([packed(values)], values.shape, "a.png"), values)


def test_a_table_of_labels_is_still_one(folder: Path) -> None:
    (folder / "labels.json").write_text('{"a.png": "x", "b.png": "images"}')
    assert load_images(folder / "images", labels=folder / "labels.json").labels == ["x", "images", None, None]


def test_without_pycocotools(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pycocotools", None)
    assert load_images(folder / "images", boxes=folder / "instances.json")[0].boxes
    with pytest.raises(MissingExtraError) as caught:
        load_images(folder / "images", masks=folder / "instances.json")
    assert caught.value.hint.startswith("pip install 'iconoscope[coco]'")
