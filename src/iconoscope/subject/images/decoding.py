"""The one place where pixels come from: a file, bytes or a PIL image becomes upright RGB, or is refused by name.

What is refused, and why it is not guessed at: a file with several pictures (which one is meant?), a damaged file
(Pillow would fill the rest with grey), a number of pixels beyond Pillow's limit, values of unknown range.
"""

from __future__ import annotations

import importlib
import io
import os
import re
import stat
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache, partial
from typing import TYPE_CHECKING, TypeVar, Union

import numpy as np
from numpy.typing import NDArray

from iconoscope.errors import ImageFileError, printable
from iconoscope.subject.images.pillow_modes import FOUR, depth_of, indices_of, mask_of, rgb_of
from iconoscope.subject.images.source import Pixels, three_channels

if TYPE_CHECKING:
    from PIL import Image as PillowImage
    from PIL import ImageFile

__all__ = [
    "SUFFIXES",
    "Encoded",
    "decode_bands",
    "decode_depth",
    "decode_image",
    "decode_indices",
    "decode_mask",
    "image_reason",
]

# What counts as an image in a folder. HEIC is there so that a phone's photographs are named when they cannot be read.
SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".bmp", ".tif", ".tiff", ".webp"}
    | {".ppm", ".pgm", ".pbm", ".pnm", ".avif", ".jp2", ".heic", ".heif", ".jxl"}
)
# Only these are tried: of Pillow's other readers some start programs (EPS runs Ghostscript) and some take any bytes.
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "DIB", "TIFF", "WEBP", "PPM", "AVIF", "JPEG2000", "HEIF", "JXL")
# Kinds that Pillow reads with another package, or when it was built so: which bytes they have where, and the package.
PLUGINS = {
    **dict.fromkeys([(4, b"ftyp" + brand) for brand in (b"hei", b"hev", b"mif1", b"msf1")], "pillow-heif"),
    (4, b"ftypavi"): "pillow-avif-plugin",
    **dict.fromkeys([(0, b"\xff\x0a"), (4, b"JXL ")], "pillow-jxl-plugin"),
}
# The decoders that pad a file which ends too early where ImageFile.LOAD_TRUNCATED_IMAGES is set. They never need to
# read at the end of a file that is whole.
PADDING_DECODERS = frozenset({"jpeg", "zip", "raw", "gif", "packbits"})
# EXIF orientation, tag 0x0112: what turns the stored picture upright.
ORIENTATION_TAG = 0x0112
ORIENTATIONS: dict[int, Callable[[NDArray], NDArray]] = {
    1: lambda pixels: pixels,
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: pixels.swapaxes(0, 1)[:, ::-1],
    7: lambda pixels: pixels.swapaxes(0, 1)[::-1, ::-1],
    8: lambda pixels: pixels.swapaxes(0, 1)[::-1],
}

Encoded = Union[bytes, str, os.PathLike[str], "PillowImage.Image"]
T = TypeVar("T", bound=np.generic)


class _RefusedError(Exception):
    """A reason of our own not to read an image, with what would help."""

    def __init__(self, reason: str, hint: str = "") -> None:
        super().__init__(reason)
        self.hint = hint


class _ChannelsError(Exception):
    """The image is whole, and has not the channels that are asked for."""


class _File(io.BufferedReader):
    """A file on disk. (A class in Python, so that `_forbid_padding` can change one object.)"""


class _Bytes(io.BytesIO):
    """A file in memory."""


def _forbid_padding(file: _File | _Bytes) -> None:
    """From now on, answer a read at the end of the file with an error.

    `ImageFile.LOAD_TRUNCATED_IMAGES` belongs to the whole process, and other libraries set it. With it, Pillow makes up
    the missing part of a picture; so the file itself refuses, whatever the switch says.
    """
    read = file.read

    def read_strictly(size: int | None = -1, /) -> bytes:
        data = read(size)
        if not data and size != 0:
            raise OSError("image file is truncated")
        return data

    setattr(file, "read", read_strictly)  # noqa: B010 -- a method of this one object


