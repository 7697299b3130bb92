"""What changes if a patch covers a part of an image: one patch at any place, and maps of all places."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import math
import time

import numpy as np
from fastapi import APIRouter, Request, Response, WebSocket
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from iconoscope.errors import IconoscopeWarning, QuestionError
from iconoscope.explorer import messages
from iconoscope.explorer.answering import SessionOf, SubjectOf, watched
from iconoscope.explorer.command_lines import of_images, on_image, unusual
from iconoscope.explorer.displacement import displace
from iconoscope.explorer.problems import problem_of, problem_of_form
from iconoscope.explorer.session import Session, check_fill
from iconoscope.occlusion import occlude
from iconoscope.results import MeanMap, Occlusion
from iconoscope.warning_filters import ignoring

__all__ = ["router"]

router = APIRouter()

_QUESTION = TypeAdapter(messages.PatchQuestion)

_AVERAGED = 100
"""Images at most of which a mean is taken."""

_BATCHES = "256MB"
"""Memory of a map's batches: small ones end sooner, so that a patch that is dragged meanwhile is answered sooner."""


@router.post("/patch", response_model=messages.PatchAnswer)
async def cover(question: messages.PatchQuestion, session: SessionOf) -> Response:
    """Give all probabilities with a patch anywhere on an image."""
    probabilities, milliseconds = await _asked(session, question)
    # Written directly: to check a thousand numbers against their type takes longer than to ask the network.
    body = {"probabilities": [round(value, 7) for value in probabilities.tolist()], "milliseconds": milliseconds}
    return Response(json.dumps(body), media_type="application/json")


@router.websocket("/patches")
async def cover_again(line: WebSocket) -> None:
    """Answer one patch after the other: a request for each takes a browser longer than a small network.

    A question is a `PatchQuestion` in JSON. Its answer is numbers of 32 bits, little endian: the milliseconds that the
    network took, then all probabilities; or a `Problem` in JSON.
    """
    session: Session = line.app.state.session
    await line.accept()
    while (message := await line.receive())["type"] != "websocket.disconnect":
        try:
            question = _QUESTION.validate_json(message.get("text") or "")
            probabilities, milliseconds = await _asked(session, question)
        except ValidationError as error:
            await line.send_json(dataclasses.asdict(problem_of_form(error.errors())))
        # Whatever it is, it is said to the one who asked, who may go on.
        except Exception as error:  # noqa: BLE001
            await line.send_json(dataclasses.asdict(problem_of(error, session.folders)[1]))
        else:
            await line.send_bytes(np.concatenate([[milliseconds], probabilities]).astype("<f4").tobytes())


async def _asked(session: Session, question: messages.PatchQuestion) -> tuple[NDArray[np.float32], float]:
    session.subject(question.network)
    answer = session.ask(lambda: _covered(session, question), view=question.view, urgency="at once")
    return await asyncio.wrap_future(answer)


def _covered(session: Session, question: messages.PatchQuestion) -> tuple[NDArray[np.float32], float]:
    if not (math.isfinite(question.top) and math.isfinite(question.left)):
        raise QuestionError("A patch lies at a row and a column.")
    patch = session.patch(question.network, question.image, question.fill)
    if patch.asks_module:
        # To reserve a network takes longer than to ask a small one: it is done once for as long as the patch moves.
        session.worker.hold(question.network, session.subject(question.network).asked.reserved)
    begun = time.perf_counter()
    probabilities = patch.probabilities(round(question.top), round(question.left), question.height, question.width)
    return probabilities, round((time.perf_counter() - begun) * 1000, 3)


@router.post("/heat")
async def map_of_places(question: messages.HeatQuestion, request: Request, session: SessionOf) -> messages.HeatAnswer:
    """Give an occlusion map; the finer its stride, the longer it takes."""
    subject = session.subject(question.network)
    check_fill(question.fill)
    settings = {"patch": question.patch, "stride": question.stride, "fill": question.fill}

    def ask() -> Occlusion:
        answer = occlude(subject.asked, session.image(question.image), question.unit, **settings, memory=_BATCHES)
        assert isinstance(answer, Occlusion)
        return answer

    occlusion = await watched(request, session.worker, session.ask(ask, view=question.view))
    return _heat(occlusion, on_image(session, subject, question.image, "occlude", question.unit, **settings))


