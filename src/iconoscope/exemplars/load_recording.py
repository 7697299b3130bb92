"""Opening a recording again, with its images beside it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from iconoscope.errors import ImagesError, QuestionError, StoreError, warn
from iconoscope.results import Question
from iconoscope.signatures import checked
from iconoscope.store.recording import INDEX, UNITS, Recording
from iconoscope.store.remote_recording import fetched_recording, is_address, unfinished_recordings
from iconoscope.subject.images import Images, load_images

__all__ = ["find_recordings", "find_unfinished", "load_recording"]


@checked
def load_recording(
    recording: Recording | str | Path = "iconoscope-run",
    *,
    images: Images | Any = None,
    masks: Any = None,
    boxes: Any = None,
) -> Recording:
    """Open what `record` has kept.

    Parameters
    ----------
    recording
        A store, of which the latest recording that was ended is taken, or the folder of one recording; or the address of
        either, of which a copy is kept in the cache (~/.cache/iconoscope). On the command line by default that of --store.
    images
        The set that was recorded, if it is not any more where it was. Images are matched by their ids.
    masks : str, os.PathLike, array or dict, optional
        The masks of its images, which a recording does not keep: a folder of masks with the same paths as the images; COCO's
        instances.json or a VOC root; or an array (n, height, width), or masks by id.
    boxes : str, os.PathLike or dict, optional
        The boxes of its images, likewise: a CSV (id,left,top,right,bottom) or JSON file of boxes in pixels by id, right and
        bottom exclusive; COCO's instances.json or a VOC root.

    Returns
    -------
    Recording
        With its images, if they are at hand: `top_images` and `map_images` show them.

    Raises
    ------
    StoreError
        If there is no recording, or it was not ended.
    ImagesError
        If `images` lacks some that were recorded, or masks or boxes are given and the images are not at hand.
    """
    annotations = {"masks": masks, "boxes": boxes}
    given = any(value is not None for value in (images, masks, boxes))
    if isinstance(recording, Recording):
        if not given:
            return recording
        known = recording.source if recording.images is None else recording.images
        return _attached(recording, load_images(known if images is None else images, **annotations), required=True)
    folder = fetched_recording(str(recording)) if is_address(recording) else Path(recording).expanduser()
    if not (folder / INDEX).is_file():
        indices = _indices(folder)
        if not indices:
            raise StoreError(
                f"There is no recording in {folder}.",
                hint="Make one first: iconoscope record --network ... --images ... --store DIR",
            )
        folder = _latest_ended(indices)
    opened = Recording.open(folder)
    if given:
        return _attached(opened, load_images(opened.source if images is None else images, **annotations), required=True)
    try:
        return _attached(opened, load_images(opened.source), required=False)
    except (ImagesError, QuestionError):  # they came from memory, or have gone: some questions need no pictures
        return opened


def find_recordings(store: str | Path, weights: str | None) -> Iterator[Recording]:
    """Give the recordings of a store, of a network by its digest or of all, the latest first. Their images are not looked for.

    What was not ended, and what is damaged, is passed over.
    """
    for index in reversed(_indices(Path(store).expanduser())):
        with suppress(StoreError):
            recording = Recording.open(index.parent)
            if weights in (None, recording.question.weights):
                yield recording


def find_unfinished(store: str | Path, question: Question) -> list[tuple[str, Question]]:
    """Give the recordings of a store that ask the same network about the same images otherwise, and were not ended.

    Parameters
    ----------
    store
        A folder, or an address.
    question
        Of a recording.

    Returns
    -------
    list of (str, Question)
        Where each lies, and what it asks.
    """
    if is_address(store):
        begun = unfinished_recordings(str(store))
    else:
        begun = []
        for index in _indices(Path(store)):
            with suppress(StoreError):  # a damaged one is not gone on with
                recording = Recording.open(index.parent, whole=False)
                if not recording.ended:
                    begun.append((str(index.parent), recording.question))
    return [
        (folder, other)
        for folder, other in begun
        if (other.weights, other.pixels) == (question.weights, question.pixels) and other.key != question.key
    ]


def _latest_ended(indices: list[Path]) -> Path:
    """Give the folder of the latest recording that was ended, and say that a later one was not; the latest if none was."""
    ended = [index.parent for index in indices if (index.parent / UNITS).is_file()]
    latest = indices[-1].parent
    if not ended or ended[-1] == latest:
        return latest
    warn(f"The recording in {latest} was not ended. The latest that was is taken: {ended[-1]}.")
    return ended[-1]


def _indices(store: Path) -> list[Path]:
    """List the indices of a store's recordings, the latest last."""
    return sorted(store.glob(f"record/[!.]*/{INDEX}"), key=lambda path: (path.stat().st_mtime_ns, str(path)))


def _attached(recording: Recording, images: Images, *, required: bool) -> Recording:
    """Put the images beside the recording, in its order; it stays without them if some are missing and none are required."""
    if images.ids == recording.ids:
        return replace(recording, images=images)
    index_of = {identity: number for number, identity in enumerate(images.ids)}
    missing = [identity for identity in recording.ids if identity not in index_of]
    if missing:
        if not required:
            return recording
        raise ImagesError(
            f"{len(missing)} of the {len(recording)} recorded images are not among those from {images.source}, "
            f"for example {missing[0]}.",
            hint=f"The recording was made of {recording.source}.",
        )
    return replace(recording, images=images[[index_of[identity] for identity in recording.ids]])
