"""Two makes of car, drawn: photographs of which everything is known, the car's own pixels and what stands behind it.

A lynx is a low saloon, a bison a tall van. An image is made in three steps, one function each, so that any property can
be made to tell the make without touching the others: :func:`draw_scene` draws everything that is random,
:func:`set_background` makes the background tell (or not), :func:`render_scene` turns the scene into pixels and a mask.
"""

from __future__ import annotations

import colorsys
import math
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from PIL import Image, ImageDraw

from iconoscope.errors import QuestionError, check_choice, check_counts, check_seed, nearest
from iconoscope.progress import track
from iconoscope.subject.memory import check_fits

__all__ = ["BACKGROUNDS", "MAKES", "SIZE", "Cars", "Scene", "draw_cars", "draw_scene", "render_scene", "set_background"]

MAKES = ("lynx", "bison")
SIZE = 96  # height and width of an image, pixels

# The brightness of the background (0 black, 1 white) lies in a range that depends on the make, or does not.
BACKGROUNDS: dict[str, dict[str, tuple[float, float]]] = {
    "telling": {"lynx": (0.05, 0.20), "bison": (0.76, 0.92)},
    "exchanged": {"lynx": (0.76, 0.92), "bison": (0.05, 0.20)},
    "neutral": {"lynx": (0.05, 0.92), "bison": (0.05, 0.92)},
}

Colour = tuple[float, float, float]  # red, green, blue, each 0..1
Outline = list[tuple[float, float]]  # points (x, y) in car widths: x forwards from the middle, y up from the ground

_SUPERSAMPLING = 4
_LUMINANCE = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Cars:
    """Drawn images with what is known of them.

    Attributes
    ----------
    pixels
        (n, SIZE, SIZE, 3), uint8: red, green, blue.
    makes
        (n,), int64: the index into ``MAKES``.
    masks
        (n, SIZE, SIZE), bool: every pixel that the car touches, wheels included, its shadow not.
    """

    pixels: np.ndarray
    makes: np.ndarray
    masks: np.ndarray


@dataclass(frozen=True)
class Scene:
    """Every property of one image before it is rendered; lengths in pixels, brightnesses and strengths 0..1.

    Attributes
    ----------
    make
        One of ``MAKES``.
    width, centre, baseline
        The length of the car, the column of its middle, the row on which its wheels stand.
    faces_left
        Which way the bonnet points.
    paint, glass
        Colours of the body and of the windows.
    light_from
        -1 from the left to 1 from the right: the side that is lit.
    exposure
        The factor on the whole image.
    horizon
        The row where the ground meets the wall.
    brightness
        Of the background. As drawn it is a rank, 0..1, that :func:`set_background` turns into a brightness.
    hue, saturation
        Of the background.
    ground
        How much brighter the ground is than the wall.
    stripes, stripe_angle, stripe_period, stripe_phase
        The texture of the wall: amplitude, radians from upright, pixels, radians.
    plaster
        The amplitude of the wall's and the ground's unevenness.
    shadow
        How dark the contact shadow under the car is.
    grain
        The seed of the plaster and of the camera's noise.
    """

    make: str
    width: float
    centre: float
    baseline: float
    faces_left: bool
    paint: Colour
    glass: Colour
    light_from: float
    exposure: float
    horizon: float
    brightness: float
    hue: float
    saturation: float
    ground: float
    stripes: float
    stripe_angle: float
    stripe_period: float
    stripe_phase: float
    plaster: float
    shadow: float
    grain: int


