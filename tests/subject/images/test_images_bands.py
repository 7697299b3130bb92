"""Images of four channels: `pixels` stays RGB, `bands` is all four."""

from __future__ import annotations

import hashlib
import io
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from PIL import Image as PillowImage

from iconoscope.errors import ImageFileError, ImagesError
from iconoscope.subject.images import load_images

FOUR = np.random.default_rng(4).integers(0, 256, (2, 5, 6, 4), np.uint8)


@pytest.mark.parametrize(
    "given",
    [
        FOUR,
        FOUR.transpose(0, 3, 1, 2),
        FOUR / 255,
        FOUR.astype(np.int64),
        [FOUR[0], FOUR[1]],
        [FOUR[0].transpose(2, 0, 1), FOUR[1].transpose(2, 0, 1)[None]],
    ],
)
def test_arrays(given: object) -> None:
    images = load_images(given)
    np.testing.assert_array_equal([image.bands for image in images], FOUR)
    np.testing.assert_array_equal([image.pixels for image in images], FOUR[..., :3])


def test_one_array(tmp_path: Path) -> None:
    image = load_images(FOUR[1])[0]
    np.testing.assert_array_equal(image.bands, FOUR[1])
    np.save(tmp_path / "a.npy", FOUR)
    np.testing.assert_array_equal(load_images(tmp_path / "a.npy")[1].bands, FOUR[1])


def test_they_are_read_only_and_have_a_digest() -> None:
    image = load_images(FOUR)[0]
    assert image.bands.dtype == np.uint8 and image.bands is image.bands
    with pytest.raises(ValueError, match="read-only"):
        image.bands[0, 0, 0] = 1
    assert image.bands_digest == hashlib.sha256(b"(5, 6, 4)" + FOUR[0].tobytes()).hexdigest()
    assert image.bands_digest != image.digest == load_images(FOUR[..., :3])[0].digest


@pytest.mark.parametrize(("mode", "suffix"), [("RGBA", "png"), ("RGBA", "tif"), ("CMYK", "tif"), ("RGBX", "tif")])
@pytest.mark.parametrize("packed", [False, True])
def test_files_give_what_is_stored(tmp_path: Path, mode: str, suffix: str, packed: bool) -> None:
    # A TIFF in RGBX has a fourth channel of which it does not say what it is: infrared is stored so.
    settings = {"compression": "tiff_lzw"} if packed and suffix == "tif" else {}
    PillowImage.fromarray(FOUR[0], mode).save(tmp_path / f"a.{suffix}", **settings)
    image = load_images(tmp_path / f"a.{suffix}")[0]
    np.testing.assert_array_equal(image.bands, FOUR[0])
    assert image.pixels.shape == (5, 6, 3)
    if mode == "RGBX":
        np.testing.assert_array_equal(image.pixels, FOUR[0, ..., :3])


def test_transparency_is_laid_on_white_in_pixels_alone() -> None:
    image = load_images(PillowImage.fromarray(np.full((1, 1, 4), [10, 20, 30, 0], np.uint8), "RGBA"))[0]
    assert image.bands.tolist() == [[[10, 20, 30, 0]]] and image.pixels.tolist() == [[[255, 255, 255]]]


def test_they_are_turned_upright(tmp_path: Path) -> None:
    exif = PillowImage.Exif()
    exif[0x0112] = 6  # a quarter turn to the right
    PillowImage.fromarray(FOUR[0], "RGBA").save(tmp_path / "a.png", exif=exif)
    image = load_images(tmp_path)[0]
    np.testing.assert_array_equal(image.bands, np.rot90(FOUR[0], -1))
    assert image.bands.shape[:2] == image.pixels.shape[:2] == (6, 5)


def test_bytes_in_parquet(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    PillowImage.fromarray(FOUR[0], "RGBA").save(buffer, "PNG")
    pyarrow.parquet.write_table(pa.table({"image": [buffer.getvalue()]}), tmp_path / "a.parquet")
    np.testing.assert_array_equal(load_images(tmp_path / "a.parquet")[0].bands, FOUR[0])


def test_labels_selections_lists_and_other_processes_keep_them() -> None:
    images = load_images(FOUR, labels=["a", "b"])[1:]
    np.testing.assert_array_equal(images[0].bands, FOUR[1])
    np.testing.assert_array_equal(load_images([images[0]])[0].bands, FOUR[1])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(images))[0].bands, FOUR[1])


def test_three_channels_are_said_by_name(tmp_path: Path, write: Callable) -> None:
    write(tmp_path / "a.png")
    with pytest.raises(ImagesError, match=r"^a\.png has 3 channels \(RGB\), and four were asked for") as caught:
        _ = load_images(tmp_path)[0].bands
    assert not isinstance(caught.value, ImageFileError) and "RGBA" in caught.value.hint
    with pytest.raises(ImagesError, match=r"000001 has the shape \(5, 6, 3\), and four"):
        _ = load_images(FOUR[..., :3])[1].bands
    with pytest.raises(ImagesError, match=r"000000 has 1 channel \(L\)"):
        _ = load_images(PillowImage.new("L", (2, 2)))[0].bands


def test_a_damaged_file_is_still_an_image_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"hello")
    with pytest.raises(ImageFileError, match=r"a\.png cannot be read"):
        _ = load_images(tmp_path)[0].bands
