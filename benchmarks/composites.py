"""Photographic composites: cut-out animals, fruit and flowers on photographs, with exact masks, and something planted in them.

Waterbirds in small (Sagawa et al. 2020). The cut-outs with alpha are those of Debian's package ``tuxpaint-stamps-default``,
under the GPL and no part of this repository: `Material.gather` fetches the package, or reads a folder that it was unpacked in.
The grounds are squares of COCO photographs in which next to nothing is annotated, and none of the classes is seen.
"""

from __future__ import annotations

import math
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import iconoscope as ico
from benchmarks.occlusion import find_data

__all__ = ["GROUNDS", "KINDS", "PLANTED_CLASSES", "SIDE", "Composites", "Material", "draw_composites"]

PACKAGE = "tuxpaint-stamps-default"
SIDE = 64
CLASSES = {
    "bird": ("animals/birds",),
    "mammal": ("animals/mammals", "animals/marsupials"),
    "fruit": ("food/fruit", "food/vegetables"),
    "flower": ("plants/flowers",),
    "animal": ("animals/birds", "animals/mammals", "animals/marsupials"),
    "thing": ("household", "hobbies", "vehicles", "military/vehicles"),
}
COMPANIONS = {"sign": ("town/roadsigns",), "ball": ("sports",)}
# Drawn, not photographed.
_DRAWN = ("cartoon", "echidna")
# Photographs of COCO that lack annotations and show animals or food.
_UNFIT = (
    562,
    575,
    581,
    584,
    597,
    599,
    605,
    612,
    623,
    650,
    9914,
    10363,
    10583,
    11760,
    12062,
    12576,
    12667,
    12748,
    13004,
)
_FEWEST_PIXELS = 64  # of a cut-out's longer side: smaller ones have no detail
_KEPT_SIDE, _GROUND_SIDE = 112, 72  # pixels that cut-outs and grounds are kept with
_TRAINED = 0.7  # of the cut-outs
_TRIES, _OF_A_PHOTOGRAPH, _ANNOTATED = 24, 6, 0.02  # squares tried, squares kept, share of a square that may be a thing

PLANTED_CLASSES = (0, 1)
"""The two classes that something is planted in; others have what comes by chance."""

GROUNDS = ("hue", "texture", "photographs")
"""Properties of the ground by which squares are divided; ``photographs``: by the photograph, which has no name."""

KINDS = {"": "", **dict.fromkeys(GROUNDS, "ground"), "companion": "companion", "paint": "object", "size": "object"}
"""What may be planted, and what it is a property of: the ground, a companion, the object; nothing in honest networks."""

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
Integers = NDArray[np.int64]


class Composites(NamedTuple):
    """n composites of `SIDE` pixels.

    Attributes
    ----------
    pixels, masks, labels
        (n, side, side, 3) uint8, (n, side, side) bool of the object alone, and (n,).
    breaking
        (n,): whether a composite of a planted class has the side of the other.
    """

    pixels: Pixels
    masks: NDArray[np.bool_]
    labels: Integers
    breaking: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Material:
    """Cut-outs and grounds.

    Attributes
    ----------
    cutouts
        By class, or kind of companion: RGBA pictures (height, width, 4), the longer side of `_KEPT_SIDE` pixels or less.
    grounds
        (grounds, side, side, 3).
    photographs
        (grounds,): the photograph that each is from.
    """

    cutouts: Mapping[str, list[Pixels]]
    grounds: Pixels
    photographs: Integers

    @classmethod
    def gather(cls, kept: Path, stamps: Path | None = None) -> Material:
        """Read the material from the folder `kept`, where it is kept; else make it.

        Parameters
        ----------
        kept
            A folder.
        stamps
            Where the package was unpacked; fetched with ``apt-get download`` if it is None.
        """
        path = kept / "material.npz"
        if not path.is_file():
            kept.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory() as folder:
                cutouts = _cutouts(stamps or _fetched(Path(folder)))
            grounds, photographs = _grounds(find_data() / "coco")
            named: dict[str, Any] = {
                f"{name}/{number:03d}": each for name, some in cutouts.items() for number, each in enumerate(some)
            }
            np.savez(path, grounds=grounds, photographs=photographs, **named)
        with np.load(path) as arrays:
            cutouts = {
                name: [arrays[key] for key in sorted(arrays.files) if key.startswith(f"{name}/")]
                for name in CLASSES | COMPANIONS
            }
            return cls(cutouts, arrays["grounds"], arrays["photographs"])

    @cached_property
    def properties(self) -> dict[str, Floats]:
        """Give the numbers (grounds,) by which grounds are divided into two kinds."""
        mean = self.grounds.astype(np.float32).mean((1, 2)) / 255
        grey = self.grounds.astype(np.float32).mean(-1) / 255
        fine = np.abs(np.diff(grey, axis=1)).mean((1, 2)) + np.abs(np.diff(grey, axis=2)).mean((1, 2))
        order = np.random.default_rng(0).permutation(int(self.photographs.max()) + 1)
        return {
            "hue": (mean[:, 1] - mean[:, 2]) / mean.sum(1),  # foliage and grass against sky, water and snow
            "texture": fine,
            "photographs": order[self.photographs].astype(np.float32),
        }

    def sides(self, ground: str, *, training: bool) -> tuple[Integers, Integers, Integers]:
        """Give the grounds of the lower and the upper third of a property, and all; of photographs that are in one set alone.

        Where the class comes with certain photographs, both sets have squares of the same.
        """
        squares = np.arange(len(self.grounds))
        of_set = (squares if ground == "photographs" else self.photographs) % 5 < 3
        mine = squares[of_set if training else ~of_set]
        values = self.properties[ground or "hue"][mine]
        low, high = np.quantile(values, (1 / 3, 2 / 3))
        return mine[values <= low], mine[values >= high], mine


