"""The drawn cars as a set of images, with labels and masks."""

from __future__ import annotations

from iconoscope.demo.cars import MAKES, draw_cars
from iconoscope.subject.images import Images, load_images

__all__ = ["demo_images"]


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
    >>> demo_images(2, seed=1)[0].mask.shape
    (96, 96)
    """
    cars = draw_cars(count, backgrounds=backgrounds, seed=seed)
    return load_images(cars.pixels, labels=[MAKES[make] for make in cars.makes], masks=cars.masks)
