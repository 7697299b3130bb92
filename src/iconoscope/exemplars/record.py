"""The question: what does every unit answer to every image of a set? Asked in one pass, kept on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iconoscope import __version__
from iconoscope.errors import (
    ImageFileError,
    ImagesError,
    NonFiniteError,
    QuestionError,
    StoreError,
    check_choice,
    check_counts,
    shortened,
    warn,
)
from iconoscope.exemplars.load_recording import find_unfinished
from iconoscope.exemplars.parts import Part, read_part
from iconoscope.exemplars.ray_workers import check_travels, record_by_ray
from iconoscope.results import Question
from iconoscope.signatures import checked
from iconoscope.store import Recording, Store
from iconoscope.store.recording_writer import RecordingWriter
from iconoscope.store.remote_recording import RemoteRecordingWriter, fetched_recording, is_address
from iconoscope.subject.images import Images, load_images
from iconoscope.subject.memory import check_fits
from iconoscope.subject.network import Network, Preprocessing
from iconoscope.subject.network.pass_memory import check_pass, images_together
from iconoscope.vocabulary.labels import match_labels

if TYPE_CHECKING:
    from iconoscope.exemplars.recording_pass import RecordingPass

__all__ = ["record"]

ENGINES = {
    "local": "in this process",
    "ray": "on a cluster of Ray",
}
"""Who asks."""

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
    part: str | Sequence[int] | None = None,
    merge: bool = False,
    engine: str = "local",
    address: str | None = None,
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
        Folder for what is kept, or an address, as s3://bucket/run. For every image that is 8 bytes for each unit and some more.
    k
        How many images of every unit are ranked, most and least.
    batch
        How many images are taken in at once. Through the network they go in parts where that is faster: on a processor.
    shard
        How many images make one file on disk: what a killed process loses at most.
    workers
        Processes that read and decode images; one less than there are cores by default, none for few images.
    resume
        Whether to go on from what an earlier process left. Otherwise all is asked anew.
    part
        Ask about one part of the images alone, as 3/64, counted from 1; auto takes it from torchrun or a job array of SLURM.
        The part that finds all others there puts them together. Parts share the store, and come in any order, also at once.
    merge
        Ask nothing, and put together what parts have asked.
    engine
        local: this process. ray: as many workers as a cluster of Ray has room for, one a GPU, or else one a processor; each
        takes `workers` processors more. All share the store.
    address
        Of a cluster of Ray: auto for the one that this machine belongs to, or host:port. By default one is started on this
        machine, and ended.

    Returns
    -------
    Recording
        Ask it with `top_images`, `map_images`, `find_units`, `dead_units`. Where other parts are missing yet, it says which
        shards are ``missing``, and nothing else.

    Raises
    ------
    QuestionError
        If a setting is out of range, or a layer is not one of the network's.
    ImagesError
        If no image can be read. Some that cannot are left out, counted and listed in ``failed``, and a warning names them.
    NonFiniteError
        If the network answers NaN or infinity to every image.
    StoreError
        If the store cannot be written, or parts are missing that are to be merged. What was written before stays.
    MissingExtraError
        If Ray is wanted and not installed.

    Notes
    -----
    That a set is the same as that of an earlier recording is told by its ids and labels, by all pixels of arrays, the sizes of
    all image files, and the pixels of 32 of its images.
    Where other pixels have changed under the same names, ask with ``resume=False``.

    On a processor a network of convolutions is asked in a faster form, with its norms in its convolutions, for every shard
    whose first images that form answers as the network itself does. What is kept differs by rounding.

    Examples
    --------
    >>> import tempfile, iconoscope as ico
    >>> network = ico.load_network("cars", device="cpu")
    >>> recording = record(network, ico.demo_images(40, seed=3), store=tempfile.mkdtemp() + "/run", k=5)
    >>> recording.responses.shape, recording.vectors("penultimate").shape
    ((40, 162), (40, 64))
    """
    import torch

    check_counts(k=k, batch=batch, shard=shard)
    own_part = _part(part, merge=merge, engine=engine, address=address, resume=resume)
    if engine == "ray":
        check_travels(network)
    images = load_images(images)
    if not len(images):
        raise ImagesError(f"There are no images to record: an empty selection from {images.source}.")
    images.say_depth()
    network.notice_changes()
    with network.questioned(), ExitStack() as memory_format:
        question, recording_pass = _begun(
            network, images, layers, store if is_address(str(store)) else Store.at(store), memory_format,
            k=k, batch=batch, shard=shard, workers=workers, resume=resume, merge=merge,
        )  # fmt: skip
        with torch.inference_mode():
            if engine == "ray":
                record_by_ray(recording_pass, question.weights, workers, address)
            elif not merge:
                recording_pass.run(None if own_part is None else own_part.shards(recording_pass.shards))
            if own_part is None or not recording_pass.writer.missing(recording_pass.shards):
                recording_pass.merge()
    recording = _written(recording_pass.writer, complete=own_part is None)
    if not recording.ended:
        return recording
    _report_failed(recording, images)
    return replace(recording, images=images if len(recording) == len(images) else images[recording.numbers])


