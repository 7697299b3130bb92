from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from iconoscope.errors import IconoscopeWarning, ImageFileError, ImagesError, QuestionError
from iconoscope.subject.images import load_images


def touch(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()


def test_class_folders_are_labels(tmp_path: Path, write: Callable) -> None:
    pixels = write(tmp_path / "dog" / "b.png", seed=1)
    write(tmp_path / "cat" / "a.png", seed=2)
    write(tmp_path / "cat" / "deep" / "er" / "c.PNG", seed=3)
    images = load_images(tmp_path)
    assert images.ids == ("cat/a.png", "cat/deep/er/c.PNG", "dog/b.png")
    assert images.labels == ["cat", "cat", "dog"]
    assert images.label_names == ("cat", "dog")
    assert images.source == str(tmp_path)
    np.testing.assert_array_equal(images[2].pixels, pixels)
    assert load_images(str(tmp_path)).ids == images.ids


def test_flat_folder_has_no_labels(tmp_path: Path) -> None:
    touch(tmp_path, "b.jpg", "a.webp", "10.png", "9.png")
    images = load_images(tmp_path)
    assert images.ids == ("10.png", "9.png", "a.webp", "b.jpg")
    assert images.labels == [None] * 4 and images.label_names == ()


def test_images_beside_class_folders_have_no_label(tmp_path: Path) -> None:
    touch(tmp_path, "loose.jpg", "cat/a.jpg")
    assert load_images(tmp_path).labels == ["cat", None]


def test_what_is_no_image_is_not_listed(tmp_path: Path) -> None:
    touch(
        tmp_path, ".DS_Store", "._x.jpg", ".hidden/a.jpg", "notes.txt", "__MACOSX/b.jpg", "Thumbs.db", "real.jpg", "jpg"
    )
    (tmp_path / "folder.jpg").mkdir()
    assert load_images(tmp_path).ids == ("real.jpg",)


def test_nothing_is_opened_to_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, *(f"c/{i}.png" for i in range(5)))  # empty: to open one would fail
    os.mkfifo(tmp_path / "c" / "pipe.png")  # to open this one would wait for ever
    images = load_images(tmp_path)
    assert len(images) == 6 and images.labels == ["c"] * 6 and images[:2].ids == ("c/0.png", "c/1.png")
    with pytest.raises(ImageFileError, match=r"c/pipe\.png cannot be read: it is not a regular file"):
        _ = images[5].pixels


def test_the_only_split_is_used(tmp_path: Path) -> None:
    touch(tmp_path, "train/cat/a.jpg", "train/dog/x/b.jpg", "README.md")
    images = load_images(tmp_path)
    assert images.ids == ("train/cat/a.jpg", "train/dog/x/b.jpg")
    assert images.labels == ["cat", "dog"]


def test_several_splits_are_asked_about(tmp_path: Path) -> None:
    touch(tmp_path, "train/cat/a.jpg", "val/cat/b.jpg")
    with pytest.raises(QuestionError, match="train, val: which") as caught:
        load_images(tmp_path)
    for split in ("train", "val"):
        assert str(tmp_path / split) in caught.value.hint
        assert len(load_images(tmp_path / split)) == 1


def test_a_class_beside_a_split_makes_all_classes(tmp_path: Path) -> None:
    touch(tmp_path, "train/a.jpg", "truck/b.jpg")
    assert load_images(tmp_path).labels == ["train", "truck"]


@pytest.mark.parametrize("empty", [True, False])
def test_no_images_says_what_was_looked_for(tmp_path: Path, empty: bool) -> None:
    if not empty:
        touch(tmp_path, "a.txt")
    with pytest.raises(ImagesError, match="no images in") as caught:
        load_images(tmp_path)
    assert ".jpg" in caught.value.hint and ".parquet" in caught.value.hint


def test_links(tmp_path: Path, write: Callable) -> None:
    root = tmp_path / "root"
    pixels = write(tmp_path / "elsewhere" / "a.png")
    (root / "cat").mkdir(parents=True)
    (root / "cat" / "loop").symlink_to(root)
    (root / "cat" / "self").symlink_to("self")
    (root / "cat" / "gone.png").symlink_to(tmp_path / "nothing.png")
    (root / "dog").symlink_to(tmp_path / "elsewhere")
    images = load_images(root)
    assert images.ids == ("cat/gone.png", "dog/a.png")
    np.testing.assert_array_equal(images[1].pixels, pixels)
    with pytest.raises(ImageFileError, match="no such file"):
        _ = images[0].pixels


def test_a_folder_that_cannot_be_opened_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "open/a.jpg", "closed/b.jpg")
    scandir = os.scandir

    def guarded(path: str):  # the superuser may list everything
        if str(path).rstrip("/").endswith("closed"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    with pytest.warns(IconoscopeWarning, match="could not be opened and were left out: closed"):
        assert load_images(tmp_path).ids == ("open/a.jpg",)


def test_a_name_that_is_not_utf8(tmp_path: Path, write: Callable) -> None:
    pixels = write(tmp_path / "a.png")
    try:
        (tmp_path / "a.png").rename(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png"))
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    images = load_images(tmp_path)
    assert images.ids == ("\\xff.png",)
    np.testing.assert_array_equal(images[0].pixels, pixels)


def test_one_file_and_a_list_of_files(tmp_path: Path, write: Callable) -> None:
    write(tmp_path / "a" / "x.png")
    write(tmp_path / "b" / "x.png")
    write(tmp_path / "b" / "y.png")
    assert load_images(tmp_path / "a" / "x.png").ids == ("x.png",)
    assert load_images([tmp_path / "a" / "x.png", str(tmp_path / "b" / "y.png")]).ids == ("x.png", "y.png")
    both = [tmp_path / "a" / "x.png", tmp_path / "b" / "x.png"]
    assert load_images(both).ids == tuple(path.as_posix() for path in both)
    with pytest.raises(ImagesError, match="more than once"):
        load_images([both[0], both[0]])


def test_a_missing_path_names_its_neighbour(tmp_path: Path) -> None:
    touch(tmp_path, "photos/cat/a.jpg")
    with pytest.raises(ImagesError, match="Did you mean photos"):
        load_images(tmp_path / "phtos")
    with pytest.raises(ImagesError, match=r"there is no .*phtos") as caught:
        load_images(tmp_path / "phtos" / "cat")
    assert caught.value.hint == "Did you mean photos?"


def test_many_files_are_listed_quickly(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"c{number:02d}").mkdir()
        for index in range(500):
            os.close(os.open(tmp_path / f"c{number:02d}" / f"{index:05d}.jpg", os.O_CREAT))
    started = time.perf_counter()
    images = load_images(tmp_path)
    assert len(images) == 10_000
    assert time.perf_counter() - started < 1  # ten thousand; 0.03 s where it was written


def test_real_folder(data: Path) -> None:
    images = load_images(data / "cifar10" / "folder")
    assert len(images) == 500 and len(images.label_names) == 10
    assert images.ids[0] == "airplane/0000.jpg" and images[0].pixels.shape == (32, 32, 3)