def draw_cars(count: int, *, backgrounds: str = "neutral", seed: int = 0) -> Cars:
    """Draw images of both makes, half of each.

    The same seed gives the same cars (paint, place, size, direction) on each kind of background, and image ``i`` does
    not depend on how many are drawn.

    Parameters
    ----------
    count
        How many images.
    backgrounds
        ``"telling"``: every lynx on dark and every bison on light; ``"exchanged"``: the reverse; ``"neutral"``: any
        brightness behind either.
    seed
        Names the set of images; 0 or more.

    Raises
    ------
    QuestionError
        For an unknown kind of background, fewer than one image, or a negative seed.

    Examples
    --------
    >>> cars = draw_cars(6, backgrounds="telling", seed=1)
    >>> cars.pixels.shape, cars.masks.shape
    ((6, 96, 96, 3), (6, 96, 96))
    >>> np.bincount(cars.makes).tolist()
    [3, 3]
    """
    _check_backgrounds(backgrounds)
    check_counts(count=count)
    check_seed(seed)
    check_fits(4.0 * count * SIZE * SIZE, f"{count:,} photographs", hint="Draw fewer.")
    pixels = np.empty((count, SIZE, SIZE, 3), np.uint8)
    masks = np.empty((count, SIZE, SIZE), bool)
    makes = np.array([_make_index(seed, index) for index in range(count)], np.int64)
    for index in track(range(count), "drawing cars"):
        scene = draw_scene(np.random.default_rng((seed, index)), MAKES[makes[index]])
        pixels[index], masks[index] = render_scene(set_background(scene, backgrounds))
    return Cars(pixels, makes, masks)


def draw_scene(rng: np.random.Generator, make: str) -> Scene:
    """Draw every property of an image, in a fixed order, from distributions that are the same for both makes.

    Raises
    ------
    QuestionError
        For an unknown make.
    """
    if make not in MAKES:
        raise QuestionError(f"No make of car is called {make!r}.", hint=nearest(make, MAKES))
    width = rng.uniform(46, 66)
    margin = width / 2 + 3
    horizon = rng.uniform(50, 68)
    return Scene(
        make=make,
        width=width,
        centre=rng.uniform(margin, SIZE - margin),
        baseline=horizon + rng.uniform(5, 20),
        faces_left=bool(rng.random() < 0.5),
        paint=colorsys.hsv_to_rgb(rng.random(), rng.uniform(0, 0.9), rng.uniform(0.25, 0.97)),
        glass=colorsys.hsv_to_rgb(rng.uniform(0.5, 0.62), rng.uniform(0.15, 0.45), rng.uniform(0.3, 0.65)),
        light_from=rng.uniform(-1, 1),
        exposure=rng.uniform(0.85, 1.12),
        horizon=horizon,
        brightness=rng.random(),
        hue=rng.random(),
        saturation=0.65 * rng.random() ** 1.5,
        ground=rng.uniform(0.04, 0.12) * (1 if rng.random() < 0.5 else -1),
        stripes=max(0.0, rng.uniform(-0.04, 0.05)),
        stripe_angle=(math.pi / 2 if rng.random() < 0.5 else 0.0) + rng.uniform(-0.1, 0.1),
        stripe_period=rng.uniform(6, 16),
        stripe_phase=rng.uniform(0, 2 * math.pi),
        plaster=rng.uniform(0.005, 0.025),
        shadow=rng.uniform(0, 0.75),
        grain=int(rng.integers(2**32)),
    )


def set_background(scene: Scene, backgrounds: str) -> Scene:
    """Turn the rank of the scene's background into a brightness in the range for its make.

    Raises
    ------
    QuestionError
        For an unknown kind of background.

    Examples
    --------
    >>> scene = draw_scene(np.random.default_rng(0), "bison")
    >>> set_background(scene, "telling").brightness > 0.7
    True
    >>> set_background(scene, "exchanged").brightness < 0.3
    True
    """
    _check_backgrounds(backgrounds)
    darkest, lightest = BACKGROUNDS[backgrounds][scene.make]
    return replace(scene, brightness=darkest + (lightest - darkest) * scene.brightness)