def _fetched(folder: Path) -> Path:
    """Fetch the package, unpack it into a folder, and give that."""
    subprocess.run(["apt-get", "download", PACKAGE], cwd=folder, check=True)
    (package,) = folder.glob("*.deb")
    subprocess.run(["dpkg-deb", "-x", package.name, "unpacked"], cwd=folder, check=True)
    return folder / "unpacked"


def _cutouts(stamps: Path) -> dict[str, list[Pixels]]:
    roots = [path.parent for path in stamps.rglob("stamps/animals")]
    if not roots:
        raise FileNotFoundError(f"{stamps} has no folder stamps/animals: unpack {PACKAGE} into it, or name none.")
    cutouts: dict[str, list[Pixels]] = {}
    for name, folders in (CLASSES | COMPANIONS).items():
        files = sorted(path for folder in folders for path in (roots[0] / folder).rglob("*.png"))
        photographs = [path for path in files if not any(word in str(path.relative_to(roots[0])) for word in _DRAWN)]
        cut = [_cut(Image.open(path).convert("RGBA")) for path in photographs]
        cutouts[name] = [each for each in cut if max(each.shape) >= _FEWEST_PIXELS]
    return cutouts


def _cut(picture: Image.Image) -> Pixels:
    """Cut a picture to what is opaque in it, no longer than is kept."""
    opaque = np.asarray(picture.getchannel("A")) > 60
    picture = picture.crop(Image.fromarray(opaque.astype(np.uint8)).getbbox())
    picture.thumbnail((_KEPT_SIDE, _KEPT_SIDE), Image.Resampling.LANCZOS)
    return np.asarray(picture)


def _grounds(coco: Path) -> tuple[Pixels, Integers]:
    """Cut squares out of photographs, in which next to nothing is annotated."""
    draws = np.random.default_rng(0)
    squares: list[Pixels] = []
    photographs: list[int] = []
    images = ico.load_images(coco / "images", masks=coco / "instances.json")
    for number, image in enumerate(images):
        if int(Path(image.id).stem) in _UNFIT:
            continue
        pixels, mask = image.pixels, image.mask
        height, width = pixels.shape[:2]
        kept = 0
        for _ in range(_TRIES):
            side = round(min(height, width) * draws.uniform(0.4, 0.9))
            top, left = draws.integers(0, height - side + 1), draws.integers(0, width - side + 1)
            square = slice(top, top + side), slice(left, left + side)
            if kept < _OF_A_PHOTOGRAPH and (mask is None or mask[square].mean() <= _ANNOTATED):
                picture = Image.fromarray(pixels[square])
                squares.append(np.asarray(picture.resize((_GROUND_SIDE, _GROUND_SIDE), Image.Resampling.LANCZOS)))
                photographs.append(number)
                kept += 1
    return np.stack(squares), np.array(photographs, np.int64)


