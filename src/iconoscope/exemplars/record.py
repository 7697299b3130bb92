"""The question: what does every unit answer to every image of a set? Asked in one pass, kept on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from iconoscope import __version__
from iconoscope.errors import ImagesError, NonFiniteError, check_counts, shortened, warn
from iconoscope.results import Question
from iconoscope.signatures import checked
from iconoscope.store import Recording, Store
from iconoscope.subject.images import Images, load_images
from iconoscope.subject.memory import check_fits
from iconoscope.subject.network import Network, Preprocessing
from iconoscope.subject.network.pass_memory import check_pass
from iconoscope.vocabulary.labels import match_labels

__all__ = ["record"]

_COMPARED = 32  # images whose pixels tell one set from another with the same names


@checked
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
    That a set is the same as that of an earlier recording is told by its ids and labels, by all pixels of arrays, the sizes of
    all image files, and the pixels of 32 of its images.
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
    from iconoscope.exemplars.recordable_layers import choose_layers
    from iconoscope.exemplars.recording_pass import RecordingPass
    from iconoscope.exemplars.shard import RecordingPlan
    from iconoscope.store.recording_writer import RecordingWriter

    check_counts(k=k, batch=batch, shard=shard)
    images = load_images(images)
    if not len(images):
        raise ImagesError(f"There are no images to record: an empty selection from {images.source}.")
    images.say_depth()
    processes = worker_count(workers, images)
    store = Store.at(store)
    targets = match_labels(network.names, images.labels)
    network.notice_changes()
    with network.questioned(), ExitStack() as memory_format:
        recorded_layers, penultimate = choose_layers(network, layers)
        weights = network.digest()  # of the weights as they lie
        last = memory_format.enter_context(channels_last(network))
        names = [layer.name for layer in recorded_layers]
        plan = RecordingPlan.of(network, recorded_layers, images=len(images), k=k)
        count = sum(layer.channels for layer in recorded_layers) + len(network.classes)
        hint = "Record fewer layers, fewer images, or with a smaller k, batch or shard."
        # Of every unit two numbers for each image of a shard, and a value, a place and an image on either side of the ranking.
        check_fits(count * (8.0 * min(shard, len(images)) + 48.0 * plan.k), f"The tables of {count:,} units", hint=hint)
        check_pass(network, min(batch, len(images)), hint=hint)
        settings = {"batch": batch, "shard": shard, "places": plan.samples, "channels_last": last}
        question = _question(network, weights, images, targets, {"layers": names, "k": plan.k, **settings})
        units = [f"{layer.name}:{channel}" for layer in recorded_layers for channel in range(layer.channels)]
        units += [str(network.class_unit("logit", index)) for index in range(len(network.classes))]
        writer = RecordingWriter(store.folder_of(question), recorded_layers, units, plan.k)
        if not (resume and writer.ended):
            store.prepare()
        writer.begin(
            question,
            witness=network.witness(),
            anew=not resume,
            shards=-(-len(images) // shard),
            classes=list(network.classes),
            penultimate=str(penultimate),
            source=images.source,
        )
        with torch.inference_mode():
            RecordingPass(
                network, images, targets, recorded_layers, penultimate, plan, writer, batch, shard, processes
            ).run()
    recording = Recording.open(writer.folder)
    _report_failed(recording, images)
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


def _fingerprint(images: Images, targets: Any, preprocessing: Preprocessing) -> str:
    """Tell a set of images from others: by all ids, classes and stamps, and by the pixels of some."""
    sha = hashlib.sha256()
    for identity in images.ids:
        sha.update(identity.encode() + b"\0")
    sha.update(targets.tobytes())
    source, rows = images.rows
    for row in rows:
        sha.update(source.stamp(int(row)) + b"\0")
    step = max(1, len(images) // _COMPARED)
    for row in range(0, len(images), step):
        try:
            sha.update(preprocessing.digest_of(images[row]).encode())
        except ImagesError as error:
            sha.update(type(error).__name__.encode())
    return sha.hexdigest()


def _report_failed(recording: Recording, images: Images) -> None:
    """Warn of the images that were left out; raise if none is left."""
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
    warn(f"{len(failed)} of {len(images)} images could not be used and were left out: {listed}.")
