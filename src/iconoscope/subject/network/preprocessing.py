"""The preprocessing of a network's images: size, crop, interpolation, mean and standard deviation.

A preprocessing is never guessed: it comes from whoever loads the network, from the checkpoint, or from the module, and it
remembers which (`Preprocessing.origin`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from iconoscope.errors import PreprocessingError, QuestionError, check_path, nearest
from iconoscope.reading import parse_json, read_text

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image as PillowImage
    from PIL.Image import Resampling

    from iconoscope.subject.images.image import Image

__all__ = [
    "ASSUMED",
    "CHANNELS",
    "CROPS",
    "INTERPOLATIONS",
    "MIDDLES",
    "Preprocessing",
    "merged",
    "read_preprocessing",
    "read_size",
    "settings_of",
]

# Names of the choice -> the attribute of PIL.Image.Resampling, which is imported only when pixels are resized.
INTERPOLATIONS = {"nearest": "NEAREST", "bilinear": "BILINEAR", "bicubic": "BICUBIC", "lanczos": "LANCZOS"}
CROPS = {
    "center": "resize the short side, then cut the middle",
    "none": "resize both sides, whatever that does to the proportions",
    "squash": "resize both sides, whatever that does to the proportions, then cut the middle",
    "cover": "resize until both sides are long enough, then cut the middle",
    "border": "resize until both sides fit, cut the middle, and lay the mean colour around it",
}
MIDDLES = {
    "nearest": "half a pixel of the offset goes to the even neighbour (torchvision, timm)",
    "down": "half a pixel of the offset is cut off (transformers)",
}
CHANNELS = {
    1: "grey: the brightness of RGB, as Pillow and ITU-R BT.601 have it",
    3: "RGB",
    4: "the four channels of the image's own file or array",
}
GREY = (0.299, 0.587, 0.114)
"""Weights of red, green and blue for in the brightness (ITU-R BT.601)."""

ASSUMED = "an assumption: "
"""Begins the origin of a preprocessing that nobody gave: the weights are somebody's own, and it is that of published ones."""

