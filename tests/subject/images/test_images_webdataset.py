"""Tar shards, written by tarfile as WebDataset's own writer lays them out."""

from __future__ import annotations

import io
import json
import pickle
import tarfile
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from iconoscope.errors import ImageFileError, ImagesError
from iconoscope.subject.images import load_images

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 4, 5, 3), np.uint8)


def png(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    PillowImage.fromarray(pixels).save(buffer, kind, lossless=True)
    return buffer.getvalue()


def write_tar(path: Path, members: Mapping[str, bytes], mode: str = "w") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return path


def test_images_and_labels_by_key(tmp_path: Path) -> None:
    members = {
        "a/0.png": png(PIXELS[0]),
        "a/0.cls": b"7\n",
        "a/1.json": json.dumps({"label": "cat", "caption": "x"}).encode(),
        "a/1.WebP": png(PIXELS[1], "WEBP"),
        "./b.png": png(PIXELS[2]),
        "./b.txt": b"no label",
        "c.input.png": png(PIXELS[3]),
        "c.cls": b"dog",
        ".hidden.png": b"",
        "only.cls": b"1",
    }
    images = load_images(write_tar(tmp_path / "a.tar", members))
    assert images.ids == ("a/0", "a/1", "b", "c") and images.labels == [7, "cat", None, "dog"]
    np.testing.assert_array_equal([image.pixels for image in images], PIXELS[:4])
    np.testing.assert_array_equal(images[2].pixels, PIXELS[2])  # in any order
    assert pickle.loads(pickle.dumps(images))[1].digest == images[1].digest


def shards(tmp_path: Path, *, same: bool) -> None:
    for number in range(3):
        write_tar(
            tmp_path / f"shard-{number:06d}.tar",
            {f"{0 if same else number}{row}.png": png(PIXELS[2 * number + row]) for row in range(2)},
        )


@pytest.mark.parametrize("pattern", ["shard-{000000..000002}.tar", "*.tar", "shard-*.tar", ""])
def test_shards(tmp_path: Path, pattern: str) -> None:
    shards(tmp_path, same=False)
    images = load_images(f"{tmp_path}/{pattern}")
    assert images.ids == ("00", "01", "10", "11", "20", "21")
    np.testing.assert_array_equal([image.pixels for image in images], PIXELS)


def test_keys_that_repeat_in_shards(tmp_path: Path) -> None:
    shards(tmp_path, same=True)
    assert load_images(f"{tmp_path}/*.tar").ids[1:3] == ("shard-000000#01", "shard-000001#00")
    write_tar(tmp_path / "b.tar", {"x.png": b"1", "y.png": b"2", "x.jpg": b"3"})
    with pytest.raises(ImagesError, match="samples of the same key: b#x"):
        load_images(tmp_path / "b.tar")


def test_shards_that_are_not_there(tmp_path: Path) -> None:
    shards(tmp_path, same=False)
    with pytest.raises(ImagesError, match=r"2 of 5 shards are not there: shard-000003\.tar, shard-000004\.tar"):
        load_images(f"{tmp_path}/shard-{{000000..000004}}.tar")
    with pytest.raises(ImagesError, match=r"No file is named .*/x-\*\.tar"):
        load_images(f"{tmp_path}/x-*.tar")
    with pytest.raises(ImagesError, match="There is no"):
        load_images(tmp_path / "shard-9.tar")


@pytest.mark.parametrize("mode", ["w:gz", "w:bz2", "w:xz"])
def test_compressed_ones_are_refused(tmp_path: Path, mode: str) -> None:
    for name in ("a.tar", "a.tar.gz"):
        write_tar(tmp_path / name, {"a.png": png(PIXELS[0])}, mode)
    with pytest.raises(ImagesError, match="is compressed") as caught:
        load_images(tmp_path / "a.tar")
    assert "plain .tar" in caught.value.hint
    with pytest.raises(ImagesError, match="is compressed"):
        load_images(tmp_path / "a.tar.gz")


def test_broken_ones(tmp_path: Path) -> None:
    (tmp_path / "empty.tar").touch()
    (tmp_path / "text.tar").write_bytes(b"hello" * 300)
    whole = write_tar(tmp_path / "whole.tar", {f"{row}.png": png(PIXELS[row]) * 9 for row in range(4)}).read_bytes()
    (tmp_path / "cut.tar").write_bytes(whole[:2000])
    for name in ("empty", "text", "cut"):
        with pytest.raises(ImagesError, match=rf"{name}\.tar cannot be read as a tar file"):
            load_images(tmp_path / f"{name}.tar")
    with pytest.raises(ImagesError, match="holds no images: there are no members"):
        load_images(write_tar(tmp_path / "none.tar", {}))
    with pytest.raises(ImagesError, match=r"holds no images: the members end in \.txt"):
        load_images(write_tar(tmp_path / "text.tar", {"a.txt": b"x"}))
    with pytest.raises(ImagesError, match=r"a\.json cannot be read"):
        load_images(write_tar(tmp_path / "json.tar", {"a.png": b"x", "a.json": b"{"}))


def test_a_broken_image_and_a_shard_that_was_cut_since(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", {"a.png": b"hello", "b.png": png(PIXELS[0])})
    images = load_images(path)
    with pytest.raises(ImageFileError, match="a cannot be read: it is no image of a known kind"):
        _ = images[0].pixels
    path.write_bytes(path.read_bytes()[:1540])
    with pytest.raises(ImageFileError, match=r"b cannot be read: .* ends before it does"):
        _ = images[1].pixels
    path.unlink()
    with pytest.raises(ImageFileError, match=r"b cannot be read: .*no such file"):
        _ = images[1].pixels


def test_many_members_are_listed_quickly(tmp_path: Path) -> None:
    path = write_tar(
        tmp_path / "a.tar", {f"{row:06d}.{kind}": b"1" for row in range(10_000) for kind in ("jpg", "cls")}
    )
    started = time.perf_counter()
    images = load_images(path)
    assert len(images) == 10_000 and images[9999].label == 1
    assert time.perf_counter() - started < 4  # 0.7 s where it was written
