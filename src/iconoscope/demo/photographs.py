"""The drawn cars as a set of images, with labels and masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from iconoscope.atomic_files import writing_whole
from iconoscope.demo.cars import MAKES, draw_cars
from iconoscope.signatures import checked
from iconoscope.subject.images import Images
from iconoscope.subject.images.arrays import Arrays

__all__ = ["demo_images", "keep_photographs"]


@checked
def demo_images(count: int = 200, *, backgrounds: str = "telling", seed: int = 0) -> Images:
    """Draw photographs of the two makes of car, each with its label and the exact mask of the car.

    Parameters
    ----------
    count
        How many; as many of one make as of the other.
    backgrounds
        telling: the one make stands on dark, the other on light, as the network `cars` knows them. exchanged: the other
        way round. neutral: any background, as `cars-honest` knows them. The same seed gives the same cars in all three.
    seed
        Seed of all that is random.

    Returns
    -------
    Images
        Of 96x96 pixels.

    Raises
    ------
    QuestionError
        If there is no such choice of backgrounds, or the count is not positive.

    Examples
    --------
    >>> demo_images(2, seed=1)
    <2 images from cars on telling backgrounds, seed 1: bison 1, lynx 1>
    >>> demo_images(2, seed=1)[0].mask.shape
    (96, 96)
    """
    cars = draw_cars(count, backgrounds=backgrounds, seed=seed)
    makes = [MAKES[make] for make in cars.makes.tolist()]
    ids = [f"{make}-{row:04d}" for row, make in enumerate(makes)]
    origin = f"cars on {backgrounds} backgrounds, seed {seed}"
    return Images(Arrays(origin, ids, makes, cars.pixels, masks=cars.masks, label_names=MAKES))


def keep_photographs(images: Images, folder: Path) -> None:
    """Write images and masks as PNG into ``photographs/<label>/`` and ``masks/<label>/``, as a user's own would lie."""
    for image in images:
        for kind, pixels in (("photographs", image.pixels), ("masks", np.asarray(image.mask))):
            path = folder / kind / str(image.label) / f"{image.id}.png"
            with writing_whole(path) as hidden:
                Image.fromarray(pixels).save(
                    hidden, "PNG", compress_level=1
                )  # hundreds are written while somebody waits
