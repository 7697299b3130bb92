from __future__ import annotations

import io
import os
import struct
import threading
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as PillowImage
from PIL import ImageFile, ImageOps

from iconoscope.errors import ImageFileError
from iconoscope.subject.images import decode_image
from iconoscope.subject.images.decoding import decode_mask


def encoded(picture: PillowImage.Image, kind: str = "PNG", **settings) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **settings)
    return buffer.getvalue()


def png(width: int, height: int, depth: int, color: int, rows: bytes, *, before: bytes = b"") -> bytes:
    """Write a PNG by hand, so that no writer of Pillow's decides what is in it."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + before + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (height, width, 3), np.uint8)


# Where the pixel of row r and column c of the upright image is stored, from the EXIF standard's own words:
# which side of the picture the stored row 0 and column 0 are.
STORED_AT = {
    1: lambda r, c, h, w: (r, c),
    2: lambda r, c, h, w: (r, w - 1 - c),
    3: lambda r, c, h, w: (h - 1 - r, w - 1 - c),
    4: lambda r, c, h, w: (h - 1 - r, c),
    5: lambda r, c, h, w: (c, r),
    6: lambda r, c, h, w: (w - 1 - c, r),
    7: lambda r, c, h, w: (w - 1 - c, h - 1 - r),
    8: lambda r, c, h, w: (c, h - 1 - r),
}


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_once(orientation: int, kind: str) -> None:
    upright = noise(3, 5)
    swapped = orientation >= 5
    stored = np.zeros((5, 3, 3) if swapped else (3, 5, 3), np.uint8)
    for row in range(3):
        for column in range(5):
            stored[STORED_AT[orientation](row, column, 3, 5)] = upright[row, column]
    exif = PillowImage.Exif()
    exif[0x0112] = orientation
    settings = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(PillowImage.fromarray(stored), kind, exif=exif, **settings)
    np.testing.assert_array_equal(decode_image(data), upright)
    np.testing.assert_array_equal(decode_image(data), ImageOps.exif_transpose(PillowImage.open(io.BytesIO(data))))


def test_jpeg_orientation_agrees_with_pillow() -> None:
    exif = PillowImage.Exif()
    exif[0x0112] = 6
    data = encoded(PillowImage.fromarray(noise(8, 24)), "JPEG", exif=exif)
    assert decode_image(data).shape == (24, 8, 3)
    np.testing.assert_array_equal(decode_image(data), ImageOps.exif_transpose(PillowImage.open(io.BytesIO(data))))


@pytest.mark.parametrize("exif", [b"Exif\x00\x00garbage garbage", b"Exif\x00\x00II*\x00\xff\xff\xff\xff", b"x"])
def test_broken_exif_says_nothing_of_rotation(exif: bytes) -> None:
    plain = decode_image(encoded(PillowImage.fromarray(noise(8, 8)), "JPEG"))
    np.testing.assert_array_equal(decode_image(encoded(PillowImage.fromarray(noise(8, 8)), "JPEG", exif=exif)), plain)


def test_impossible_orientation_is_no_rotation() -> None:
    exif = PillowImage.Exif()
    exif[0x0112] = 9
    assert decode_image(encoded(PillowImage.fromarray(noise(3, 5)), exif=exif)).shape == (3, 5, 3)


def test_16_bit_grey_is_scaled_by_its_range() -> None:
    values = [0, 128, 129, 257, 32768, 65535]
    rows = b"\x00" + struct.pack(">6H", *values)
    expected = [round(value * 255 / 65535) for value in values]
    assert expected == [0, 0, 1, 1, 128, 255]
    assert decode_image(png(6, 1, 16, 0, rows))[0].tolist() == [[value] * 3 for value in expected]


def test_16_bit_grey_with_a_transparent_value() -> None:
    rows = b"\x00" + struct.pack(">3H", 0, 1000, 65535)
    data = png(3, 1, 16, 0, rows, before=chunk(b"tRNS", struct.pack(">H", 1000)))
    assert decode_image(data)[0, :, 0].tolist() == [0, 255, 255]


def test_one_bit_and_grey() -> None:
    assert decode_image(png(4, 1, 1, 0, b"\x00\xa0"))[0, :, 0].tolist() == [255, 0, 255, 0]
    assert decode_image(png(2, 1, 8, 0, b"\x00\x07\xc8")).tolist() == [[[7, 7, 7], [200, 200, 200]]]


def test_palette_and_palette_with_transparency() -> None:
    palette = chunk(b"PLTE", bytes([10, 20, 30, 200, 100, 0, 0, 0, 0]))
    assert decode_image(png(3, 1, 8, 3, b"\x00\x01\x00\x02", before=palette)).tolist() == [
        [[200, 100, 0], [10, 20, 30], [0, 0, 0]]
    ]
    clear = palette + chunk(b"tRNS", bytes([255, 51, 0]))
    # 51/255 = 0.2: 0.2 * (200, 100, 0) + 0.8 * 255
    assert decode_image(png(3, 1, 8, 3, b"\x00\x01\x00\x02", before=clear)).tolist() == [
        [[244, 224, 204], [10, 20, 30], [255, 255, 255]]
    ]


def test_alpha_is_laid_on_white() -> None:
    rgba = png(3, 1, 8, 6, b"\x00" + bytes([100, 0, 250, 0, 100, 0, 250, 255, 100, 0, 250, 102]))
    # 102/255 = 0.4: 0.4 * (100, 0, 250) + 0.6 * 255
    assert decode_image(rgba).tolist() == [[[255, 255, 255], [100, 0, 250], [193, 153, 253]]]
    grey = png(2, 1, 8, 4, b"\x00" + bytes([0, 51, 100, 255]))
    assert decode_image(grey)[0, :, 0].tolist() == [204, 100]


def test_rgb_with_a_transparent_color() -> None:
    data = png(2, 1, 8, 2, b"\x00" + bytes([1, 2, 3, 4, 5, 6]), before=chunk(b"tRNS", struct.pack(">3H", 1, 2, 3)))
    assert decode_image(data).tolist() == [[[255, 255, 255], [4, 5, 6]]]


def test_cmyk() -> None:
    data = encoded(PillowImage.new("CMYK", (1, 1), (0, 255, 255, 0)), "TIFF")
    assert decode_image(data).tolist() == [[[255, 0, 0]]]


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_values_of_unknown_range_are_refused(dtype: type) -> None:
    data = encoded(PillowImage.fromarray(np.array([[0, 70000]], dtype)), "TIFF")
    with pytest.raises(ImageFileError, match=r"scan\.tif cannot be read: .*from 0 to 70000"):
        decode_image(data, "scan.tif")


def test_32_bit_integers_of_16_bits_and_floats_up_to_one() -> None:
    data = encoded(PillowImage.fromarray(np.array([[0, 65535]], np.int32)), "TIFF")
    assert decode_image(data)[0, :, 0].tolist() == [0, 255]
    data = encoded(PillowImage.fromarray(np.array([[0, 0.5, 1]], np.float32)), "TIFF")
    assert decode_image(data)[0, :, 0].tolist() == [0, 128, 255]
    data = encoded(PillowImage.fromarray(np.array([[0, np.nan]], np.float32)), "TIFF")
    with pytest.raises(ImageFileError):
        decode_image(data)


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "WEBP", "PNG"])
def test_several_pictures_are_refused(kind: str) -> None:
    frames = [PillowImage.fromarray(noise(4, 4)), PillowImage.fromarray(255 - noise(4, 4))]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
    with pytest.raises(ImageFileError, match=r"a\.gif cannot be read: it holds 2 pictures"):
        decode_image(data, "a.gif")


def test_a_gif_of_one_picture_is_read() -> None:
    assert decode_image(encoded(PillowImage.new("RGB", (2, 1), (255, 0, 0)), "GIF")).tolist() == [[[255, 0, 0]] * 2]


def test_the_photograph_of_a_multi_picture_jpeg_is_read() -> None:
    first, preview = PillowImage.fromarray(noise(16, 16)), PillowImage.fromarray(noise(8, 8))
    data = encoded(first, "MPO", save_all=True, append_images=[preview])
    np.testing.assert_array_equal(decode_image(data), np.asarray(PillowImage.open(io.BytesIO(data)).convert("RGB")))


@pytest.mark.parametrize("padding", [False, True])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "PPM"])
def test_truncated_is_refused_whatever_the_process_says(
    kind: str, padding: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", padding)
    data = encoded(PillowImage.fromarray(noise(64, 64)), kind)
    whole = decode_image(data)
    assert whole.shape == (64, 64, 3)
    path = tmp_path / "half.img"
    for part in (len(data) // 2, len(data) - 64):
        path.write_bytes(data[:part])
        with pytest.raises(ImageFileError, match=r"a cannot be read"):
            decode_image(data[:part], "a")
        with pytest.raises(ImageFileError, match=r"a cannot be read"):
            decode_image(path, "a")
    assert padding is ImageFile.LOAD_TRUNCATED_IMAGES


def test_truncated_jpeg_says_so() -> None:
    data = encoded(PillowImage.fromarray(noise(64, 64)), "JPEG")
    with pytest.raises(ImageFileError, match="truncated"):
        decode_image(data[: len(data) // 2])


def test_plain_ppm_without_a_last_line_end_is_whole() -> None:
    assert decode_image(b"P3 1 1 255 1 2 3").tolist() == [[[1, 2, 3]]]


def test_text_named_png(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(ImageFileError, match=r"no image of a known kind.*version https://git-lf") as caught:
        decode_image(path, "a.png")
    assert str(path) in caught.value.hint


def test_postscript_starts_no_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("subprocess.check_call", lambda *args, **kwargs: pytest.fail("a program was started"))
    with pytest.raises(ImageFileError, match="no image of a known kind"):
        decode_image(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n")


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ImageFileError, match="it is a folder"):
        decode_image(tmp_path)
    with pytest.raises(ImageFileError, match="there is no such file"):
        decode_image(tmp_path / "gone.png")
    (tmp_path / "empty.png").touch()
    with pytest.raises(ImageFileError, match="it is empty"):
        decode_image(tmp_path / "empty.png")
    with pytest.raises(ImageFileError, match="it is empty"):
        decode_image(b"")
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ImageFileError, match="not a regular file"):
        decode_image(tmp_path / "pipe.png")


def test_permission_denied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(1, 1, 8, 0, b"\x00\x00"))

    def denied(*args: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    # The superuser, who runs many a container, may read everything: so the refusal is put in.
    monkeypatch.setattr(io, "FileIO", denied)
    with pytest.raises(ImageFileError, match="a cannot be read: permission denied"):
        decode_image(path, "a")


def test_no_pixels() -> None:
    with pytest.raises(ImageFileError, match="cannot be read"):
        decode_image(png(0, 5, 8, 0, b""))


@pytest.mark.parametrize(("side", "count"), [(10_000, "100,000,000"), (20_000, "400,000,000")])
def test_bombs_are_refused_by_their_header(side: int, count: str) -> None:
    assert PillowImage.MAX_IMAGE_PIXELS == 89_478_485
    # No rows at all: whoever tried to decode it would say truncated.
    data = png(side, side, 1, 0, b"")
    with warnings.catch_warnings(record=True) as leaked:
        warnings.simplefilter("always")
        with pytest.raises(ImageFileError, match=f"it has {count} pixels, and the limit is 89,478,485"):
            decode_image(data)
    assert not leaked


def test_the_limit_is_pillows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PillowImage, "MAX_IMAGE_PIXELS", 15)
    with pytest.raises(ImageFileError, match="it has 16 pixels, and the limit is 15"):
        decode_image(encoded(PillowImage.fromarray(noise(4, 4))))
    monkeypatch.setattr(PillowImage, "MAX_IMAGE_PIXELS", None)
    assert decode_image(encoded(PillowImage.fromarray(noise(4, 4)))).shape == (4, 4, 3)


def test_warning_filters_are_as_they_were_after_threads() -> None:
    data = encoded(PillowImage.fromarray(noise(32, 32)))
    before = list(warnings.filters)
    threads = [threading.Thread(target=lambda: [decode_image(data) for _ in range(50)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(warnings.filters) == before


KINDS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
WHOLE = [encoded(PillowImage.fromarray(noise(9, 7)), kind) for kind in KINDS]


@settings(max_examples=300)
@given(
    st.one_of(st.binary(max_size=200), st.sampled_from(WHOLE).flatmap(lambda data: st.binary().map(data[:40].__add__)))
)
def test_garbage_raises_only_our_error(data: bytes) -> None:
    try:
        pixels = decode_image(data, "x")
    except ImageFileError as error:
        assert error.message.startswith("x cannot be read: ")
    else:
        assert pixels.ndim == 3 and pixels.dtype == np.uint8


@settings(max_examples=300)
@given(st.sampled_from(WHOLE), st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=5))
def test_damaged_files_raise_only_our_error(data: bytes, damage: list[tuple[float, int]]) -> None:
    damaged = bytearray(data)
    for where, value in damage:
        damaged[int(where * len(damaged))] = value
    try:
        pixels = decode_image(bytes(damaged))
    except ImageFileError:
        return
    assert pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.dtype == np.uint8


def test_masks() -> None:
    assert decode_mask(png(3, 1, 8, 0, b"\x00\x00\x7f\x80")).tolist() == [[False, False, True]]
    assert decode_mask(png(3, 1, 8, 0, b"\x00\x00\x01\x01")).tolist() == [[False, True, True]]
    assert decode_mask(png(4, 1, 1, 0, b"\x00\xa0")).tolist() == [[True, False, True, False]]
    assert decode_mask(png(2, 1, 16, 0, b"\x00" + struct.pack(">2H", 0, 1))).tolist() == [[False, True]]
    assert decode_mask(png(2, 1, 16, 0, b"\x00" + struct.pack(">2H", 300, 65535))).tolist() == [[False, True]]
    # Pascal VOC: a palette in which class 1 is dark red
    palette = chunk(b"PLTE", bytes([0, 0, 0, 128, 0, 0, 0, 64, 0]))
    assert decode_mask(png(3, 1, 8, 3, b"\x00\x00\x01\x02", before=palette)).tolist() == [[False, True, True]]


def test_masks_that_can_be_meant_in_two_ways() -> None:
    with pytest.raises(ImageFileError, match="from 0 to 7"):
        decode_mask(png(2, 1, 8, 0, b"\x00\x00\x07"))
    with pytest.raises(ImageFileError, match="transparency"):
        decode_mask(png(1, 1, 8, 4, b"\x00\x00\x00"))
