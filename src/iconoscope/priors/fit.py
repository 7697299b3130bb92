"""Priors learnt from images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from iconoscope.errors import PriorError, QuestionError, check_choice, check_counts
from iconoscope.signatures import checked
from iconoscope.subject.images import Images, load_images
from iconoscope.subject.memory import check_fits
from iconoscope.subject.network.preprocessing import read_size

if TYPE_CHECKING:
    from iconoscope.priors.gaussian import GaussianPrior

__all__ = ["KINDS", "fit_prior"]

KINDS = ("gaussian", "refined")
"""Priors that can be fitted."""

COMPONENTS = 512
"""Of the coarsest level, at most: 98 parts in 100 of what CIFAR-10 varies by."""

STEPS = 12_000
"""Steps in which a refiner learns: 64 images at each."""

LEAST, LARGEST = 8, 227
"""The least side of a picture, pixels, and the largest if nothing is said."""

REFERENCE = 2000
"""Real images that are kept for pictures to be compared with."""


@checked
def fit_prior(
    images: Any,
    *,
    kind: str = "gaussian",
    size: int | tuple[int, int] | None = None,
    name: str | None = None,
    components: int = COMPONENTS,
    steps: int = STEPS,
    reference: int = REFERENCE,
    seed: int = 0,
    out: str | Path | None = None,
) -> GaussianPrior:
    """Learn what images may be: the mean of a set, and how they vary about it.

    The images are read once and not kept. Mirror images count as images too. Where there are labels, each class has its own
    mean and spread. Pictures up to 64 pixels are learnt whole, larger ones as a pyramid whose finer levels are made of
    patches.

    Parameters
    ----------
    images
        What `load_images` takes: a folder, a file, arrays.
    kind
        gaussian; or refined, for which a small network learns afterwards to make of what a Gaussian draws a picture that could
        be one of the images: sharper, and an hour on two cores. Pictures up to 64 pixels, with sides that 4 divides.
    size
        Side of its pictures, or height and width, in pixels. If not given, that of the first image, at most 227.
    name
        Its name; if not given, that of the file or of the images.
    components
        Number of principal components of whole pictures that are kept.
    steps
        Number of steps in which the network of refined learns.
    reference
        Number of the images that are kept beside it, as latents, so that pictures can be compared with them.
    seed
        Of the choice of these, and of what is drawn while the network learns.
    out
        The file to write it to. While a network learns, a checkpoint is beside it, from which the same question goes on after
        Ctrl-C or worse.

    Returns
    -------
    GaussianPrior or RefinedPrior
        With `sample`, `encode`, `decode`, `score`; `save` writes it, `load_prior` reads it.

    Raises
    ------
    QuestionError
        If a setting is no choice.
    PriorError
        If there are fewer than two images that can be read, or all are the same; if they cannot be refined.

    Examples
    --------
    >>> import iconoscope as ico
    >>> prior = ico.fit_prior(ico.demo_images(24, seed=0), size=32)
    >>> prior.classes, prior.sample(3, label="bison").shape
    (('bison', 'lynx'), (3, 32, 32, 3))
    """
    from iconoscope.priors.gaussian_fit import fit_gaussian
    from iconoscope.priors.prior_file import with_ending
    from iconoscope.priors.refiner_training import train_refiner
    from iconoscope.priors.training_images import BATCH, TrainingImages

    check_choice("kind", kind, KINDS)
    check_counts(components=components)
    check_counts(most=10**7, steps=steps)
    if reference < 0:
        raise QuestionError(f"reference={reference} must be at least 0.")
    loaded = load_images(images)
    sides = read_size(size, least=LEAST) or _size_of(loaded)
    check_fits(  # a batch as it is read, and of a part of it the patches of which finer levels are made, which overlap
        12.0 * sides[0] * sides[1] * (min(BATCH, len(loaded)) + 160),
        f"A prior of {sides[0]}x{sides[1]} pixels",
        hint="Give a smaller size.",
    )
    training = TrainingImages(loaded, sides)
    if not name:
        source = out or images
        name = Path(source).stem if isinstance(source, str | Path) else "images"
    prior = fit_gaussian(training, name=name, components=components, reference=reference, seed=seed)
    if kind == "refined":
        checkpoint = None if out is None else with_ending(out).with_suffix(".training")
        prior = train_refiner(prior, training, steps=steps, seed=seed, checkpoint=checkpoint)
    if out is not None:
        prior.save(out)
    return prior


def _size_of(images: Images) -> tuple[int, int]:
    """Give height and width of the first image, made as small as is usual."""
    first = next(iter(images.readable()), None)
    if first is None:
        raise PriorError("There is no image that can be read.")
    height, width = first.pixels.shape[:2]
    scale = min(1.0, LARGEST / max(height, width))
    return round(height * scale), round(width * scale)