def decode_image(encoded: Encoded, name: str = "", *, bits: int = 16) -> Pixels:
    """Decode a file, bytes or a PIL image to upright RGB.

    EXIF rotation is applied, transparency is laid on white, 16-bit grey is scaled so that 65535 becomes 255, or the last number
    of so many `bits`.

    Parameters
    ----------
    encoded : bytes, str, os.PathLike or PIL image
        The encoded image, or the path of its file; or one that Pillow has opened.
    name : str
        What to call it in an error; the path where it is empty.

    Returns
    -------
    ndarray
        (height, width, 3) uint8, a new array.

    Raises
    ------
    ImageFileError
        It cannot be read completely; the message names it and says why.

    Examples
    --------
    >>> decode_image(b"P6 1 1 255 " + bytes([255, 128, 0])).tolist()
    [[[255, 128, 0]]]
    >>> decode_image(b"hello", "a.png")
    Traceback (most recent call last):
    ...
    iconoscope.errors.ImageFileError: a.png cannot be read: it is no image of a known kind; it begins with b'hello'
    """
    return _decode(encoded, name, partial(rgb_of, bits=bits))


def decode_depth(encoded: Encoded, name: str = "") -> int:
    """Give the bits that the values of an image in 16 bits fill, 10, 12, 14 or 16; 8 for any other. Raises `ImageFileError`."""
    return int(_decode(encoded, name, depth_of)[0, 0])


def decode_bands(encoded: Encoded, name: str = "") -> Pixels:
    """Decode a file, bytes or a PIL image in RGBA, RGBX or CMYK to its four channels as stored, (height, width, 4), upright.

    Raises `ImageFileError` where it cannot be read, `ImagesError` where it has not four channels.
    """
    return _decode(encoded, name, _four)


def decode_mask(encoded: Encoded, name: str = "") -> NDArray[np.bool_]:
    """Decode a mask file to (height, width) bool, True on the object. Raises `ImageFileError`.

    In a palette everything but black is object; in grey and colour, values are 0 and 1, or else 128 and more is object.
    """
    return _decode(encoded, name, mask_of)


def decode_indices(encoded: Encoded, name: str = "") -> NDArray[np.uint8]:
    """Decode a picture of numbers, in a palette or in grey, to (height, width) uint8. Raises `ImageFileError`."""
    return _decode(encoded, name, indices_of)


def _keep_fourth(picture: ImageFile.ImageFile) -> None:
    """Let Pillow keep the fourth channel of a TIFF that does not say what it is (infrared, depth): it drops it."""
    how = [tile.args for tile in picture.tile]
    stored = {args[0] if isinstance(args, tuple) else args for args in how}
    if picture.mode == "RGB" and stored == {"RGBX"}:
        picture._mode = "RGBX"


def _four(picture: PillowImage.Image) -> Pixels:
    if picture.mode not in FOUR:
        count = len(picture.getbands())
        raise _ChannelsError(f"{count} channel{'s' * (count != 1)} ({picture.mode})")
    return np.array(picture)


def image_reason(error: ImageFileError, name: str) -> str:
    """Give the reason alone, without the name in front of it."""
    return error.message.removeprefix(printable(f"{name} cannot be read: "))


def _decode(encoded: Encoded, name: str, convert: Callable[[PillowImage.Image], NDArray[T]]) -> NDArray[T]:
    path = os.fspath(encoded) if isinstance(encoded, str | os.PathLike) else ""
    name = name or path or "the image"
    try:
        with _pillow_quiet():
            if not isinstance(encoded, bytes | str | os.PathLike):
                return _upright(encoded, convert)
            with _opened(encoded) as file, _recognized(file) as picture:
                _check_single(picture)
                if picture.tile and all(tile[0] in PADDING_DECODERS for tile in picture.tile):
                    _forbid_padding(file)
                if convert is _four:
                    _keep_fourth(picture)
                return _upright(picture, convert)
    except _ChannelsError as error:
        raise three_channels(name, str(error)) from None
    # Pillow answers damaged data with whatever breaks first: OSError, SyntaxError, struct.error, zlib.error, KeyError,
    # OverflowError, AssertionError, MemoryError ... Here, and nowhere else, they all mean: this image cannot be read.
    except Exception as error:
        raise _refusal(name, error, path) from error


@contextmanager
def _opened(encoded: bytes | str | os.PathLike[str]) -> Iterator[_File | _Bytes]:
    if isinstance(encoded, bytes):
        if not encoded:
            raise _RefusedError("it is empty, 0 bytes")
        with _Bytes(encoded) as file:
            yield file
        return
    # Asked before opening: to open a pipe would wait for ever.
    status = os.stat(encoded)  # noqa: PTH116 -- for bytes of any file system, and quicker
    if stat.S_ISDIR(status.st_mode):
        raise _RefusedError("it is a folder")
    if not stat.S_ISREG(status.st_mode):
        raise _RefusedError("it is not a regular file")
    if not status.st_size:
        raise _RefusedError("it is empty, 0 bytes")
    with io.FileIO(encoded) as raw, _File(raw) as file:
        yield file


