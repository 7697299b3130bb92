from __future__ import annotations

import inspect
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import iconoscope.subject.images as package
from iconoscope.errors import ImagesError, QuestionError
from iconoscope.subject.images import load_images

ARRAY = np.random.default_rng(0).integers(0, 256, (4, 5, 6, 3), np.uint8)


def test_importing_it_imports_nothing_heavy() -> None:
    heavy = ("torch", "pyarrow", "PIL", "datasets", "fsspec", "pycocotools", "torchvision")
    code = f"import sys, iconoscope.subject.images; print([m for m in {heavy} if m in sys.modules])"
    source = str(Path(package.__file__).parents[3])
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": source}
    )
    assert done.stdout.strip() == "[]"


def test_images_are_taken_as_they_are() -> None:
    images = load_images(ARRAY, labels=list("abcd"))
    assert load_images(images) is images
    assert load_images(images, limit=2).ids == images.ids[:2]
    one = load_images(images[2])
    assert one.ids == ("000002",) and one.labels == ["c"]
    np.testing.assert_array_equal(one[0].pixels, ARRAY[2])


def test_what_lies_under_a_selection_is_its_own() -> None:
    images = load_images(ARRAY, labels=list("abcd"), boxes={"000003": [[0, 0, 1, 1]]})[2:]
    again = load_images(images, labels=["x", "y"], masks=np.ones((2, 5, 6), bool))
    assert again.ids == ("000002", "000003") and again.labels == ["x", "y"] and images.labels == ["c", "d"]
    assert len(again[1].boxes) == 1 and again[1].mask is not None and again[1].mask.all()
    np.testing.assert_array_equal(again[1].pixels, ARRAY[3])


def test_a_list_of_images_from_several_places(tmp_path: Path, write: Callable) -> None:
    pixels = write(tmp_path / "cat" / "a.png")
    masks = np.zeros((4, 5, 6), bool)
    listed = [load_images(ARRAY, masks=masks)[1], load_images(tmp_path)[0]]
    images = load_images(listed)
    assert images.ids == ("000001", "cat/a.png") and images.labels == [None, "cat"]
    assert images[0].mask is not None and images[1].mask is None
    np.testing.assert_array_equal(images[1].pixels, pixels)
    assert not listed[1].decoded
    with pytest.raises(ImagesError, match="Images with the same id: 000001"):
        load_images([listed[0], listed[0]])


@pytest.mark.parametrize("limit", [1, 3, 4, 100])
def test_limit(limit: int) -> None:
    assert load_images(ARRAY, limit=limit).ids == load_images(ARRAY).ids[:limit]


@pytest.mark.parametrize("limit", [0, -1, True, 2.5, "3"])
def test_limits_that_are_none(limit: object) -> None:
    with pytest.raises(QuestionError, match="limit="):
        load_images(ARRAY, limit=limit)  # pyright: ignore[reportArgumentType]


def test_labels_are_of_all_images_and_the_limit_comes_after() -> None:
    assert load_images(ARRAY, labels=list("abcd"), limit=2).labels == ["a", "b"]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("xy:cifar10", "no source of images 'xy:'"),
        ("xyz://example.org/a.jpg", "no source of images xyz:"),
        (5, "int is not a source of images"),
        (None, "NoneType is not a source of images"),
        ([], "list of images is empty"),
        ([ARRAY[0], "a.png"], "Item 1 of the list is a str, and the first a ndarray"),
        ("nowhere/at/all", "There is no nowhere"),
    ],
)
def test_what_is_no_source(source: object, message: str) -> None:
    with pytest.raises(ImagesError, match=message):
        load_images(source)


def test_a_file_of_another_kind_names_the_kinds(tmp_path: Path) -> None:
    (tmp_path / "a.zip").touch()
    with pytest.raises(ImagesError, match=r"its suffix is \.zip") as caught:
        load_images(tmp_path / "a.zip")
    for kind in ("folder", ".parquet", ".npz", "arrays", "PIL"):
        assert kind in caught.value.hint


def test_a_file_without_suffix_is_an_image(tmp_path: Path, write: Callable) -> None:
    pixels = write(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "a")
    np.testing.assert_array_equal(load_images(tmp_path / "a")[0].pixels, pixels)


def test_sets_can_be_sent_to_another_process(tmp_path: Path, write: Callable) -> None:
    write(tmp_path / "cat" / "a.png")
    for images in (
        load_images(tmp_path),
        load_images(ARRAY, masks=ARRAY[..., 0] > 9, boxes={"000000": [[0, 0, 1, 1]]}),
    ):
        again = pickle.loads(pickle.dumps(images))
        assert again.ids == images.ids and again[0].digest == images[0].digest


def test_every_parameter_is_described() -> None:
    documented = inspect.getdoc(load_images) or ""
    for name in inspect.signature(load_images).parameters:
        assert f"\n{name} : " in documented


def test_public_names() -> None:
    assert sorted(package.__all__) == package.__all__
    assert all(hasattr(package, name) for name in package.__all__)


def test_real_photographs(data: Path) -> None:
    images = load_images(data / "imagenet" / "images")
    assert len(images) == 125 and set(images.labels) == {None}
    for image in images.sample(5).readable():
        assert min(image.pixels.shape[:2]) == 288