def _heat(occlusion: Occlusion, commands: messages.Commands) -> messages.HeatAnswer:
    return messages.HeatAnswer(
        top=occlusion.top.tolist(),
        left=occlusion.left.tolist(),
        patch=list(occlusion.patch),
        drop=occlusion.drop.tolist(),
        clean=float(occlusion.clean[occlusion.target]),
        plan=occlusion.plan,
        unit=occlusion.question.unit,
        fill=str(occlusion.question.settings.get("fill", "")),
        commands=commands,
    )


@router.get("/images/{name}/heat")
def show_maps_of_places(name: str, session: SessionOf, subject: SubjectOf) -> messages.KeptHeats:
    """Give the occlusion maps of an image that the store has."""
    number = session.number(name)
    identity = session.recording.ids[number] if number is not None and session.recording else ""
    answers: list[messages.HeatAnswer] = []
    for folder in subject.occluded.get(identity, []):
        occlusion = subject.optional.result(folder, identity)
        if not isinstance(occlusion, Occlusion):
            continue
        settings = {**unusual(occlude, occlusion.question.settings), **_grid(occlusion)}
        if "fill" in settings:
            settings["fill"] = str(settings["fill"]).removeprefix("grey ")  # as it is given
        unit = occlusion.question.unit
        answers.append(_heat(occlusion, on_image(session, subject, name, "occlude", unit, **settings)))
    return messages.KeptHeats(answers, subject.optional.damaged("occlude", [identity]))


def _grid(occlusion: Occlusion) -> dict[str, int | tuple[int, int]]:
    """Give patch and stride of a map as `occlude` is told them: one number where both sides are alike."""
    steps = [int(places[1] - places[0]) if len(places) > 1 else 0 for places in (occlusion.top, occlusion.left)]
    stride = (steps[0] or steps[1] or occlusion.patch[0], steps[1] or steps[0] or occlusion.patch[1])
    sides = {"patch": occlusion.patch, "stride": stride}
    return {name: height if height == width else (height, width) for name, (height, width) in sides.items()}


@router.post("/selection/heat")
async def mean_map_of_places(
    question: messages.MeanHeatQuestion, request: Request, session: SessionOf
) -> messages.MeanHeatAnswer:
    """Give the mean of the occlusion maps of chosen images; of many some are asked."""
    subject = session.subject(question.network)
    check_fill(question.fill)
    images = session.images
    chosen = sorted({number for number in question.images if 0 <= number < session.count})
    if images is None or not chosen:
        raise QuestionError("There are no images to cover.", hint="Choose some whose pixels are at hand.")
    rows = [chosen[index] for index in np.linspace(0, len(chosen) - 1, min(_AVERAGED, len(chosen))).round().astype(int)]
    settings = {"patch": question.patch, "stride": question.stride, "fill": question.fill}

    def ask() -> MeanMap:
        network = session.copy_of(subject, "painter")
        with ignoring(category=IconoscopeWarning):
            answer = occlude(network, images[rows], **settings, mean=True)
        assert isinstance(answer, MeanMap)
        return answer

    mean_map = await watched(request, session.studio, session.studio.submit(ask, view=question.view))
    return messages.MeanHeatAnswer(
        count=int(mean_map.count[0]),
        top=mean_map.top.tolist(),
        left=mean_map.left.tolist(),
        patch=list(mean_map.patch),
        size=list(mean_map.size),
        mean=mean_map.mean[0].tolist(),
        commands=of_images(session, subject, rows, "occlude", **settings, mean=True),
    )


@router.post("/distance")
async def map_of_distances(
    question: messages.DistanceQuestion, request: Request, session: SessionOf
) -> messages.DistanceAnswer:
    """Give how far an image's vector moves with a patch at every position: why it lies where it lies on the map."""
    subject, row = session.subject(question.network), session.number(question.image)
    check_fill(question.fill)
    settings = {"patch": question.patch, "stride": question.stride, "fill": question.fill}
    ask = lambda: displace(subject.asked, session.image(question.image), **settings)  # noqa: E731
    moved = await watched(request, session.worker, session.ask(ask, view=question.view))
    neighbour_distance = await asyncio.to_thread(subject.neighbour_distance, moved.vector, row=row)
    return messages.DistanceAnswer(
        top=moved.grid.top.tolist(),
        left=moved.grid.left.tolist(),
        patch=list(moved.grid.patch),
        distance=moved.distance.tolist(),
        neighbour_distance=neighbour_distance,
    )