@contextmanager
def _recognized(file: _File | _Bytes) -> Iterator[ImageFile.ImageFile]:
    """Read the header. The size is decided on here, before a pixel is decoded."""
    from PIL import Image, UnidentifiedImageError

    if "HEIF" not in Image.OPEN:
        Image.init()
        _register_plugins()
    start = file.read(24)
    try:
        picture = Image.open(file, formats=[kind for kind in FORMATS if kind in Image.OPEN])
    except UnidentifiedImageError:
        for (offset, magic), package in PLUGINS.items():
            if start[offset:].startswith(magic):
                reason = "it is in HEIC, AVIF or JPEG XL, which Pillow reads here only with another package"
                raise _RefusedError(reason, f"pip install {package}; or save it as PNG or JPEG.") from None
        raise _RefusedError(f"it is no image of a known kind; it begins with {start!r}") from None
    with picture:
        if not all(picture.size):
            raise _RefusedError(f"it has no pixels, its size is {picture.width} x {picture.height}")
        yield picture


@cache
def _register_plugins() -> None:
    """Let packages for other kinds of image, where they are installed, tell Pillow of themselves; once a process."""
    for package in set(PLUGINS.values()):
        with suppress(ImportError):
            module = importlib.import_module(package.replace("-", "_").removesuffix("_plugin"))
            getattr(module, "register_heif_opener", lambda: None)()


def _check_single(picture: ImageFile.ImageFile) -> None:
    # A phone's JPEG may carry a preview or a depth map behind the photograph (MPO): the photograph comes first.
    frames = 1 if picture.format == "MPO" else getattr(picture, "n_frames", 1)
    if frames > 1:
        raise _RefusedError(
            f"it holds {frames} pictures (an animation or several pages)",
            "Save the picture that is meant as its own file.",
        )


def _upright(picture: PillowImage.Image, convert: Callable[[PillowImage.Image], NDArray[T]]) -> NDArray[T]:
    picture.load()
    # Asked after loading: some readers (TIFF) turn the picture themselves and take the tag away.
    return np.ascontiguousarray(ORIENTATIONS[_orientation(picture)](convert(picture)))


def _orientation(picture: PillowImage.Image) -> int:
    try:
        value = picture.getexif().get(ORIENTATION_TAG, 1)
    except Exception:  # noqa: BLE001 -- EXIF that cannot be parsed says nothing of the rotation; the pixels are whole
        return 1
    return value if value in ORIENTATIONS else 1


def _refusal(name: str, error: Exception, path: str = "") -> ImageFileError:
    from PIL import Image

    hint = getattr(error, "hint", "") or (f"The file is {path}." if path and path != name else "")
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        # Pillow warns from the limit on and raises from twice the limit on; to us the limit is the limit.
        count = re.search(r"\d+", str(error))
        reason = f"it has {int(count[0]) if count else 0:,} pixels, and the limit is {Image.MAX_IMAGE_PIXELS:,}"
        hint = "Make it smaller, or raise PIL.Image.MAX_IMAGE_PIXELS if you trust it."
    elif isinstance(error, FileNotFoundError):
        reason = "there is no such file"
    elif isinstance(error, OSError) and error.strerror:
        reason = error.strerror.lower()
    elif isinstance(error, MemoryError):
        reason = "there is not enough memory for it"
    else:
        reason = str(error) or f"it is damaged ({type(error).__name__})"
    return ImageFileError(f"{name} cannot be read: {reason}", hint=hint)


_quiet_lock = threading.Lock()
_quiet_depth = 0
_quiet_filters: warnings.catch_warnings | None = None


@contextmanager
def _pillow_quiet() -> Iterator[None]:
    """Turn Pillow's warning of a decompression bomb into an error, and let none of its other warnings out.

    `warnings.catch_warnings` is not safe between threads, and images are decoded in several: the first one in sets the
    filters, the last one out takes them away.
    """
    global _quiet_depth, _quiet_filters  # noqa: PLW0603 -- the filters are the process's own, so is the count
    with _quiet_lock:
        _quiet_depth += 1
        if _quiet_depth == 1:
            from PIL import Image

            _quiet_filters = warnings.catch_warnings()
            _quiet_filters.__enter__()
            warnings.filterwarnings("ignore", module=r"PIL\b")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
    try:
        yield
    finally:
        with _quiet_lock:
            _quiet_depth -= 1
            if _quiet_depth == 0 and _quiet_filters is not None:
                _quiet_filters.__exit__(None, None, None)
                _quiet_filters = None
