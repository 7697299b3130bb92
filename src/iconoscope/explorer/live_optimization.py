"""Live optimisation: a picture that is watched while it grows, and comes out as `optimize` makes it."""

from __future__ import annotations

import dataclasses
import itertools
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from fastapi import APIRouter, Response
from fastapi.responses import StreamingResponse
from numpy.typing import NDArray
from PIL import ImageColor

from iconoscope.errors import IconoscopeWarning, QuestionError, check_choice
from iconoscope.explorer import messages
from iconoscope.explorer.answering import SessionOf, png
from iconoscope.explorer.command_lines import asking, growing
from iconoscope.explorer.event_stream import EventStream
from iconoscope.explorer.image_page import ranked_classes
from iconoscope.explorer.session import Session
from iconoscope.explorer.subject import Subject
from iconoscope.optimization import optimize
from iconoscope.optimization.classification import class_probabilities
from iconoscope.optimization.latent_parameterization import LatentParameterization
from iconoscope.optimization.spectator import GrowingPictures, watched_by
from iconoscope.optimization.style import STYLES, suitable_steps
from iconoscope.results import Visualization
from iconoscope.results.rendering import data_uri, gradient_picture, rgb
from iconoscope.subject.network import Network
from iconoscope.warning_filters import ignoring

__all__ = ["PRIORS", "LiveOptimization", "router", "usual_steps"]

router = APIRouter()

PRIORS = {"cifar10": (32, 32), "cifar10-refined": (32, 32)}
"""Priors that ship, and the size of the pictures that they know."""

_PAUSE = 0.12  # seconds between two frames
_SHOWN = 5  # classes of a frame
_IMAGE = "image:"  # before the name of one, as a start
_numbers = itertools.count(1)


def usual_steps(size: tuple[int, int]) -> dict[str, int]:
    """Give the steps that `optimize` takes for pictures of a size if nobody says: by style, and along a prior by its name."""
    along = suitable_steps(LatentParameterization, size)
    return {name: style.steps_for(size) for name, style in STYLES.items()} | dict.fromkeys(PRIORS, along)


