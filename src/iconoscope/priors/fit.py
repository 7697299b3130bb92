"""Learn what images may be from images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from iconoscope.errors import PriorError, QuestionError, nearest
from iconoscope.subject.images import Images, load_images

if TYPE_CHECKING:
    from iconoscope.priors.gaussian import GaussianPrior

__all__ = ["KINDS", "fit_prior"]

KINDS = ("gaussian",)
"""What can be fitted."""

COMPONENTS = 512
"""Of the coarsest level, at most: 98 parts in 100 of what CIFAR-10 varies by."""

REFERENCE = 2000
"""How many real images are kept to hold pictures against."""


def fit_prior(
    images: Any,
    *,
    kind: str = "gaussian",
    size: int | tuple[int, int] | None = None,
    name: str | None = None,
    components: int = COMPONENTS,
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
        gaussian.
    size
        Side of its pictures, or height and width, in pixels. If not given, that of the first image, at most 227.
    name
        Its name; if not given, that of the file or of the images.
    components
        How many principal components of whole pictures are kept.
    reference
        How many of the images are kept beside it, as latents, so that pictures can be held against them.
    seed
        Of the choice of these.
    out
        The file to write it to.

    Returns
    -------
    GaussianPrior
        With `sample`, `encode`, `decode`, `score`; `save_prior` writes it, `load_prior` reads it.

    Raises
    ------
    QuestionError
        If a setting is no choice.
    PriorError
        If there are fewer than two images that can be read, or all are the same.

    Examples
    --------
    >>> import iconoscope as ico
    >>> prior = ico.fit_prior(ico.demo_images(24, seed=0), size=32)
    >>> prior.classes, prior.sample(3, label="bison").shape
    (('bison', 'lynx'), (3, 32, 32, 3))
    """
    from iconoscope.priors.files import save_prior
    from iconoscope.priors.learning import learn

    if kind not in KINDS:
        raise QuestionError(f"kind={kind!r} is not a choice.", hint=nearest(str(kind), KINDS))
    if components < 1 or reference < 0:
        raise QuestionError(f"components={components} must be at least 1, and reference={reference} at least 0.")
    loaded = images if isinstance(images, Images) else load_images(images)
    sides = _sides(loaded, size)
    prior = learn(
        loaded, sides, name=name or _called(out or images), components=components, reference=reference, seed=seed
    )
    if out is not None:
        save_prior(prior, out)
    return prior


def _called(images: Any) -> str:
    return Path(images).stem if isinstance(images, str | Path) else "images"


def _sides(images: Images, size: int | tuple[int, int] | None) -> tuple[int, int]:
    if size is None:
        first = next(iter(images.readable()), None)
        if first is None:
            raise PriorError("There is no image that can be read.")
        height, width = first.pixels.shape[:2]
        scale = min(1.0, 227 / max(height, width))
        return round(height * scale), round(width * scale)
    given = (size, size) if isinstance(size, int) else tuple(size)
    if len(given) != 2 or min(given) < 8:
        raise QuestionError(f"size={size!r} must be one or two whole numbers from 8 up.", hint="Give 32 or (128, 192).")
    return given[0], given[1]
