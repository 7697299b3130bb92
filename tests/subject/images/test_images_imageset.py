from __future__ import annotations

import base64
import dataclasses
import hashlib
import io
import re
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from iconoscope.errors import IconoscopeWarning, ImageFileError, ImagesError, QuestionError
from iconoscope.subject.images import Image, Images, load_images

ARRAY = np.random.default_rng(0).integers(0, 256, (6, 4, 5, 3), np.uint8)
LABELS = ["car", "bird", "car", None, "car", "bird"]


@pytest.fixture
def images() -> Images:
    return load_images(ARRAY, labels=LABELS)


def test_an_image_is_decoded_once_and_read_only(images: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    image = images[2]
    assert isinstance(image, Image) and not image.decoded
    assert image.pixels is image.pixels and image.decoded
    with pytest.raises(ValueError, match="read-only"):
        image.pixels[0, 0, 0] = 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        image.id = "x"  # pyright: ignore[reportAttributeAccessIssue]
    assert image == images[2] and image != images[1] and image in images and hash(image) == hash(images[2])


def test_digest_is_of_shape_and_pixels(images: Images) -> None:
    expected = hashlib.sha256(b"(4, 5, 3)" + ARRAY[1].tobytes()).hexdigest()
    assert images[1].digest == expected
    assert load_images(ARRAY[1])[0].digest == expected
    assert load_images(ARRAY[1].reshape(5, 4, 3))[0].digest != expected


def test_positions(images: Images) -> None:
    assert len(images) == 6 and images[-1].id == images[np.int64(5)].id == "000005"
    assert images[1:4].ids == images[[1, 2, 3]].ids == images[np.array([1, 2, 3])].ids == ("000001", "000002", "000003")
    assert images[::-2].ids == ("000005", "000003", "000001")
    assert images[np.array([True, False, False, False, False, True])].ids == ("000000", "000005")
    assert images[[True, False, False, False, False, True]].ids == ("000000", "000005")
    assert images[2:][[1]].ids == ("000003",) and len(images[[]]) == 0
    assert [image.id for image in images] == list(images.ids)
    np.testing.assert_array_equal(images[2:][1].pixels, ARRAY[3])
    for wrong in (6, -7, [0, 6]):
        with pytest.raises(IndexError, match="there are 6"):
            _ = images[wrong]
    for unclear in ([1, 1], [1, -5], np.array([True]), "000001", [0.5], np.zeros((2, 2), int), None):
        with pytest.raises(QuestionError):
            _ = images[unclear]  # pyright: ignore[reportArgumentType, reportCallIssue]


def test_labels_and_where(images: Images) -> None:
    assert images.labels == LABELS and images.label_names == ()
    assert images.where(label="bird").ids == ("000001", "000005")
    assert images.where(label=None).ids == ("000003",)
    assert images[:2].where(label="car").ids == ("000000",)
    with pytest.raises(QuestionError, match=r"Did you mean bird\?"):
        images.where(label="brid")
    with pytest.raises(QuestionError, match="have no labels"):
        load_images(ARRAY).where(label="bird")


def test_a_class_without_images_is_empty(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.png").touch()
    assert len(load_images(tmp_path)[:1].where(label="dog")) == 0


def test_samples(images: Images) -> None:
    assert images.sample(3, seed=1).ids == images.sample(3, seed=1).ids
    assert len({images.sample(3, seed=seed).ids for seed in range(20)}) > 5
    for seed in range(20):
        ids = images.sample(4, seed=seed).ids
        assert list(ids) == sorted(set(ids)) and len(ids) == 4
    assert images.sample(6).ids == images.ids
    for wrong in (7, -1, True, 1.5):
        with pytest.raises(QuestionError, match=r"from 0 to 6|a whole number"):
            images.sample(wrong)  # pyright: ignore[reportArgumentType]


@pytest.fixture
def folder(tmp_path: Path, write: Callable) -> Path:
    for index in range(6):
        write(tmp_path / f"{index}.png", 16, 16, seed=index)
    whole = (tmp_path / "0.png").read_bytes()
    (tmp_path / "a.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "b.png").write_text("text")
    PillowImage.fromarray(ARRAY[0]).resize((64, 64)).save(tmp_path / "c.jpg")
    (tmp_path / "c.jpg").write_bytes((tmp_path / "c.jpg").read_bytes()[:-300])
    for name in ("d.png", "e.png", "f.png"):
        (tmp_path / name).touch()
    return tmp_path


def test_readable_leaves_out_and_says_so(folder: Path) -> None:
    images = load_images(folder)
    with pytest.warns(IconoscopeWarning) as said:
        read = list(images.readable())
    assert [image.id for image in read] == [f"{index}.png" for index in range(6)]
    assert all(image.decoded for image in read)
    assert len(said) == 1
    message = str(said[0].message)
    assert message.startswith("6 of 12 images could not be read and were left out: a.png (")
    assert message.endswith(" and 1 more.") and "c.jpg (image file is truncated" in message
    assert list(images.unreadable) == ["a.png", "b.png", "c.jpg", "d.png", "e.png", "f.png"]
    assert images.unreadable["d.png"] == "it is empty, 0 bytes"
    assert said[0].filename == __file__


def test_readable_without_losses_says_nothing(images: Images) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(list(images.readable())) == 6
    assert images.unreadable == {}


def test_none_readable(folder: Path) -> None:
    images = load_images(folder)
    with pytest.raises(ImagesError, match=r"None of the 6 images from .* could be read: a\.png \("):
        list(images[6:].readable())
    with pytest.raises(ImageFileError, match=r"b\.png cannot be read: it is no image"):
        list(images[7:8].readable())
    with pytest.raises(ImagesError, match="no images to read"):
        list(images[:0].readable())


def test_a_file_that_was_mended_is_readable_again(folder: Path, write: Callable) -> None:
    images = load_images(folder)[5:7]
    with pytest.warns(IconoscopeWarning):
        list(images.readable())
    assert list(images.unreadable) == ["a.png"]
    write(folder / "a.png")
    assert len(list(images.readable())) == 2 and images.unreadable == {}


def test_repr(images: Images) -> None:
    assert repr(images) == "<6 images from uint8 array (6, 4, 5, 3): car 3, bird 2>"
    assert repr(images[:1]) == "<1 image from uint8 array (6, 4, 5, 3): car 1>"
    assert repr(images[3:4]) == "<1 image from uint8 array (6, 4, 5, 3)>"


def test_html(folder: Path, write: Callable) -> None:
    write(folder / "<b>&.png", 200, 400)
    shown = load_images(folder)[[0, 6, 8]]._repr_html_()
    assert "<b>" not in shown and "&lt;b&gt;&amp;.png" in shown
    thumbnails = re.findall(r"data:image/png;base64,([^\"]+)", shown)
    sizes = [PillowImage.open(io.BytesIO(base64.b64decode(data))).size for data in thumbnails]
    assert sizes == [(16, 16), (96, 48)]
    assert "b.png cannot be read: it is no image" in shown
    assert load_images(np.zeros((20, 4, 4, 3), np.uint8))._repr_html_().count("<img") == 8