_LARGE = 64_000_000  # pixels of a resized image that are still worth making whole
_HOW = (
    """Give it as a dict in Python, on the command line as JSON, a file with it, or size=64,std=1,1,1: {"size": 224, """
    """"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]} for ImageNet's usual; also "crop", "resize", """
    """"interpolation"."""
)


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """The steps from a photograph to the network's input.

    Attributes
    ----------
    size : tuple of int
        Height and width of the network's input, pixels.
    mean, std : tuple of float
        Per channel, for values in 0..1: the network is given ``(values - mean) / std``. How many there are is how many channels
        the network is given, see `CHANNELS`.
    interpolation : str
        A key of `INTERPOLATIONS` (Pillow's filters, which blur enough to shrink without aliasing).
    crop : str
        ``"center"``: the short side is resized to `resize`, then the middle is cut. ``"none"``: both sides are resized.
        ``"squash"``: both sides are resized, the short one of `size` to `resize`, then the middle is cut. ``"cover"`` and
        ``"border"`` keep the proportions, as timm does: the picture covers, or fits into, `size` enlarged so that its short
        side is `resize`; then the middle is cut, and what is missing has the mean colour.
    resize : int, tuple of int or None
        Length of the short side before a crop, pixels, or whatever more it takes to cover `size`; ``None`` means
        just what covers it. Of all crops but ``"center"`` also height and width.
    middle : str
        A key of `MIDDLES`: where the middle lies if it is half a pixel off.
    origin : str
        Who said so, in words.
    """

    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str = "bilinear"
    crop: str = "center"
    resize: int | tuple[int, int] | None = None
    middle: str = "nearest"
    origin: str = "given"

    @property
    def assumed(self) -> bool:
        """Whether nobody said it, so that it may not be that of the training."""
        return self.origin.startswith(ASSUMED)

    @property
    def channels(self) -> int:
        """The number of channels that the network is given."""
        return len(self.mean)

    def shown(self, image: Image) -> NDArray[np.uint8]:
        """Give an image as the network sees it: resized and cropped, RGB (height, width, 3) or all four of its channels.

        Raises
        ------
        ImagesError
            If the network wants four channels, and the image has three.
        """
        return self.fit(image.bands if self.channels == 4 else image.pixels)

    def digest_of(self, image: Image) -> str:
        """Give the digest of all that the network could see of an image."""
        return image.bands_digest if self.channels == 4 else image.digest

    def fit(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Resize and crop a photograph (height, width, 3 or 4) to the network's size, still of 0..255."""
        from PIL import Image

        if pixels.shape[:2] == self.size and self.resize is None:
            return pixels
        resampling = Image.Resampling[INTERPOLATIONS[self.interpolation]]
        around = [min(255, max(0, round(255 * value))) for value in self.mean]
        if pixels.shape[2] == 3:
            return self._fit(Image.fromarray(pixels), resampling, around * (3 // len(around)))
        # One after another: Pillow takes a fourth for transparency, and weighs the others with it.
        bands = [
            self._fit(Image.fromarray(np.ascontiguousarray(band)), resampling, around[number])
            for number, band in enumerate(np.moveaxis(pixels, 2, 0))
        ]
        return np.stack(bands, 2)

    def fit_mask(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Put a mask (height, width) through the same resizing and cropping as its photograph."""
        from PIL import Image

        if mask.shape == self.size and self.resize is None:
            return mask
        return self._fit(Image.fromarray(mask.astype(np.uint8) * 255), Image.Resampling.BILINEAR) >= 128

    def normalise(self, pixels: NDArray[np.uint8]) -> torch.Tensor:
        """Turn fitted pictures (n, height, width, 3 or 4) of 0..255 into the network's input (n, channels, height, width)."""
        import torch

        # A copy: pictures may be read-only, of which torch warns.
        tensor = torch.from_numpy(np.array(pixels.transpose(0, 3, 1, 2), order="C")).float().div_(255)
        if self.channels == 1:
            tensor = (tensor * torch.tensor(GREY, dtype=torch.float32)[:, None, None]).sum(1, keepdim=True)
        mean, std = (torch.tensor(values, dtype=torch.float32)[:, None, None] for values in (self.mean, self.std))
        return tensor.sub_(mean).div_(std)

    def restore(self, tensor: torch.Tensor) -> NDArray[np.uint8]:
        """Turn one input of the network (channels, height, width) back into a picture (height, width, channels) of 0..255."""
        values = tensor.permute(1, 2, 0).cpu().numpy() * np.asarray(self.std) + np.asarray(self.mean)
        return (values * 255).round().clip(0, 255).astype(np.uint8)

    def to_json(self) -> dict[str, Any]:
        """Give the settings as plain values, without their origin."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name != "origin"}

    def describe(self) -> str:
        """Say in one line what happens to a photograph, and who said so."""
        height, width = self.size
        if self.crop == "none":
            shape = f"both sides resized to {height}x{width}"
        elif self.crop in ("cover", "border"):
            until = "both cover" if self.crop == "cover" else "both fit into"
            shape = f"sides resized until {until} {'x'.join(map(str, self._enlarged()))}, middle {height}x{width} cut"
        elif self.crop == "squash":
            shape = f"both sides resized to {'x'.join(map(str, self._enlarged()))}, middle {height}x{width} cut"
        else:
            cover = f"to {self.resize}" if self.resize else "as far as is needed"
            shape = f"short side resized {cover}, middle {height}x{width} cut"
        mean, std = (", ".join(f"{value:g}" for value in values) for values in (self.mean, self.std))
        return f"{shape} ({self.interpolation}); mean {mean}; std {std}; from {self.origin}"

    def _fit(self, picture: PillowImage, resampling: Resampling, around: int | list[int] = 0) -> NDArray[np.uint8]:
        """Resize a picture and cut its middle; `around` is the colour beside it, where it is smaller than what is cut."""
        width, height = self._resized(picture.width, picture.height)
        top, left = self._offset(height - self.size[0]), self._offset(width - self.size[1])
        if width * height <= _LARGE:
            resized = np.asarray(picture.resize((width, height), resampling))
            cut = resized[max(0, top) : max(0, top) + self.size[0], max(0, left) : max(0, left) + self.size[1]]
            if cut.shape[:2] == self.size:
                return cut
            fitted = np.full((*self.size, *cut.shape[2:]), around, cut.dtype)
            above, before = max(0, -top), max(0, -left)
            fitted[above : above + cut.shape[0], before : before + cut.shape[1]] = cut
            return fitted
        # Of a ribbon of 2x400,000 pixels almost nothing is left after the cut: only that much of it is resized.
        across, down = picture.width / width, picture.height / height
        box = (left * across, top * down, (left + self.size[1]) * across, (top + self.size[0]) * down)
        return np.asarray(picture.resize((self.size[1], self.size[0]), resampling, box=box))

    def _offset(self, surplus: int) -> int:
        """Give where the middle begins; of a border, which lacks pixels, the smaller half is above and to the left."""
        return -(-surplus // 2) if surplus < 0 else surplus // 2 if self.middle == "down" else round(surplus / 2)

    def _enlarged(self) -> tuple[int, int]:
        """Give the height and width that `size` has if its short side is `resize`, or `resize` if it is both."""
        if isinstance(self.resize, tuple):
            return self.resize
        short = max(self.resize or 0, min(self.size))
        return self.size[0] * short // min(self.size), self.size[1] * short // min(self.size)

    def _resized(self, width: int, height: int) -> tuple[int, int]:
        if self.crop == "none":
            return self.size[1], self.size[0]
        down, across = self._enlarged()
        if self.crop == "squash":
            return across, down
        if self.crop in ("cover", "border"):
            scales = (height / down, width / across)
            scale = min(scales) if self.crop == "cover" else max(scales)
            return max(1, round(width / scale)), max(1, round(height / scale))
        # The short side is resized, or whatever more covers the size; the fraction of the other is cut off, as torchvision and
        # transformers do.
        short = self.resize if isinstance(self.resize, int) else 0
        lengths = ((self.size[0], height), (self.size[1], width), (short, min(width, height)))
        new, old = max(lengths, key=lambda pair: pair[0] / pair[1])
        return max(self.size[1], int(new * width / old)), max(self.size[0], int(new * height / old))


def read_preprocessing(
    preprocessing: Mapping[str, Any] | Preprocessing | str, *, origin: str = "given"
) -> Preprocessing:
    """Check settings of a preprocessing and make them one.

    Parameters
    ----------
    preprocessing : mapping, Preprocessing or str
        ``size`` (one number or height and width), ``mean``, ``std`` and, if they differ from the defaults,
        ``interpolation``, ``crop``, ``resize`` and ``middle``; or the same as JSON text, as ``size=32,crop=none``, or in a
        JSON file.
    origin : str
        Who said so, in words.

    Raises
    ------
    PreprocessingError
        If a setting is missing, unknown or out of range; the message says which.

    Examples
    --------
    >>> read_preprocessing({"size": 32, "mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)}).size
    (32, 32)
    """
    if isinstance(preprocessing, Preprocessing):
        return read_preprocessing(preprocessing.to_json(), origin=preprocessing.origin)
    settings = settings_of(preprocessing)
    names = [field.name for field in fields(Preprocessing) if field.name != "origin"]
    for name in settings:
        if name not in names:
            raise PreprocessingError(f"A preprocessing has no setting {name!r}.", hint=nearest(name, names))
    missing = [name for name in ("size", "mean", "std") if settings.get(name) is None]
    if missing:
        raise PreprocessingError(f"The preprocessing ({origin}) lacks {' and '.join(missing)}.", hint=_HOW)
    for name, choices in (("interpolation", INTERPOLATIONS), ("crop", CROPS), ("middle", MIDDLES)):
        if name in settings and (not isinstance(settings[name], str) or settings[name] not in choices):
            raise PreprocessingError(
                f"{name}={settings[name]!r} is not a choice.", hint=nearest(str(settings[name]), choices)
            )
    mean, std = _numbers(settings["mean"], "mean"), _numbers(settings["std"], "std")
    if len(mean) not in CHANNELS or len(std) != len(mean):
        raise PreprocessingError(
            f"mean has {len(mean)} values and std {len(std)}; both want three for RGB, one for grey, or four.",
            hint=_HOW,
        )
    if min(std) <= 0:
        raise PreprocessingError(f"std={std} must be over zero.", hint="It is given for RGB in 0..1, e.g. 0.229.")
    if max(map(abs, mean)) > 1 or max(std) > 1:
        raise PreprocessingError(
            f"mean={mean} and std={std} are not for RGB in 0..1.", hint="Divide them by 255 if they are for 0..255."
        )
    size = _size(settings["size"])
    resize = settings.get("resize")
    if isinstance(resize, list | tuple) and settings.get("crop", "center") != "center":
        resize = _size(resize)
        if resize[0] < size[0] or resize[1] < size[1]:
            raise PreprocessingError(f"resize={resize} is smaller than size={size}.")
    elif resize is not None and (not isinstance(resize, int) or resize < min(size)):
        raise PreprocessingError(
            f"resize={resize!r} must be a whole number of pixels, at least {min(size)} (the size)."
        )
    optional = {name: settings[name] for name in ("interpolation", "crop", "middle") if name in settings}
    return Preprocessing(size=size, mean=mean, std=std, resize=resize, origin=origin, **optional)


def merged(
    settings: Mapping[str, Any] | Preprocessing | str, own: Mapping[str, Any] | Preprocessing | str
) -> dict[str, Any]:
    """Put settings in the place of a network's own; what is not given stays.

    A `resize` that is not given keeps its proportion to the size, so that as much is cut off as before.

    >>> own = {"size": 224, "resize": 256, "mean": (0.5,) * 3, "std": (0.5,) * 3}
    >>> merged({"size": 56}, own)["resize"], merged("size=56,resize=70", own)["resize"]
    (64, 70)
    """
    given, stays = settings_of(settings), settings_of(own)
    resize = stays.get("resize")
    if given.get("size") is not None and stays.get("size") is not None and resize is not None and "resize" not in given:
        new, old = _size(given["size"]), _size(stays["size"])
        if isinstance(resize, list | tuple):
            stays["resize"] = tuple(round(side * a / b) for side, a, b in zip(resize, new, old, strict=True))
        else:
            stays["resize"] = max(min(new), round(resize * min(new) / min(old)))
    return {**stays, **given}


def unknown_preprocessing(name: str) -> PreprocessingError:
    """Say that nobody gave the preprocessing of a network, and how to give it."""
    return PreprocessingError(
        f"Nobody says how {name} wants its images: neither the call, nor the checkpoint, nor the module.", hint=_HOW
    )


def settings_of(preprocessing: Mapping[str, Any] | Preprocessing | str) -> dict[str, Any]:
    """Give the settings as plain values, unchecked, in whatever form they were given."""
    if isinstance(preprocessing, Preprocessing):
        return preprocessing.to_json()
    return _from_text(preprocessing) if isinstance(preprocessing, str) else dict(preprocessing)


_SETTING = re.compile(r"\s*(?P<name>[A-Za-z_]+)\s*=\s*(?P<value>[^=]*?)\s*(?:,(?=\s*[A-Za-z_]+\s*=)|$)")


def _settings_in(text: str) -> dict[str, Any] | None:
    """Read ``size=224x320,mean=0.5,0.5,0.5,crop=none``; None where the text is not written so.

    >>> _settings_in("size=64, mean=0.5,crop=none"), _settings_in("how.json")
    ({'size': 64, 'mean': (0.5,), 'crop': 'none'}, None)
    """
    settings: dict[str, Any] = {}
    end = 0
    while end < len(text):
        match = _SETTING.match(text, end)
        if match is None:
            return None
        settings[match["name"]] = _value(match["name"], match["value"])
        end = match.end()
    return settings or None


def _value(name: str, text: str) -> Any:
    """Read the value of a setting: a number, two with an x between them, some with commas, or a word."""
    try:
        if name in ("mean", "std"):
            return tuple(float(part) for part in text.split(","))
        first, *others = (int(part) for part in text.split("x"))
    except ValueError:
        return text
    return (first, *others) if others else first


def _from_text(text: str) -> dict[str, Any]:
    source = "the text given"
    if (settings := _settings_in(text)) is not None:
        return settings
    if not text.lstrip().startswith("{"):
        source = text
        try:
            check_path("preprocessing", text)
            text = read_text(Path(text).expanduser(), most=2**20)
        except (OSError, ValueError) as error:
            raise PreprocessingError(f"The preprocessing {source} cannot be read: {error}.", hint=_HOW) from error
    try:
        settings = parse_json(text)
    except ValueError as error:
        raise PreprocessingError(f"The preprocessing in {source} is not JSON: {error}.", hint=_HOW) from error
    if not isinstance(settings, dict):
        raise PreprocessingError(f"The preprocessing in {source} is not a JSON object.", hint=_HOW)
    return settings


def _numbers(values: Any, name: str) -> tuple[float, ...]:
    try:
        numbers = tuple(float(value) for value in values)
    except (TypeError, ValueError, OverflowError) as error:
        raise PreprocessingError(f"{name}={values!r} is not one number for each channel.", hint=_HOW) from error
    if not all(math.isfinite(number) for number in numbers):
        raise PreprocessingError(f"{name}={values!r} is not finite.", hint=_HOW)
    return numbers


def read_size(size: int | tuple[int, int] | None, *, least: int = 1) -> tuple[int, int] | None:
    """Read the size of pictures that are to be made: a side, or height and width; None stays None.

    Raises
    ------
    QuestionError
        If it is neither, or smaller than `least`.
    """
    if size is None:
        return None
    sides = tuple(size) if isinstance(size, tuple | list) else (size, size)
    if len(sides) != 2 or not all(isinstance(side, Integral) and int(side) >= least for side in sides):
        raise QuestionError(
            f"size={size!r} must be one or two whole numbers from {least} up.", hint="Give 128 or (128, 192)."
        )
    return int(sides[0]), int(sides[1])


def _size(value: Any) -> tuple[int, int]:
    sides = (value, value) if isinstance(value, int) else tuple(value) if isinstance(value, list | tuple) else ()
    match () if any(isinstance(side, bool) for side in sides) else sides:
        case (int() as height, int() as width) if height > 0 and width > 0:
            return height, width
    raise PreprocessingError(
        f"size={value!r} is not a size.",
        hint="Give one number of pixels, or height and width: size=224, size=(224, 320).",
    )
