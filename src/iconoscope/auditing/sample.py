"""The images that are audited: so many of every answer, taken apart at the network's size."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from iconoscope.auditing.segmentation import Pictures, take_apart
from iconoscope.errors import ImageFileError, ImagesError, shortened, warn
from iconoscope.occlusion.query import NO_OBJECT, fitted_object
from iconoscope.progress import track
from iconoscope.results.audit_evidence import AuditedImages
from iconoscope.store import Recording
from iconoscope.subject.images import Images
from iconoscope.subject.network import Network

__all__ = ["Sample", "audited_images", "choose", "load_sample", "sampled_rows"]

_PIXELS = 60_000_000  # in all that are held at once, some 40 bytes each: large pictures make a smaller sample


@dataclass(frozen=True, eq=False)
class Sample:
    """n images of a recording that are audited.

    Attributes
    ----------
    rows
        (n,): their rows in the recording.
    images
        The same, to be asked about.
    pictures
        Taken apart.
    evidence
        Their labels and answers, and in which of them the object is known.
    native
        Whether the network sees the pixels as they were stored.
    """

    rows: NDArray[np.int64]
    images: Images
    pictures: Pictures
    evidence: AuditedImages
    native: bool

    def __len__(self) -> int:
        return len(self.rows)


def choose(
    predicted: NDArray[np.int64], most: int, *, seed: int, of_interest: Collection[int] = ()
) -> NDArray[np.int64]:
    """Choose so many images, as evenly over the answers as there are images for it; sorted.

    Where some answers are of interest, half of the images are of these, as far as there are so many.

    Examples
    --------
    >>> answers = np.array([0] * 90 + [1] * 10)
    >>> np.bincount(answers[choose(answers, 30, seed=0)])
    array([20, 10])
    >>> answers = np.repeat(np.arange(50), 4)
    >>> np.bincount(answers[choose(answers, 16, seed=0, of_interest=[7, 9])])[[7, 9]]
    array([4, 4])
    """
    if of_interest and len(predicted) > most:
        is_of_interest = np.isin(predicted, list(of_interest))
        interesting, others = np.flatnonzero(is_of_interest), np.flatnonzero(~is_of_interest)
        count = max(most // 2, most - len(others))
        first = interesting[choose(predicted[interesting], count, seed=seed)]
        return np.sort(np.concatenate((first, others[choose(predicted[others], most - len(first), seed=seed)])))
    if len(predicted) <= most:
        return np.arange(len(predicted))
    generator = np.random.default_rng(seed)
    shuffled = [generator.permutation(np.flatnonzero(predicted == of_class)) for of_class in np.unique(predicted)]
    # Round after round one of every answer that has any left.
    rounds = np.concatenate([np.arange(len(rows)) for rows in shuffled])
    order = np.argsort(rounds, kind="stable")[:most]
    return np.sort(np.concatenate(shuffled)[order])


def _warn_of_unusable(unusable: dict[str, str], *, of: int) -> None:
    if not unusable:
        return
    named = shortened((f"{name} ({reason})" for name, reason in unusable.items()), most=3)
    message = f"The masks or boxes of {len(unusable)} of {of} audited images cannot be used: {named}"
    if len(unusable) == of:
        raise ImagesError(message, hint="Give masks of the size of their images, or none: then objects are looked for.")
    warn(f"{message}. These images are audited without.")


def sampled_rows(
    network: Network, recording: Recording, *, most: int, seed: int, of_interest: Sequence[str] = ()
) -> NDArray[np.int64]:
    """Choose the rows of a recording that are audited: no more than `most`, and fewer where pictures are large."""
    height, width = network.preprocessing.size
    most = max(2, min(most, _PIXELS // (height * width)))
    indices = [network.names.distinct.index(name) for name in of_interest]
    return choose(recording.predictions, most, seed=seed, of_interest=indices)


def audited_images(
    network: Network,
    recording: Recording,
    rows: NDArray[np.int64],
    *,
    object_known: NDArray[np.bool_],
    object_given: NDArray[np.bool_],
    of_interest: tuple[str, ...] = (),
) -> AuditedImages:
    """Give what is known of the images in some rows of a recording, and of the whole set."""
    pairs, counts = np.unique(np.stack([recording.targets, recording.predictions], 1), axis=0, return_counts=True)
    return AuditedImages(
        class_names=network.names.distinct,
        ids=np.array([recording.ids[row] for row in rows]),
        target=recording.targets[rows],
        predicted=recording.predictions[rows],
        object_known=object_known,
        object_given=object_given,
        set_size=len(recording),
        confusion=np.concatenate([pairs, counts[:, None]], 1).astype(np.int64),
        preprocessing=network.preprocessing.describe(),
        preprocessing_assumed=network.preprocessing.assumed,
        date=datetime.now().astimezone().date().isoformat(),
        of_interest=of_interest,
    )


def load_sample(
    network: Network,
    recording: Recording,
    images: Images,
    *,
    most: int,
    seed: int,
    of_interest: tuple[str, ...] = (),
) -> Sample:
    """Load the images that are audited; half of them of the classes of interest, if there are any.

    Raises
    ------
    ImagesError
        If none of them can be read any more.
    """
    rows = sampled_rows(network, recording, most=most, seed=seed, of_interest=of_interest)
    position = {identity: index for index, identity in enumerate(images.ids)}
    names = [recording.ids[row] for row in rows]
    readable: list[int] = []
    pixels: list[NDArray[np.uint8]] = []
    masks: list[NDArray[np.bool_] | None] = []
    sizes: list[tuple[int, int]] = []
    unusable: dict[str, str] = {}  # masks and boxes that were given, by the image's id, and what is wrong with them
    for index, name in enumerate(track(names, "reading the images to be audited")):
        image = images[position[name]]
        try:
            picture = image.pixels
            mask, reason = fitted_object(network.preprocessing, image)
        except ImageFileError:
            continue  # it could be read a moment ago; the count says that one is missing
        readable.append(index)
        pixels.append(network.preprocessing.fit(picture))
        masks.append(mask)
        if mask is None and reason != NO_OBJECT:
            unusable[name] = reason
        sizes.append(picture.shape[:2])
    if not readable:
        raise ImagesError("None of the images can be read any more.", hint="They were there when they were recorded.")
    _warn_of_unusable(unusable, of=len(readable))
    rows = rows[readable]
    pictures = take_apart(np.stack(pixels), masks, np.array(sizes, np.int64))
    chosen = images[[position[recording.ids[row]] for row in rows]]
    evidence = audited_images(
        network,
        recording,
        rows,
        object_known=pictures.object_known,
        object_given=np.array([mask is not None for mask in masks]),
        of_interest=of_interest,
    )
    native = network.preprocessing.resize is None and set(sizes) == {network.preprocessing.size}
    return Sample(rows, chosen, pictures, evidence, native)