def _begun(
    network: Network,
    images: Images,
    layers: Sequence[str] | None,
    store: Store | str | Path,
    memory_format: ExitStack,
    *,
    k: int,
    batch: int,
    shard: int,
    workers: int | None,
    resume: bool,
    merge: bool,
) -> tuple[Question, RecordingPass]:
    """Begin a recording, or open one that was begun: see what it takes, make its folder, and say what is asked in it."""
    from iconoscope.exemplars.activation_summary import channels_last
    from iconoscope.exemplars.loader import worker_count
    from iconoscope.exemplars.recordable_layers import choose_layers
    from iconoscope.exemplars.recording_pass import RecordingPass
    from iconoscope.exemplars.shard import RecordingPlan

    processes = worker_count(workers, images)
    targets = match_labels(network.names, images.labels)
    weights = network.digest()  # of the weights as they lie
    last = memory_format.enter_context(channels_last(network))
    recorded_layers, penultimate = choose_layers(network, layers)
    names = [layer.name for layer in recorded_layers]
    plan = RecordingPlan.of(network, recorded_layers, images=len(images), k=k)
    count = sum(layer.channels for layer in recorded_layers) + len(network.classes)
    hint = "Record fewer layers, fewer images, or with a smaller k, batch or shard."
    # Of every unit two numbers for each image of a shard, and a value, a place and an image on either side of the ranking.
    check_fits(count * (8.0 * min(shard, len(images)) + 48.0 * plan.k), f"The tables of {count:,} units", hint=hint)
    check_pass(network, min(batch, len(images)), hint=hint)
    together = images_together(network, min(batch, len(images)))
    settings = {"batch": batch, "together": together, "shard": shard, "places": plan.samples, "channels_last": last}
    question = _question(network, weights, images, targets, {"layers": names, "k": plan.k, **settings})
    units = [f"{layer.name}:{channel}" for layer in recorded_layers for channel in range(layer.channels)]
    units += [str(network.class_unit("logit", index)) for index in range(len(network.classes))]
    if isinstance(store, Store):
        writer = RecordingWriter(store.folder_of(question), recorded_layers, units, plan.k)
    else:
        address = f"{str(store).rstrip('/')}/record/{question.key[:24]}"
        writer = RemoteRecordingWriter(address, recorded_layers, units, plan.k)
    _look_beside(store, question, begun=not merge or writer.has_begun(question, network.witness()))
    if isinstance(store, Store) and not (resume and writer.ended):
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
    return question, RecordingPass(
        network, images, targets, recorded_layers, penultimate, plan, writer, batch, together, shard, processes
    )


def _look_beside(store: Store | str | Path, question: Question, *, begun: bool) -> None:
    """Warn of recordings of the same network and images that were not ended, and what is asked otherwise there.

    Raises `StoreError` where this one has not begun, and nothing is to be asked.
    """
    where = store.folder if isinstance(store, Store) else store
    others = [f"{folder} ({_differences(other, question)})" for folder, other in find_unfinished(where, question)]
    said = f"of this network and these images, not ended, with other settings: {shortened(others, most=3)}."
    if not begun:
        raise StoreError(
            f"In {where} no part of this recording was asked, so there is nothing to put together.",
            hint=f"There lies one {said} Give its settings."
            if others
            else "Give the settings that the parts were given.",
        )
    if others:
        warn(f"In {where} lies another recording {said} Parts with different settings never come together.")


def _differences(other: Question, question: Question) -> str:
    """Say in which settings two questions differ, with the numbers of the first."""
    names = [name for name, value in question.settings.items() if other.settings.get(name) != value]
    numbers = {name: other.settings.get(name) for name in names}
    return ", ".join(
        f"{name} {value}, here {question.settings[name]}" if isinstance(value, int) else f"other {name}"
        for name, value in numbers.items()
    )


def _written(writer: RecordingWriter, *, complete: bool) -> Recording:
    """Open what was written; of a recording at an address a copy in the cache, or what it is about where parts are missing."""
    if not isinstance(writer, RemoteRecordingWriter):
        return Recording.open(writer.folder, whole=complete)
    if writer.ended:
        return Recording.open(fetched_recording(writer.address))
    begun = Recording.open(writer.folder, whole=False)
    return replace(begun, missing_there=writer.missing(begun.shards), address=writer.address)


def _part(
    part: str | Sequence[int] | None, *, merge: bool, engine: str, address: str | None, resume: bool
) -> Part | None:
    """Read which part is meant, and see that what says who asks goes together."""
    check_choice("engine", engine, ENGINES)
    chosen = [
        name
        for name, value in (("part", part), ("merge", merge), ("engine", engine != "local"))
        if value not in (None, False)
    ]
    if len(chosen) > 1:
        raise QuestionError(f"{' and '.join(chosen)} are two ways to record.", hint="Give one of them.")
    if address is not None and engine != "ray":
        raise QuestionError(
            f"address={address!r} is of a cluster of Ray.", hint="Give engine='ray' (--engine ray) too."
        )
    if (part is not None or merge) and not resume:
        raise QuestionError(
            "resume=False begins anew, and would take away what other parts have asked.",
            hint="Remove the recording, or name another store, and leave resume out.",
        )
    return None if part is None else read_part(part)


def _question(network: Network, weights: str, images: Images, targets: Any, settings: dict[str, Any]) -> Question:
    return Question(
        technique="record",
        network=network.name,
        weights=weights,
        subject=f"{len(images):,} images from {images.source}",
        pixels=fingerprint(images, targets, network.preprocessing),
        settings={"preprocessing": network.preprocessing.to_json(), "classes": network.classes_digest, **settings},
        version=__version__,
    )


def fingerprint(images: Images, targets: Any, preprocessing: Preprocessing) -> str:
    """Tell a set of images from others: by all ids, classes and stamps, and by the pixels of some."""
    sha = hashlib.sha256()
    for identity in images.ids:
        sha.update(identity.encode() + b"\0")
    sha.update(targets.tobytes())
    source, rows = images.rows
    for row in rows.tolist():
        sha.update(source.stamp(row) + b"\0")
    step = max(1, len(images) // _COMPARED)
    for row in range(0, len(images), step):
        try:
            sha.update(preprocessing.digest_of(images[row]).encode())
        except ImageFileError as error:
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