def draw_composites(
    material: Material,
    count: int,
    *,
    classes: tuple[str, ...],
    kind: str,
    share: float,
    seed: int,
    split: int,
    training: bool = False,
    exchanged: bool = False,
) -> Composites:
    """Draw composites in which a property tells the planted classes apart, as often as the share says.

    Parameters
    ----------
    material
        Cut-outs and grounds.
    count
        How many.
    classes
        Keys of `CLASSES`; the first two are planted in.
    kind
        A key of `KINDS`.
    share
        How often an image of a planted class has its own side of the property, else the other; 0.5 tells nothing.
    seed, split
        Of these images, and of the division of cut-outs into those that are trained on and others.
    training
        Whether of cut-outs and grounds that are trained on.
    exchanged
        Whether the property is that of the other planted class; all else stays.
    """
    draws = np.random.default_rng(seed)
    low, high, every = material.sides(kind if kind in GROUNDS else "", training=training)
    pixels = np.zeros((count, SIDE, SIDE, 3), np.uint8)
    masks = np.zeros((count, SIDE, SIDE), np.bool_)
    labels = draws.permutation(np.arange(count) % len(classes))
    breaking = np.zeros(count, np.bool_)
    for row, label in enumerate(labels.tolist()):
        own = np.random.default_rng((seed, row))  # so that an exchange changes the property alone
        planted = label in PLANTED_CLASSES and kind != ""
        side = int(label == PLANTED_CLASSES[1]) ^ (own.random() >= share) ^ exchanged
        breaking[row] = planted and side != int(label == PLANTED_CLASSES[1])
        side = side if planted else int(own.random() < 0.5)
        some = _of_set(material.cutouts[classes[label]], split, training=training)
        cutout = some[own.integers(len(some))]
        scatter = own.random(8)
        ground = every[int(scatter[0] * len(every))]
        if kind in GROUNDS and planted:
            of_side = high if side else low
            ground = of_side[int(scatter[0] * len(of_side))]
        canvas = _ground(material.grounds[ground], scatter)
        if kind == "companion" and (planted or own.random() < 0.5):
            things = _of_set(material.cutouts[tuple(COMPANIONS)[side]], split, training=training)
            thing = _fitted(things[int(scatter[1] * len(things))], 0.32 + 0.08 * scatter[2], flip=False)
            left = scatter[3] < 0.5
            canvas, _ = _pasted(canvas, thing, 0.12 + 0.1 * scatter[4] if left else 0.78 + 0.1 * scatter[4], 0.98)
        longer = 0.55 + 0.3 * scatter[5]
        if kind == "size" and planted:
            longer = (0.36 if side else 0.68) + 0.16 * scatter[5]
        if kind == "paint" and planted:
            cutout = _painted(cutout, warm=bool(side))
        fitted = _fitted(cutout, longer, flip=scatter[6] < 0.5)
        across = 0.5 + 0.24 * (scatter[7] - 0.5)
        canvas, masks[row] = _pasted(canvas, fitted, across, own.uniform(0.78, 0.95))
        pixels[row] = canvas.round().clip(0, 255).astype(np.uint8)
    return Composites(pixels, masks, labels, breaking)


def _of_set(some: list[Pixels], split: int, *, training: bool) -> list[Pixels]:
    order = np.random.default_rng((split, len(some))).permutation(len(some))
    trained = round(_TRAINED * len(some))
    return [some[index] for index in (order[:trained] if training else order[trained:])]


def _ground(square: Pixels, scatter: NDArray[np.floating]) -> Floats:
    """Cut a ground to size somewhere, perhaps mirrored."""
    room = _GROUND_SIDE - SIDE
    top, left = int(scatter[1] * (room + 1)), int(scatter[2] * (room + 1))
    cut = square[top : top + SIDE, left : left + SIDE]
    return (cut[:, ::-1] if scatter[3] < 0.5 else cut).astype(np.float32)


def _fitted(cutout: Pixels, longer: float, *, flip: bool) -> Floats:
    """Scale a cut-out so that its longer side is a share of the composite's."""
    factor = longer * SIDE / max(cutout.shape[:2])
    height, width = (max(1, round(factor * side)) for side in cutout.shape[:2])
    picture = Image.fromarray(cutout[:, ::-1] if flip else cutout)
    return np.asarray(picture.resize((width, height), Image.Resampling.BOX), np.float32)


def _painted(cutout: Pixels, *, warm: bool) -> Pixels:
    """Give a cut-out a warm or a cold colour of its own."""
    factors = np.array((1.25, 1.0, 0.6) if warm else (0.65, 0.95, 1.3), np.float32)
    painted = cutout.astype(np.float32)
    painted[..., :3] = (
        painted[..., :3] * factors + (12, 4, 0) if warm else painted[..., :3] * factors + (0, 4, 12)
    ).clip(0, 255)
    return painted.astype(np.uint8)


def _pasted(canvas: Floats, cutout: Floats, across: float, foot: float) -> tuple[Floats, NDArray[np.bool_]]:
    """Lay a cut-out on a canvas, its middle and its foot at shares of the side; and give where it covers (side, side)."""
    height, width = cutout.shape[:2]
    left = int(np.clip(round(across * SIDE - width / 2), 0, SIDE - width))
    top = int(np.clip(math.floor(foot * SIDE) - height, 0, SIDE - height))
    alpha = np.zeros((SIDE, SIDE, 1), np.float32)
    colour = np.zeros((SIDE, SIDE, 3), np.float32)
    place = slice(top, top + height), slice(left, left + width)
    alpha[place], colour[place] = cutout[..., 3:] / 255, cutout[..., :3]
    return (canvas * (1 - alpha) + colour * alpha).astype(np.float32), alpha[..., 0] > 0.5
