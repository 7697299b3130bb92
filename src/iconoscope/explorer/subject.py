"""A network that is explored: itself, where it is at hand, and what a store has of it."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from iconoscope.errors import QuestionError, StoreError
from iconoscope.exemplars import find_units, load_recording
from iconoscope.exemplars.load_recording import find_recordings
from iconoscope.exemplars.map import LEAST_IMAGES, carried_over
from iconoscope.exemplars.nearest_neighbours import distances_to, metric_vectors, nearest_by_products
from iconoscope.explorer.optimized_pictures import OptimizedPictures
from iconoscope.explorer.optional_records import OptionalRecords
from iconoscope.explorer.unit_table import UnitTable, read_unit_table
from iconoscope.representation.circuits import dataflow
from iconoscope.results import ActivationAtlas, Audit, Concepts, ImageMap, Occlusion, Question, UnitSearch
from iconoscope.results.folders import without_folders
from iconoscope.store import Recording, Store, load_result
from iconoscope.subject.images import Images
from iconoscope.subject.network import Layer, Network, Preprocessing, layers, read_preprocessing
from iconoscope.subject.network.connections import Connection, connections

if TYPE_CHECKING:
    import torch

    from iconoscope.representation.dataflow import Dataflow

__all__ = ["Subject", "find_subject"]

_NEIGHBOURS = 8


@dataclass(eq=False)
class Subject:
    """A network, and what is known of it.

    Attributes
    ----------
    number
        Which of the session's networks it is.
    name
        What it is called.
    network
        The network; None where the store alone is explored.
    recording
        What it answered to the images; None where that was not recorded.
    store
        The store.
    """

    number: int
    name: str
    network: Network | None
    recording: Recording | None
    store: Store
    _tables: dict[str, UnitTable] = field(default_factory=dict, init=False, repr=False)
    _searches: dict[int, UnitSearch] = field(default_factory=dict, init=False, repr=False)
    _atlas: tuple[Path, ActivationAtlas] | None = field(default=None, init=False, repr=False)
    _concepts: tuple[Path, Concepts] | None = field(default=None, init=False, repr=False)
    _searching: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    @property
    def loaded_as(self) -> str:
        """The name by which it is loaded, without the folders of this disk."""
        return without_folders(self.recorded.question.network if self.network is None else self.network.name)

    @property
    def classes(self) -> tuple[str, ...]:
        """The network's classes."""
        return self.recorded.classes if self.network is None else self.network.classes

    @property
    def recorded(self) -> Recording:
        """The recording; raises `StoreError` where there is none."""
        if self.recording is None:
            raise StoreError(
                f"No images of {self.name} have been recorded in this store.",
                hint="Record them: iconoscope record --network ... --images ...",
            )
        return self.recording

    def is_wrong(self, row: int) -> bool | None:
        """Tell whether a recorded image is answered wrongly; None where its label is no class of the network."""
        target = int(self.recorded.targets[row])
        return None if target < 0 else target != int(self.recorded.predictions[row])

    @property
    def asked(self) -> Network:
        """The network; raises `QuestionError` where it is not at hand."""
        if self.network is None:
            raise QuestionError(
                f"{self.name} itself is not at hand: only what the store has can be shown.",
                hint="Start with it: iconoscope explore --network ...",
            )
        return self.network

    @cached_property
    def preprocessing(self) -> Preprocessing:
        """How images are fitted to the network."""
        if self.network is not None:
            return self.network.preprocessing
        return read_preprocessing(self.recorded.question.settings["preprocessing"], origin="the recording")

    @cached_property
    def layers(self) -> list[Layer]:
        """All layers of the network, in the order in which they answer; without it those that were recorded."""
        if self.network is not None:
            return layers(self.network)
        return [Layer(layer.name, "", (layer.channels, layer.rows, layer.columns), 0) for layer in self.recorded.layers]

    @cached_property
    def connections(self) -> list[Connection]:
        """The weights between its layers; none without the network."""
        return [] if self.network is None else connections(self.network)

    @cached_property
    def dataflow(self) -> Dataflow | None:
        """How it computes, for what feeds a unit; None without the network, or where its layers cannot be asked."""
        return None if self.network is None or self.network.opaque else dataflow(self.network)

    @cached_property
    def weights(self) -> str:
        """The digest by which the store knows the network."""
        return self.recorded.question.weights if self.network is None else self.network.digest()

    @cached_property
    def image_map(self) -> ImageMap | None:
        """The latest map of the recorded images that the store has, of this recording or else of an earlier one."""
        if self.recording is None:
            return None
        question = self.recording.question
        own = self._latest_map(recording=question.key)
        if own is not None:
            return own
        earlier = self._latest_map(pixels=question.pixels)
        return None if earlier is None else carried_over(earlier, self.recording)

    def _latest_map(self, **asked: str) -> ImageMap | None:
        return self.store.latest(ImageMap, "map", weights=self.weights, skipped=self.optional.note, **asked)

    @property
    def can_have_map(self) -> bool:
        """Whether there is a map, or one can be made: of images that are at hand, and not too few."""
        recording = self.recording
        if self.image_map is not None or recording is None:
            return self.image_map is not None
        return recording.images is not None and len(recording) >= LEAST_IMAGES

    @cached_property
    def map_rows(self) -> NDArray[np.int64]:
        """The row of the recording that each point of the map is."""
        row_of = {identity: row for row, identity in enumerate(self.recorded.ids)}
        return np.array([row_of[identity] for identity in self.mapped.ids.tolist()], np.int64)

    @cached_property
    def directions(self) -> torch.Tensor:
        """The directions of the recorded vectors before the logits, (images, numbers), each of length one."""
        return metric_vectors(self.recorded.vectors("penultimate"), "cosine")

    def nearest(self, vector: NDArray[np.float32], *, row: int | None = None) -> tuple[list[int], list[float]]:
        """Give the recorded images whose vectors are nearest to one by their angle, and how far they are, the nearest first.

        An image of the recording, whose row is given, is not its own neighbour.
        """
        import torch

        direction = metric_vectors(vector[None], "cosine")
        count = min(_NEIGHBOURS, len(self.recorded) - (row is not None))
        if not count:
            return [], []
        own = None if row is None else torch.tensor([row])
        rows = nearest_by_products(direction, self.directions, count, own_rows=own)
        return rows[0].tolist(), distances_to(direction, self.directions, rows)[0].tolist()

    def neighbour_distance(self, vector: NDArray[np.float32], *, row: int | None) -> float:
        """Give the mean distance of a vector to the nearest recorded ones; 0 where nothing was recorded."""
        if self.recording is None:
            return 0.0
        _, distances = self.nearest(vector, row=row)
        return float(np.mean(distances)) if distances else 0.0

    @property
    def mapped(self) -> ImageMap:
        """The map; raises `StoreError` where there is none."""
        if self.image_map is None:
            raise StoreError("There is no map of these images in the store.", hint="Make one: iconoscope map")
        return self.image_map

    @property
    def atlas_folders(self) -> dict[str, Path]:
        """The folders of the latest activation atlases of the network that can be read, by layer, the latest first."""
        folders: dict[str, Path] = {}
        for folder, question in self._records("atlas", ActivationAtlas.kind):
            if question.unit not in folders and self.optional.is_readable(folder, question.unit):
                folders[question.unit] = folder
        return folders

    def _records(self, technique: str, kind: str) -> Iterator[tuple[Path, Question]]:
        """Give the folders of a technique's records that are about the network, the latest first, with their questions."""
        for folder in self.optional.folders(technique):
            known = self.optional.question(folder)
            if known is not None and known[0] == kind and known[1].weights == self.weights:
                yield folder, known[1]

    def concept_folders(self, layer: str = "") -> dict[tuple[str, int], Path]:
        """Give the folders of the latest concepts that can be read, by layer and class; of one layer or all."""
        folders: dict[tuple[str, int], Path] = {}
        for folder, question in self._records("concepts", Concepts.kind):
            key = (question.unit, int(question.settings["class"]))
            if layer in ("", question.unit) and key not in folders and self.optional.is_readable(folder, question.unit):
                folders[key] = folder
        return dict(sorted(folders.items()))

    def concepts(self, folder: Path) -> Concepts:
        """Give the concepts in a folder of the store; those that were asked for last are remembered."""
        remembered = self._concepts  # read once: other threads answer other questions meanwhile
        if remembered is None or remembered[0] != folder:
            result = load_result(folder)
            assert isinstance(result, Concepts)
            self._concepts = remembered = folder, result
        return remembered[1]

    def atlas(self, folder: Path) -> ActivationAtlas:
        """Give the atlas in a folder of the store; the one that was asked for last is remembered."""
        remembered = self._atlas
        if remembered is None or remembered[0] != folder:
            atlas = load_result(folder)
            assert isinstance(atlas, ActivationAtlas)
            self._atlas = remembered = folder, atlas
        return remembered[1]

    @cached_property
    def audit(self) -> Audit | None:
        """The latest audit of the network that the store has."""
        return self.store.latest(Audit, "audit", weights=self.weights, skipped=self.optional.note)

    @cached_property
    def occluded(self) -> dict[str, list[Path]]:
        """The store's folders of occlusions by the network, by the ids of their images; those that were there at first."""
        folders: dict[str, list[Path]] = {}
        for folder, question in self._records("occlude", Occlusion.kind):
            folders.setdefault(question.subject, []).append(folder)
        return {identity: sorted(of_image) for identity, of_image in folders.items()}

    @cached_property
    def optional(self) -> OptionalRecords:
        """Records of the store that pages can do without."""
        return OptionalRecords(self.store)

    @cached_property
    def pictures(self) -> OptimizedPictures:
        """The optimised pictures of its units."""
        return OptimizedPictures(self.store, self.weights, self.optional)

    def units(self, layer: str) -> UnitTable:
        """Give what was recorded of a layer's units; raises `UnitError` if they were not recorded."""
        if layer not in self._tables:
            self._tables[layer] = read_unit_table(self.recorded, layer)
        return self._tables[layer]

    def search(self, target: int) -> UnitSearch | None:
        """Search the units that answer a class, as `find_units` does, once; None where that cannot be: it wants the images."""
        recording = self.recorded
        is_class = recording.targets == target
        if recording.images is None or not recording.layers or is_class.sum() < 2 or (~is_class).sum() < 2:
            return None
        with self._searching:
            if target not in self._searches:
                self._searches[target] = find_units(recording, is_class, name=recording.classes[target])
        return self._searches[target]

    def keep_map(self, image_map: ImageMap) -> None:
        """Take a map that has just been made."""
        self.__dict__["image_map"] = image_map
        self.__dict__.pop("map_rows", None)


