"""The question: what does every unit answer to every image of a set? Asked in one pass, kept on disk."""

from __future__ import annotations

import hashlib
import shutil
import time
import warnings
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from iconoscope import __version__
from iconoscope.errors import (
    DamagedRecordError,
    IconoscopeWarning,
    ImagesError,
    NonFiniteError,
    QuestionError,
    shortened,
)
from iconoscope.progress import advancing
from iconoscope.results import Question
from iconoscope.store import Recording, Store
from iconoscope.subject.images import Images, load_images
from iconoscope.subject.network import Network, Preprocessing
from iconoscope.vocabulary.labels import match_labels

if TYPE_CHECKING:
    from iconoscope.exemplars.shard import Plan, Tally
    from iconoscope.store.recording_writer import RecordingWriter

__all__ = ["record"]

_LOOKED_AT = 32  # images whose pixels tell one set from another with the same names


def record(
    network: Network,
    images: Images | Any,
    layers: Sequence[str] | None = None,
    *,
    store: Store | str | Path,
    k: int = 100,
    batch: int = 128,
    shard: int = 2048,
    workers: int | None = None,
    resume: bool = True,
) -> Recording:
    """Show a network all images of a set once and keep what every unit answered.

    Kept are, for every channel of the layers and every logit: the answer to every image (of a channel the maximum and the
    mean of its map), the images it answers most and least with the place of the maximum, and a histogram; and for every image
    the vector before the logits, the logits and the probabilities. Everything else about exemplars is asked of what is kept.

    A process that was ended goes on where it was when the same is asked again, and comes to the same answer to the last bit.

    Parameters
    ----------
    network
        The network.
    images
        A set of images, or what makes one.
    layers
        Names of layers, as ``iconoscope layers`` lists them, or unique endings. By default those that never answer less than
        zero, as behind a ReLU, and are not inside another such; where there are none, the widening layers of multilayer
        perceptrons, as in transformers and ConvNeXt; else other activations, else all convolutions. Logits are always kept.
    store
        Folder for what is kept. For every image that is 8 bytes for each unit and some more.
    k
        How many images of every unit are ranked, most and least.
    batch
        How many images go through the network at once.
    shard
        How many images make one file on disk: what a killed process loses at most.
    workers
        Processes that read and decode images; one less than there are cores by default, none for few images.
    resume
        Whether to go on from what an earlier process left. Otherwise all is asked anew.

    Returns
    -------
    Recording
        Ask it with `top_images`, `map_images`, `find_units`, `dead_units`.

    Raises
    ------
    QuestionError
        If a setting is out of range, or a layer is not one of the network's.
    ImagesError
        If no image can be read. Some that cannot are left out, counted and listed in ``failed``, and a warning names them.
    NonFiniteError
        If the network answers NaN or infinity to every image.
    StoreError
        If the store cannot be written. What was written before stays.

    Notes
    -----
    That a set is the same as that of an earlier recording is told by its ids and labels and by the pixels of 32 of its images.
    Where other pixels have changed under the same names, ask with ``resume=False``.

    Examples
    --------
    >>> import tempfile, iconoscope as ico
    >>> network = ico.load_network("cars", device="cpu")
    >>> recording = record(network, ico.demo_images(40, seed=3), store=tempfile.mkdtemp() + "/run", k=5)
    >>> recording.responses.shape, recording.vectors("penultimate").shape
    ((40, 162), (40, 64))
    """
    import torch

    from iconoscope.exemplars.activation_summary import channels_last
    from iconoscope.exemplars.loader import worker_count
    from iconoscope.exemplars.recordable_layers import dissect
    from iconoscope.exemplars.shard import Plan
    from iconoscope.store.recording_writer import RecordingWriter

    for name, value in (("k", k), ("batch", batch), ("shard", shard)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise QuestionError(f"{name}={value!r} must be at least 1.")
    images = load_images(images)
    if not len(images):
        raise ImagesError(f"There are no images to record: an empty selection from {images.source}.")
    processes = worker_count(workers, images)
    store = Store.at(store)
    targets = match_labels(network.names, images.labels)
    with network.questioned(), ExitStack() as laid_out:
        found, before = dissect(network, layers)
        weights = network.digest()  # of the weights as they lie
        last = laid_out.enter_context(channels_last(network))
        plan = Plan(
            k=min(k, len(images)),
            units=sum(layer.channels for layer in found),
            classes=len(network.classes),
            places=Plan.places_for(len(images)),
            preprocessing=network.preprocessing,
            device=network.device,
            activation=network.activation,
        )
        settings = {
            "layers": [layer.name for layer in found],
            "k": plan.k,
            "batch": batch,
            "shard": shard,
            "places": plan.places,
            "channels_last": last,
        }
        question = _question(network, weights, images, targets, settings)
        store.prepare()
        names = [f"{layer.name}:{channel}" for layer in found for channel in range(layer.channels)]
        names += [str(network.class_unit("logit", index)) for index in range(plan.classes)]
        writer = RecordingWriter(store.folder_of(question), found, names, plan.k)
        if not resume:
            shutil.rmtree(writer.folder, ignore_errors=True)
        writer.begin(
            question,
            shards=-(-len(images) // shard),
            classes=list(network.classes),
            penultimate=str(before),
            source=images.source,
        )
        with torch.inference_mode():
            _record(
                network,
                images,
                targets,
                writer,
                plan,
                before,
                layers=found,
                batch=batch,
                shard=shard,
                workers=processes,
            )
    recording = Recording.open(writer.folder)
    _tell(recording, images)
    return replace(recording, images=images if len(recording) == len(images) else images[recording.numbers])


def _question(network: Network, weights: str, images: Images, targets: Any, settings: dict[str, Any]) -> Question:
    return Question(
        technique="record",
        network=network.name,
        weights=weights,
        subject=f"{len(images):,} images from {images.source}",
        pixels=_fingerprint(images, targets, network.preprocessing),
        settings={"preprocessing": network.preprocessing.to_json(), "classes": network.classes_digest, **settings},
        version=__version__,
    )


def _record(
    network: Network, images: Images, targets: Any, writer: RecordingWriter, plan: Plan, before: Any, *,
    layers: Any, batch: int, shard: int, workers: int,
) -> None:  # fmt: skip
    """Ask about the shards that are not there, and end the recording."""
    from iconoscope.exemplars.activation_summary import listening
    from iconoscope.exemplars.loader import feed
    from iconoscope.exemplars.shard import Tally, ask_shard

    total = Tally.empty(plan)
    count = -(-len(images) // shard)
    known = [_known(writer, number) for number in range(count)]
    if all(tally is not None for tally in known) and writer.ended:
        return
    ids, labels = images.ids, images.labels
    writing: Future[None] | None = None
    with (
        advancing(f"recording, {network.name}", len(images)) as advance,
        listening(network, layers, before) as run,
        ThreadPoolExecutor(1) as background,  # a shard is written while the next is asked about
    ):
        done, began = 0, time.monotonic()
        number = 0
        while number < count:
            earlier = known[number]
            if earlier is not None:
                total = total.merged(earlier)
                advance(min(shard, len(images) - number * shard))
                number += 1
                continue
            # Processes that read images are started once for all shards up to the next that is there.
            until = next((later for later in range(number, count) if known[later] is not None), count)
            rows = range(number * shard, min(until * shard, len(images)))
            stream = feed(images, network.preprocessing, rows, batch=batch, workers=workers, shard=shard)
            for each in range(number, until):
                last = min((each + 1) * shard, len(images))

                def batches(stream: Any = stream, last: int = last) -> Any:
                    nonlocal done
                    for given in stream:
                        yield given
                        done += given.asked
                        advance(given.asked, f"{done / max(time.monotonic() - began, 1e-9):,.0f} images/s")
                        if given.last >= last:
                            return

                asked, tally = ask_shard(run, batches(), plan, known=total)
                here = asked.rows.tolist()
                columns = {
                    "row": asked.rows,
                    "id": [ids[row] for row in here],
                    "label": [None if labels[row] is None else str(labels[row]) for row in here],
                    "target": np.asarray(targets[asked.rows], np.int64),
                    **asked.to_columns(plan),
                }
                failed = {ids[key] if isinstance(key, int) else key: reason for key, reason in asked.failed.items()}
                if writing is not None:
                    writing.result()
                writing = background.submit(
                    writer.write_shard,
                    each,
                    columns,
                    tally.to_columns(),
                    maximum=asked.maximum,
                    mean=asked.mean,
                    failed=failed,
                )
                total = total.merged(tally)
            number = until
        if writing is not None:
            writing.result()
    writer.end(total.to_columns())


def _known(writer: RecordingWriter, shard: int) -> Tally | None:
    from iconoscope.exemplars.shard import Tally

    try:
        columns = writer.read_units(shard)
    except DamagedRecordError as error:
        warnings.warn(f"{error.message} It is asked again.", IconoscopeWarning, stacklevel=5)
        writer.discard(shard)
        return None
    return None if columns is None else Tally.from_columns(columns)


def _fingerprint(images: Images, targets: Any, preprocessing: Preprocessing) -> str:
    """Tell a set of images from others: by all ids and classes, and by the pixels of some."""
    sha = hashlib.sha256()
    for identity in images.ids:
        sha.update(identity.encode() + b"\0")
    sha.update(targets.tobytes())
    step = max(1, len(images) // _LOOKED_AT)
    for row in range(0, len(images), step):
        try:
            sha.update(preprocessing.digest_of(images[row]).encode())
        except ImagesError as error:
            sha.update(type(error).__name__.encode())
    return sha.hexdigest()


def _tell(recording: Recording, images: Images) -> None:
    from iconoscope.exemplars.shard import NOT_FINITE

    failed = recording.failed
    images.unreadable.update(failed)
    if not failed:
        return
    listed = shortened((f"{name} ({reason})" for name, reason in failed.items()), most=5)
    if not len(recording):
        unreadable = all(reason != NOT_FINITE for reason in failed.values())
        kind = ImagesError if unreadable else NonFiniteError
        raise kind(f"None of the {len(images)} images from {images.source} could be recorded: {listed}.")
    warnings.warn(
        f"{len(failed)} of {len(images)} images could not be used and were left out: {listed}.",
        IconoscopeWarning,
        stacklevel=3,
    )