@dataclass(eq=False)
class LiveOptimization:
    """One optimisation, which it watches itself.

    Attributes
    ----------
    session, subject
        What is explored.
    question
        What is asked.
    number
        By which it is stopped.
    frames
        Where its frames are sent.
    """

    session: Session
    subject: Subject
    question: messages.OptimizationQuestion
    number: int = field(default_factory=lambda: next(_numbers))
    frames: EventStream = field(init=False)
    _stopped: threading.Event = field(default_factory=threading.Event)
    _last: float = -1.0

    def __post_init__(self) -> None:
        self.frames = EventStream(self.number, self.session.folders)

    def stop(self) -> None:
        """End it after the step that it is at."""
        self._stopped.set()
        self.session.optimizations.pop(self.number, None)

    def wants(self, step: int) -> bool:
        """Tell whether it is time for a frame; end the making if it was stopped."""
        if self._stopped.is_set():
            raise KeyboardInterrupt
        return time.monotonic() - self._last >= _PAUSE

    def see(self, growing: GrowingPictures) -> None:
        """Put a frame into the queue."""
        self._last = time.monotonic()
        picture, gradient = (
            tensor[0].permute(1, 2, 0).cpu().numpy() for tensor in (growing.pictures, growing.gradient)
        )
        self.frames.put(self._frame(growing.step, growing.steps, float(growing.scores[0]), picture, gradient))

    def make(self) -> Visualization:
        """Make the picture, as `optimize` does; in the studio's thread."""
        if self._stopped.is_set():
            raise KeyboardInterrupt
        store = None if self.session.read_only else self.subject.store
        with watched_by(self), ignoring(category=IconoscopeWarning):
            result = optimize(self._painter, self.question.unit, store=store, **self.settings)
        ran_through = result.objective.shape[1] == self.steps  # what was stopped, no line makes again
        is_stored = store is not None and ran_through
        last = self._frame(
            result.objective.shape[1],
            self.steps,
            float(np.nan_to_num(result.activation[0], nan=result.objective[0, -1])),
            result.images[0],
            result.last_gradient[0],
        )
        commands = self._commands() if ran_through else None
        key = result.question.key[:24] if is_stored else ""
        self.frames.put(dataclasses.replace(last, ended=True, key=key, commands=commands))
        return result

    @property
    def steps(self) -> int:
        """How many steps are done."""
        question = self.question
        return question.steps or usual_steps(self.subject.preprocessing.size)[question.prior or question.style]

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of `optimize`.

        Raises
        ------
        QuestionError, ImagesError
            If one is none that a browser may choose: a file of this disk is none.
        """
        question = self.question
        check_choice("style", question.style, STYLES)
        if question.prior:
            check_choice("prior", question.prior, PRIORS)
        name = question.start.removeprefix(_IMAGE)
        start: Any = question.start if name == question.start else self.session.image(name)
        if isinstance(start, str) and start != "noise":
            try:
                ImageColor.getrgb(start)
            except ValueError:
                raise QuestionError(
                    f"start={start[:40]!r} is neither noise, a colour, nor an image here.",
                    hint="Give noise, grey, #ff8800, or image: and its number.",
                ) from None
        return {
            "start": start,
            "style": question.style,
            "prior": question.prior or None,
            "steps": self.steps,
            "seed": question.seed,
        }

    def _commands(self) -> messages.Commands:
        """Give the lines that make the picture again, with the settings that differ from the usual ones."""
        question, usual = self.question, messages.OptimizationQuestion("")
        settings: dict[str, Any] = {
            name: getattr(question, name)
            for name in ("start", "style", "prior", "seed")
            if getattr(question, name) != getattr(usual, name)
        }
        if self.steps != usual_steps(self.subject.preprocessing.size)[question.prior or question.style]:
            settings["steps"] = self.steps
        if not question.start.startswith(_IMAGE):
            return asking(self.subject, "optimize", question.unit, **settings)
        del settings["start"]
        return growing(self.session, self.subject, question.unit, question.start.removeprefix(_IMAGE), **settings)

    @property
    def _painter(self) -> Network:
        return self.session.copy_of(self.subject, "painter")

    def _frame(
        self, step: int, steps: int, activation: float, picture: NDArray[Any], gradient: NDArray[Any]
    ) -> messages.OptimizationFrame:
        judge = self.session.copy_of(self.subject, "judge")
        pixels = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1))[None])
        probabilities = class_probabilities(judge, pixels)[0]
        return messages.OptimizationFrame(
            step=step,
            steps=steps,
            activation=activation,
            probabilities=ranked_classes(self.subject, probabilities)[:_SHOWN],
            picture=data_uri(png(rgb(picture))),
            gradient=data_uri(png(gradient_picture(gradient))),
            ended=False,
            key="",
        )


@router.post("/optimizations", response_class=StreamingResponse, response_model=messages.OptimizationFrame)
async def begin(question: messages.OptimizationQuestion, session: SessionOf) -> StreamingResponse:
    """Make a picture, and send it some times a second while it grows: a stream of events, of which the last has ended."""
    subject = session.subject(question.network)
    unit = subject.asked.resolve(question.unit)
    if question.steps is not None and not 1 <= question.steps <= 4096:
        raise QuestionError(f"steps={question.steps} is not possible.", hint="Give 1 to 4096.")
    optimization = LiveOptimization(session, subject, dataclasses.replace(question, unit=str(unit)))
    _ = optimization.settings  # what is wrong with them is said at once
    session.optimizations[optimization.number] = optimization
    return optimization.frames.response(session.studio.submit(optimization.make), optimization.stop)


@router.delete("/optimizations/{number}", status_code=204)
async def stop(number: int, session: SessionOf) -> Response:
    """Stop making a picture; the stream ends with what has been reached."""
    optimization = session.optimizations.get(number)
    if optimization is not None:
        optimization.stop()
    return Response(status_code=204)