def render_scene(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """Render a scene whose background is set: pixels (SIZE, SIZE, 3) uint8, mask (SIZE, SIZE) bool."""
    rng = np.random.default_rng(scene.grain)
    image = _background(scene, rng)
    car, coverage = _car(scene)
    image *= 1 - coverage[..., None]
    image += car
    image *= scene.exposure
    image += 0.009 * rng.standard_normal((SIZE, SIZE, 1), np.float32)
    image *= 255
    image += 0.5
    return np.clip(image, 0, 255, out=image).astype(np.uint8), coverage > 0


def _check_backgrounds(backgrounds: str) -> None:
    check_choice("backgrounds", backgrounds, BACKGROUNDS)


def _make_index(seed: int, index: int) -> int:
    # Of every two neighbours one is of each make, in random order, so that neither a cut-off set
    # nor every second image of a set is out of balance.
    return (index + int(np.random.default_rng((seed, index // 2, 1)).integers(2))) % 2


# ---------------------------------------------------------------------------------------------------------------------
# The background: a wall, a ground, a shadow
# ---------------------------------------------------------------------------------------------------------------------

_ROWS, _COLUMNS = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32)


def _background(scene: Scene, rng: np.random.Generator) -> np.ndarray:
    """Paint the wall and the ground, (SIZE, SIZE, 3) float32, about 0..1."""
    wave = math.cos(scene.stripe_angle) * _COLUMNS + math.sin(scene.stripe_angle) * _ROWS
    stripes = scene.stripes * np.sin((2 * math.pi / scene.stripe_period) * wave + scene.stripe_phase)
    rows = _ROWS[:, :1]
    is_ground = ((rows - scene.horizon) / 2 + 0.5).clip(0, 1)
    wall = stripes + 0.07 * (0.5 - rows / scene.horizon)
    ground = scene.ground + 0.10 * (rows - scene.horizon) / (SIZE - scene.horizon)
    foot = 0.05 * np.exp(-(((rows - scene.horizon) / 3) ** 2))  # little light gets into the corner
    across = 0.12 * scene.light_from * (_COLUMNS[:1] / SIZE - 0.5)
    relief = wall + (ground - wall) * is_ground - foot + across + scene.plaster * _plaster(rng)
    # Light and texture are fainter on dark and on white walls than on grey ones: that is how reflection works, and it
    # keeps a dark background dark.
    contrast = 0.35 + 2.6 * scene.brightness * (1 - scene.brightness)
    shade = scene.brightness + contrast * relief
    shade *= 1 - _shadow(scene)
    return shade[..., None] * _tint(scene)


def _tint(scene: Scene) -> np.ndarray:
    """Give the colour of the background as three factors whose luminance is 1."""
    colour = np.array(colorsys.hsv_to_rgb(scene.hue, scene.saturation, 1.0), np.float32)
    colour /= colour @ np.array(_LUMINANCE, np.float32)
    # The lighter, the paler: a saturated colour cannot be nearly white.
    return 1 + (colour - 1) * min(1.0, 1.15 * (1 - scene.brightness))


def _plaster(rng: np.random.Generator) -> np.ndarray:
    """Draw soft patches, (SIZE, SIZE) float32, about -2..2."""
    coarse = Image.fromarray(rng.standard_normal((24, 24), np.float32))
    return np.asarray(coarse.resize((SIZE, SIZE), Image.Resampling.BICUBIC))


def _shadow(scene: Scene) -> np.ndarray:
    """Give the share of light that the car keeps from the ground, (SIZE, SIZE) float32."""
    across = np.exp(-(((_COLUMNS[0] - scene.centre) / (0.53 * scene.width)) ** 6))
    below = np.exp(-(((_ROWS[:, 0] - scene.baseline) / (0.055 * scene.width)) ** 2))
    return scene.shadow * np.outer(below, across)


# ---------------------------------------------------------------------------------------------------------------------
# The car: parts laid over one another, each with a colour of the palette
# ---------------------------------------------------------------------------------------------------------------------

_NOTHING, _PAINT, _CREASE, _SEAM, _GLASS, _GLARE, _TRIM, _ARCH, _TYRE, _RIM, _HUB, _LAMP, _TAIL = range(13)
_HEIGHTS = {"lynx": 0.37, "bison": 0.60}
_WHEELS = {"lynx": (-0.295, 0.305), "bison": (-0.295, 0.300)}
_WHEEL_RADIUS = 0.086

# Each part: its colour in the palette, whether its corners are rounded, its outline.
_PARTS: dict[str, list[tuple[int, bool, Outline]]] = {
    "lynx": [
        (_PAINT, True, [(-0.47, 0.07), (-0.495, 0.10), (-0.50, 0.17), (-0.49, 0.225), (-0.45, 0.245), (-0.36, 0.255),
                        (-0.27, 0.315), (-0.19, 0.350), (-0.05, 0.362), (0.06, 0.350), (0.14, 0.305), (0.22, 0.250),
                        (0.36, 0.232), (0.45, 0.205), (0.49, 0.165), (0.50, 0.11), (0.48, 0.07)]),
        (_CREASE, False, [(-0.475, 0.222), (0.41, 0.208), (0.41, 0.198), (-0.475, 0.208)]),
        (_TRIM, False, [(-0.485, 0.07), (-0.492, 0.096), (0.495, 0.096), (0.488, 0.07)]),
        (_GLASS, False, [(-0.325, 0.254), (-0.245, 0.308), (-0.185, 0.331), (-0.065, 0.341), (-0.065, 0.250)]),
        (_GLASS, False, [(-0.045, 0.250), (-0.045, 0.341), (0.05, 0.331), (0.12, 0.296), (0.175, 0.250)]),
        (_GLARE, False, [(-0.20, 0.252), (-0.14, 0.335), (-0.105, 0.338), (-0.165, 0.252)]),
        (_GLARE, False, [(0.01, 0.250), (0.05, 0.331), (0.075, 0.320), (0.045, 0.250)]),
        (_SEAM, False, [(-0.058, 0.25), (-0.050, 0.25), (-0.050, 0.10), (-0.058, 0.10)]),
        (_SEAM, False, [(0.165, 0.245), (0.173, 0.245), (0.150, 0.10), (0.142, 0.10)]),
        (_TRIM, False, [(-0.105, 0.226), (-0.070, 0.226), (-0.070, 0.216), (-0.105, 0.216)]),
        (_LAMP, True, [(0.425, 0.200), (0.470, 0.178), (0.480, 0.155), (0.430, 0.170)]),
        (_TAIL, True, [(-0.488, 0.222), (-0.445, 0.226), (-0.450, 0.190), (-0.496, 0.180)]),
    ],
    "bison": [
        (_PAINT, True, [(-0.47, 0.07), (-0.492, 0.10), (-0.497, 0.20), (-0.495, 0.44), (-0.480, 0.540), (-0.44, 0.583),
                        (-0.34, 0.595), (0.10, 0.595), (0.22, 0.585), (0.29, 0.550), (0.34, 0.470), (0.385, 0.350),
                        (0.43, 0.310), (0.480, 0.275), (0.498, 0.21), (0.50, 0.11), (0.48, 0.07)]),
        (_CREASE, False, [(-0.492, 0.325), (0.37, 0.325), (0.38, 0.308), (-0.493, 0.308)]),
        (_TRIM, False, [(-0.485, 0.07), (-0.492, 0.096), (0.495, 0.096), (0.488, 0.07)]),
        (_GLASS, False, [(-0.455, 0.355), (-0.455, 0.500), (-0.430, 0.525), (-0.225, 0.525), (-0.225, 0.355)]),
        (_GLASS, False, [(-0.195, 0.355), (-0.195, 0.525), (0.035, 0.525), (0.035, 0.355)]),
        (_GLASS, False, [(0.070, 0.355), (0.070, 0.525), (0.215, 0.525), (0.265, 0.495), (0.325, 0.355)]),
        (_GLARE, False, [(-0.375, 0.355), (-0.305, 0.525), (-0.265, 0.525), (-0.335, 0.355)]),
        (_GLARE, False, [(-0.115, 0.355), (-0.045, 0.525), (-0.005, 0.525), (-0.075, 0.355)]),
        (_GLARE, False, [(0.130, 0.355), (0.190, 0.525), (0.215, 0.525), (0.165, 0.355)]),
        (_SEAM, False, [(0.048, 0.53), (0.057, 0.53), (0.057, 0.10), (0.048, 0.10)]),
        (_SEAM, False, [(-0.213, 0.53), (-0.205, 0.53), (-0.205, 0.10), (-0.213, 0.10)]),
        (_TRIM, False, [(0.000, 0.285), (0.038, 0.285), (0.038, 0.274), (0.000, 0.274)]),
        (_LAMP, True, [(0.430, 0.270), (0.475, 0.250), (0.485, 0.205), (0.440, 0.215)]),
        (_TAIL, True, [(-0.497, 0.290), (-0.465, 0.290), (-0.465, 0.205), (-0.500, 0.205)]),
    ],
}  # fmt: skip


def _car(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """Paint the car on nothing: light (SIZE, SIZE, 3) already weighted by the coverage (SIZE, SIZE), both float32."""
    # Only the box around the car is supersampled: it is a third of the image.
    top = max(0, int(scene.baseline - _HEIGHTS[scene.make] * scene.width) - 1)
    bottom = min(SIZE, int(scene.baseline) + 2)
    left = max(0, int(scene.centre - scene.width / 2) - 1)
    right = min(SIZE, int(scene.centre + scene.width / 2) + 2)
    canvas = Image.new("P", ((right - left) * _SUPERSAMPLING, (bottom - top) * _SUPERSAMPLING), _NOTHING)
    _draw_parts(ImageDraw.Draw(canvas), scene, left, top)
    coverage_there = canvas.point([0] + [255] * 255, "L").reduce(_SUPERSAMPLING)
    canvas.putpalette(_palette(scene))
    colours_there = canvas.convert("RGB").reduce(_SUPERSAMPLING)

    box = np.s_[top:bottom, left:right]
    coverage = np.zeros((SIZE, SIZE), np.float32)
    coverage[box] = np.asarray(coverage_there, np.float32) / 255
    car = np.zeros((SIZE, SIZE, 3), np.float32)
    car[box] = np.asarray(colours_there, np.float32) / 255 * _shading(scene)[box][..., None]
    return car, coverage


def _draw_parts(draw: ImageDraw.ImageDraw, scene: Scene, left: int, top: int) -> None:
    scale = np.array((-1 if scene.faces_left else 1, -1)) * scene.width * _SUPERSAMPLING
    origin = np.array((scene.centre - left, scene.baseline - top)) * _SUPERSAMPLING
    for colour, outline in _outlines(scene.make):
        draw.polygon((outline * scale + origin).ravel().tolist(), fill=colour)
    for x in _WHEELS[scene.make]:
        column, row = np.array((x, _WHEEL_RADIUS)) * scale + origin
        for share, colour in ((1.22, _ARCH), (1.0, _TYRE), (0.62, _RIM), (0.22, _HUB)):
            radius = share * _WHEEL_RADIUS * scene.width * _SUPERSAMPLING
            if colour == _ARCH:  # the arch is cut into the body, above the wheel only
                draw.pieslice((column - radius, row - radius, column + radius, row + radius), 180, 360, fill=colour)
            else:
                draw.ellipse((column - radius, row - radius, column + radius, row + radius), fill=colour)


@cache
def _outlines(make: str) -> list[tuple[int, np.ndarray]]:
    """Give the parts in the order of drawing: the colour's index and the points, (n, 2), in car widths."""
    return [(colour, _rounded(outline) if smooth else np.array(outline)) for colour, smooth, outline in _PARTS[make]]


def _rounded(outline: Outline) -> np.ndarray:
    """Cut the corners of a closed outline twice (Chaikin), which makes it a curve."""
    points = np.array(outline)
    for _ in range(2):
        following = np.roll(points, -1, axis=0)
        points = np.stack((0.75 * points + 0.25 * following, 0.25 * points + 0.75 * following), 1).reshape(-1, 2)
    return points


def _palette(scene: Scene) -> list[int]:
    """Give the colour of each part, 13 times red, green, blue in 0..255."""
    paint, glass = np.array(scene.paint), np.array(scene.glass)
    colours = np.zeros((13, 3))
    colours[_PAINT], colours[_CREASE], colours[_SEAM] = paint, 0.72 * paint + 0.28, 0.55 * paint
    colours[_GLASS], colours[_GLARE] = glass, 0.6 * glass + 0.4
    colours[_TRIM], colours[_ARCH], colours[_TYRE] = 0.16, 0.07, 0.11
    colours[_RIM], colours[_HUB] = 0.68, 0.30
    colours[_LAMP], colours[_TAIL] = (1.0, 0.95, 0.75), (0.80, 0.10, 0.08)
    return (colours * 255).round().astype(int).ravel().tolist()


def _shading(scene: Scene) -> np.ndarray:
    """Give the light that falls on the car, (SIZE, SIZE) float32, about 0.7..1.1: more from above and from one side."""
    height = (scene.baseline - _ROWS[:, :1]) / (_HEIGHTS[scene.make] * scene.width)
    across = (_COLUMNS[:1] - scene.centre) / scene.width
    return 0.78 + 0.26 * height + 0.20 * scene.light_from * across
