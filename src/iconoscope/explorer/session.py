"""What one run of the explorer is about: one network or two, images, a store, and the threads that ask."""

from __future__ import annotations

import copy
import re
import secrets
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from iconoscope.errors import ImagesError, QuestionError, nearest
from iconoscope.explorer.photographs import PREFIX, Photographs
from iconoscope.explorer.subject import Subject
from iconoscope.explorer.worker import Urgency, Worker
from iconoscope.occlusion import FILLS
from iconoscope.occlusion.free_patch import FreePatch
from iconoscope.results import Audit
from iconoscope.results.folders import without_folders
from iconoscope.store import Recording, Store
from iconoscope.subject.images import Image, Images
from iconoscope.subject.network import Network

if TYPE_CHECKING:
    from iconoscope.occlusion.incremental import PlanCache

__all__ = ["ReadOnlyError", "Session", "check_fill"]

T = TypeVar("T")

_STATED = ("preprocessing", "classes", "name", "classes_origin", "activation", "activation_origin", "ending")
"""All that is said of a network beside its module."""

_PATCHES = 8
"""Images under a patch that are held ready: two networks, and some images and fills to go back to."""


@dataclass(eq=False)
class Session:
    """One run of the explorer.

    Attributes
    ----------
    subjects
        The networks, one or two. The numbers of images are rows of the first one's recording or, without it, of the images.
    images
        All images, by these numbers; None where they are not at hand.
    store
        Where things are kept.
    read_only
        Whether nothing may be kept.
    class_titles
        The classes' names in each language of the pages, where they have translations.
    given
        How many images were given; 0 where none were.
    photographs
        Those that were dropped.
    worker
        The thread that asks the networks.
    numbering
        Random; another where a number has come to mean another image.
    optimizations
        Those that run, by their numbers.
    audits
        Those of chosen images, by their numbers; they are in no store.
    studio
        The thread in which pictures and maps are made, of copies of the networks: so a patch does not wait for them.
    """

    subjects: tuple[Subject, ...]
    images: Images | None
    store: Store
    read_only: bool = False
    class_titles: dict[str, list[str]] = field(default_factory=dict)
    given: int = 0
    photographs: Photographs = field(init=False)
    worker: Worker = field(default_factory=Worker)
    studio: Worker = field(default_factory=Worker)
    optimizations: dict[int, Any] = field(default_factory=dict)
    audits: dict[int, Audit] = field(default_factory=dict)
    numbering: str = field(default_factory=lambda: secrets.token_hex(8))
    _copies: dict[tuple[int, str], Network] = field(default_factory=dict)
    _patches: OrderedDict[tuple[int, str, str, str], FreePatch] = field(default_factory=OrderedDict)
    _plans: dict[int, PlanCache] = field(default_factory=dict)  # by network, what was captured of it

    def __post_init__(self) -> None:
        self.photographs = Photographs(self.store.folder)

    def close(self) -> None:
        """End both threads, and what is made in them."""
        for optimization in list(self.optimizations.values()):
            optimization.stop()
        self.worker.close()
        self.studio.close()

    def subject(self, number: int) -> Subject:
        """Give one of the networks; raises `QuestionError` where there is no such."""
        if not 0 <= number < len(self.subjects):
            raise QuestionError(f"There is no network {number} here.", hint=f"Give 0 to {len(self.subjects) - 1}.")
        return self.subjects[number]

    @property
    def recording(self) -> Recording | None:
        """The recording whose rows number the images."""
        return self.subjects[0].recording

    @property
    def count(self) -> int:
        """The number of images."""
        if self.recording is not None:
            return len(self.recording)
        return 0 if self.images is None else len(self.images)

    @property
    def origin(self) -> str:
        """Where the images came from; empty without any."""
        if self.images is not None:
            return self.images.source
        return "" if self.recording is None else self.recording.source

    @property
    def source(self) -> str:
        """The same without the folders of this disk."""
        return without_folders(self.origin)

    @property
    def folders(self) -> set[Path]:
        """Folders of this disk that messages may name, and that nobody else is told."""
        source = Path(re.sub(r"^\w{2,}:(?!//)", "", self.origin))
        named = {source} if source.is_absolute() else set()
        return {Path.home(), Path.cwd(), *(subject.store.folder for subject in self.subjects), *named}

    def number(self, name: str) -> int | None:
        """Give the number of an image by its name; None for a photograph that was dropped.

        Raises
        ------
        ImagesError
            If there is no such image.
        """
        if name.startswith(PREFIX):
            return None
        number = int(name) if name.isascii() and name.isdecimal() and len(name) < 10 else -1
        if not 0 <= number < self.count:
            raise ImagesError(
                f"There is no image {name[:40]!r}.", hint=f"They are numbered from 0 to {self.count - 1}."
            )
        return number

    def image(self, name: str) -> Image:
        """Give an image by its number, or a photograph by its name; raises `ImagesError` where its pixels are not at hand."""
        number = self.number(name)
        if number is None:
            return self.photographs.image(name)
        if self.images is None:
            raise ImagesError(
                "The recorded images are not at hand.", hint="Start with them: iconoscope explore --images ..."
            )
        return self.images[number]

    def renumber(self, images: Images | None) -> None:
        """Take other images under the numbers from now on: those of a new recording, which lacks what could not be used."""
        self.images = images
        self.numbering = secrets.token_hex(8)

    def thumbnail(self, number: int) -> NDArray[np.uint8]:
        """Give an image, small, from the map where the images themselves are not at hand; raises `StoreError` without a map."""
        first = self.subjects[0]
        return first.mapped.thumbnail(int(np.flatnonzero(first.map_rows == number)[0]))

    def prepare(self, subject: Subject, name: str) -> None:
        """Have a property of a subject, for which the network is asked, worked out in the worker's thread; once."""
        if name not in subject.__dict__:
            self.ask(lambda: getattr(subject, name), urgency="at once").result()

    def ask(self, question: Callable[[], T], *, view: str = "", urgency: Urgency = "in turn") -> Future[T]:
        """Have something asked in the thread that asks the networks; see `Worker.submit`."""
        return self.worker.submit(question, view=view, urgency=urgency)

    def copy_of(self, subject: Subject, purpose: str) -> Network:
        """Give a copy of a network for a purpose, made once: another thread may ask it meanwhile."""
        key = (subject.number, purpose)
        if key not in self._copies:
            network = subject.asked
            with network.reserved():
                module = copy.deepcopy(network.module)
            settings = {part.name: getattr(network, part.name) for part in fields(network) if part.name in _STATED}
            self._copies[key] = Network(module, **settings)
        return self._copies[key]

    def patch(self, number: int, name: str, fill: str) -> FreePatch:
        """Give an image that is ready to be covered anywhere; in the worker's thread alone."""
        key = (number, name, fill, self.numbering)
        patch = self._patches.pop(key, None)
        if patch is None:
            from iconoscope.occlusion.incremental import PlanCache

            check_fill(fill)
            plans = self._plans.setdefault(number, PlanCache())
            patch = FreePatch(self.subject(number).asked, self.image(name), fill=fill, plans=plans)
        self._patches[key] = patch
        while len(self._patches) > _PATCHES:
            self._patches.popitem(last=False)
        return patch

    def check_writable(self) -> None:
        """Refuse what would keep something, where nothing may be kept."""
        if self.read_only:
            raise ReadOnlyError("This explorer only reads: nothing is kept.", hint="Start it without --read-only.")


def check_fill(fill: str) -> None:
    """Refuse a fill that is none by name and no grey: `occlude` also takes files of this disk, which a browser may not name."""
    if fill not in FILLS and not re.fullmatch(r"0?\.\d{1,6}|[01]\.0{0,6}", fill):
        raise QuestionError(f"fill={fill[:40]!r} is not a choice.", hint=nearest(fill[:40], FILLS))


class ReadOnlyError(QuestionError):
    """Something that would be written, in an explorer that only reads."""
