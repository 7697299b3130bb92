"""DeepDream: a photograph in which a layer sees more of whatever it sees, from coarse to fine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from iconoscope import __version__
from iconoscope.errors import QuestionError, check_counts
from iconoscope.optimization.objective import Objective, objectives
from iconoscope.optimization.synthesis import check_pictures
from iconoscope.results import Question, Visualization
from iconoscope.results.result import check_figure_name
from iconoscope.signatures import checked
from iconoscope.store import Store
from iconoscope.store.store import answered
from iconoscope.subject.network import Network
from iconoscope.subject.network.preprocessing import read_size
from iconoscope.vocabulary.unit import Unit

if TYPE_CHECKING:
    import torch

    from iconoscope.optimization.initial_image import StartLike

__all__ = ["dream"]

LEAST = 48
"""Pixels of the short side of the coarsest octave."""


@checked
def dream(
    network: Network,
    image: StartLike,
    unit: str | Unit | Objective,
    *,
    octaves: int = 4,
    ratio: float = 1.4,
    steps: int = 20,
    rate: float = 0.01,
    jitter: float = 8.0,
    size: int | tuple[int, int] | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    store: Store | str | Path | None = None,
) -> Visualization:
    """Let a layer see more of what it sees in a photograph (DeepDream: Mordvintsev, Olah and Tyka 2015).

    The pixels follow the gradient of the mean of the squares of the layer's activations, in steps of one length. First the
    photograph is small, so that what grows in it is large; then larger and larger, with what has grown put into it.

    Parameters
    ----------
    network
        The network, which must take images of other sizes than its own.
    image
        A photograph, or several: a file or a folder; in Python also arrays and PIL images.
    unit
        A layer, or what else `optimize` can be asked for.
    octaves
        How many sizes; fewer if the smallest were under 48 pixels.
    ratio
        How much larger each is than the one before it.
    steps
        In each size.
    rate
        Length of a step: the mean change of a pixel of 0..1.
    jitter
        Pixels that the picture is shifted by at most, anew in every step.
    size
        Side of the picture, or height and width; that of the network's input if not given.
    seed
        Of the shifts.
    out
        Where to write the figure: a name ending in .png, .pdf, .svg, .jpg or .webp.
    store
        Folder where the answer is looked for first, and kept.

    Returns
    -------
    Visualization
        One picture for each photograph; `objective` holds the steps of all octaves, one after another.

    Raises
    ------
    QuestionError
        If a setting makes no sense, or no photograph is given.
    NetworkError
        If the network does not take images of these sizes.

    Examples
    --------
    >>> import iconoscope as ico
    >>> net = ico.load_network("cars-honest", device="cpu")
    >>> dreamt = ico.dream(net, ico.demo_images(2, seed=1)[0], "conv3", octaves=2, steps=2)
    >>> dreamt.images.shape, dreamt.objective.shape
    ((1, 96, 96, 3), (1, 4))
    """
    from iconoscope.optimization.initial_image import read_start
    from iconoscope.optimization.loop import channels_last

    check_figure_name(out)
    check_counts(most=10**6, octaves=octaves, steps=steps)
    if not (1 < ratio < float("inf") and 0 < rate < float("inf") and 0 <= jitter < float("inf")):
        raise QuestionError(f"ratio={ratio} must be over 1, rate={rate} over 0 and jitter={jitter} at least 0.")
    sides = read_size(size) or network.preprocessing.size
    check_pictures(1, channels=network.channels, size=sides, steps=steps * octaves)
    start, sides = read_start(image, network.preprocessing, None if size is None else sides, setting="image")
    if start.pictures is None:
        raise QuestionError("A dream begins with a photograph, and none was given.")
    objective, *others = objectives(network, unit)
    if others:
        raise QuestionError(f"{unit!r} is {1 + len(others)} units; a dream is of one.")
    sizes = _octaves(sides, octaves, ratio)
    settings = {"steps": steps, "rate": rate, "jitter": jitter, "seed": seed}
    question = Question(
        technique="dream",
        network=network.name,
        weights=network.digest(),
        subject=start.name,
        pixels=start.digest,
        unit=str(objective),
        settings={
            "preprocessing": network.preprocessing.to_json(),
            "size": sides,
            "octaves": octaves,
            "ratio": ratio,
            **settings,
        },
        version=__version__,
    )
    photographs = start.pictures

    def ask() -> Visualization:
        with network.questioned():
            arrays = _dream(network, objective, photographs, sizes, **settings)
        count = len(photographs)
        return Visualization(
            question=question,
            units=(str(objective),) * count,
            moved_activation=np.full(count, np.nan, np.float32),
            natural_activation=np.full(count, np.nan, np.float32),
            dead=np.zeros(count, bool),
            start=start.name,
            start_images=channels_last(photographs),
            style=f"DeepDream: {arrays['frames'].shape[1] - 1} octaves of {steps} steps",
            **arrays,
        )

    return answered(question, Visualization, ask, store=store, out=out, witness=network.witness)


def _dream(
    network: Network,
    objective: Objective,
    photographs: torch.Tensor,
    sizes: Sequence[tuple[int, int]],
    *,
    steps: int,
    rate: float,
    jitter: float,
    seed: int,
) -> dict[str, Any]:
    """Change photographs (n, channels, height, width; 0..1) in one size after another; give arrays of a `Visualization`."""
    import torch
    from torch.nn.functional import interpolate

    from iconoscope.optimization.canvas import begin_canvas
    from iconoscope.optimization.loop import Loss, ascend, channels_last, normalised, score
    from iconoscope.optimization.parameterization import Pixels
    from iconoscope.optimization.scores import Scores
    from iconoscope.optimization.transforms import Transforms

    count, channels = photographs.shape[:2]
    draws = [torch.Generator().manual_seed(seed + number) for number in range(count)]
    scores = Scores([objective] * count, network)
    grown = torch.zeros_like(photographs)
    ascents = []
    for size in sizes:
        base = interpolate(photographs, size, mode="bilinear", antialias=True)
        begun = (base + interpolate(grown, size, mode="bilinear")).clamp(0, 1)
        canvas = begin_canvas(Pixels(), (count, channels, *size), draws, begun, root=np.eye(channels), limits="penalty")
        ascent = ascend(
            network,
            scores,
            canvas,
            loss=Loss(),
            transforms=Transforms(jitter=jitter, rotation=0, scale=(1, 1)),
            draws=draws,
            stepper=normalised(rate),
            steps=steps,
            frames=3,
            size=size,
        )
        grown = ascent.pictures - base
        ascents.append(ascent)
        if not ascent.ended:
            break

    def at_full_size(pictures: torch.Tensor) -> torch.Tensor:
        return interpolate(pictures, sizes[-1], mode="bilinear")

    last = at_full_size(ascents[-1].pictures).clamp(0, 1)
    fitted = interpolate(last, network.preprocessing.size, mode="bilinear", antialias=True)
    frames = [photographs, *(at_full_size(ascent.frames[:, -1]).clamp(0, 1) for ascent in ascents)]
    return {
        "images": channels_last(last),
        "objective": torch.cat([ascent.scores for ascent in ascents], 1).cpu().numpy(),
        "last_gradient": channels_last(at_full_size(ascents[-1].gradient)),
        "frames": (channels_last(torch.stack(frames, 1)) * 255).round().astype(np.uint8),
        "activation": score(network, scores, fitted).cpu().numpy(),
    }


def _octaves(size: tuple[int, int], octaves: int, ratio: float) -> list[tuple[int, int]]:
    """Give the sizes, the smallest first."""
    sizes = [(round(size[0] / ratio**power), round(size[1] / ratio**power)) for power in range(octaves)]
    return [smaller for smaller in reversed(sizes) if min(smaller) >= LEAST or smaller == size]