def find_subject(
    number: int,
    name: str,
    network: Network | None,
    images: Images | None,
    store: Store,
    *,
    beside: Sequence[Sequence[str]] = (),
) -> Subject:
    """Put a network and what a store has of it together.

    Without the network it is the one that was recorded last. Where images are given, the recording is of exactly these or,
    where there is none, of the most of them. Else it is the latest one, of images that a recording is of that it is to stand
    beside, where there is such a one (`beside` has the ids of each).

    Raises
    ------
    StoreError
        If there is neither a network nor a recording.
    """
    recording = _recording(None if network is None else network.digest(), images, store, beside)
    if recording is None and network is None:
        recording = load_recording(store.folder, images=images)  # says why there is none
    name = name or (network.name if network is not None else recording.question.network if recording else "")
    return Subject(number, without_folders(name), network, recording, store)


def _recording(
    weights: str | None, images: Images | None, store: Store, beside: Sequence[Sequence[str]]
) -> Recording | None:
    """Give a recording of a network by its digest, or of the one that was recorded last; None where none fits."""
    recordings = find_recordings(store.folder, weights)
    if images is None:
        latest = next(recordings, None)
        # A store may have many, and to open one takes its time.
        if beside and latest is not None:
            common = (each for each in itertools.chain([latest], recordings) if any(each.ids == ids for ids in beside))
            latest = next(common, latest)
        return None if latest is None else load_recording(latest.folder)
    ids = set(images.ids)
    fitting = [recording for recording in recordings if ids.issuperset(recording.ids)]
    if not fitting:
        return None
    of_network = [recording for recording in fitting if recording.question.weights == fitting[0].question.weights]
    # The first of the best is the latest. Images of the same ids may come from elsewhere: a swap of the audit has such.
    best = max(
        of_network, key=lambda recording: (len(recording) + len(recording.failed), recording.source == images.source)
    )
    return load_recording(best, images=images)
