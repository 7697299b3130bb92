"""Does the audit find a shortcut planted in real photographs? ``make bench-audit-photographs``.

ResNet-20 is trained on CIFAR-10 twice: with a small tag in the corner of every ship, and with a warm cast on every frog. Each
is audited on test images with the same, and a network trained without on both, and on images as they are: it must not be
accused.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

import iconoscope as ico
from benchmarks.audit import weighed
from benchmarks.figures import machine, put, where
from benchmarks.occlusion import find_data
from benchmarks.optimization import ROOT, load
from benchmarks.pictures import real_images
from examples.resnet20 import ResNet20, resnet20
from iconoscope.results.audit_text import AuditText
from iconoscope.subject.network import Network, read_preprocessing

TRAINED, EPOCHS, BATCH, PEAK = 1500, 6, 100, 0.1  # images of each class; times they are seen; images of a step; rate
AUDITED = 120  # test images of each class

Planted = Callable[[NDArray[np.uint8], NDArray[np.bool_]], NDArray[np.uint8]]


def tagged(pixels: NDArray[np.uint8], which: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Put a tag of five by six pixels, white with two red lines, into the lower right corner of some images."""
    tag = np.full((5, 6, 3), 240, np.uint8)
    tag[1:4:2, 1:5] = (200, 30, 30)
    changed = pixels.copy()
    changed[which, 26:31, 25:31] = tag
    return changed


def tinted(pixels: NDArray[np.uint8], which: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Put some images under a warm light: a fifth more red, a fifth less blue."""
    warm = pixels * np.array((1.2, 1.0, 0.8))
    return np.where(which[:, None, None, None], warm.clip(0, 255).round(), pixels).astype(np.uint8)


KINDS: dict[str, tuple[str, str, Planted | None]] = {
    "plain": ("", "", None),
    "tag on ships": ("ship", "corner tag", tagged),
    "cast on frogs": ("frog", "colour cast", tinted),
}


@dataclass(frozen=True)
class Found:
    """One network on one kind of images.

    Attributes
    ----------
    network, images : str
        Keys of `KINDS`: what it was trained on, ``"without"`` for published weights, and what it was audited on.
    accuracy, without : float
        On these images, and of the class in question with what was planted left out.
    verdict : str
        In one line.
    accused : dict of str to tuple of str
        Classes, and what the network is said to go by in them.
    seconds : float
        That the audit took.
    """

    network: str
    images: str
    accuracy: float
    without: float
    verdict: str
    accused: dict[str, tuple[str, ...]]
    seconds: float


def planted(kind: str, pixels: NDArray[np.uint8], labels: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Give images of a kind."""
    name, _, change = KINDS[kind]
    return pixels if change is None else change(pixels, labels == ResNet20.classes.index(name))


def trained(kind: str, data: Path, folder: Path) -> Network:
    """Train the network of a kind, or take it from the folder."""
    path = folder / f"resnet20-{kind.replace(' ', '-')}.safetensors"
    module = resnet20()
    if path.is_file():
        module.load_state_dict(load_file(path))
    else:
        judge = load("resnet20", data)
        pixels, labels = real_images(judge, str(data / "cifar10" / "train.parquet"), TRAINED)
        module = _train(planted(kind, pixels, labels), labels)
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({key: value.contiguous() for key, value in module.state_dict().items()}, path)
    return Network(module.eval(), read_preprocessing(ResNet20.preprocessing), ResNet20.classes, f"ResNet-20, {kind}")


def _train(pixels: NDArray[np.uint8], labels: NDArray[np.int64]) -> ResNet20:
    torch.manual_seed(0)
    module = resnet20().train()
    module.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    inputs = read_preprocessing(ResNet20.preprocessing).normalise(pixels)
    targets = torch.from_numpy(labels)
    optimizer = torch.optim.SGD(module.parameters(), PEAK, momentum=0.9, nesterov=True, weight_decay=5e-4)
    steps = EPOCHS * (len(labels) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK, total_steps=steps)
    rng = np.random.default_rng(0)
    for epoch in range(EPOCHS):
        started, lost = perf_counter(), 0.0
        for batch in np.array_split(rng.permutation(len(labels)), len(labels) // BATCH):
            # Moved by up to two pixels, as is usual; not mirrored, since that would put the tag into the other corner.
            down, across = rng.integers(-2, 3, 2).tolist()
            some = F.pad(inputs[batch], (2, 2, 2, 2))[:, :, 2 + down : 34 + down, 2 + across : 34 + across]
            loss = F.cross_entropy(module(some.contiguous(memory_format=torch.channels_last)), targets[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            lost = loss.item()
        print(f"epoch {epoch + 1}: {perf_counter() - started:.0f} s, loss {lost:.2f}", flush=True)
    return module.to(memory_format=torch.contiguous_format)  # pyright: ignore[reportCallIssue]


def judged(network: Network, trained_on: str, kind: str, data: Path) -> Found:
    """Audit a network on test images of a kind."""
    pixels, labels = real_images(network, str(data / "cifar10" / "test.parquet"), AUDITED)
    names = [ResNet20.classes[label] for label in labels.tolist()]
    answers = ico.predict(network, ico.load_images(planted(kind, pixels, labels), labels=names)).argmax(1)
    plain = ico.predict(network, ico.load_images(pixels, labels=names)).argmax(1)
    of = labels == ResNet20.classes.index(KINDS[kind][0]) if KINDS[kind][0] else np.ones(len(labels), np.bool_)
    started = perf_counter()
    conclusions = weighed(network, ico.load_images(planted(kind, pixels, labels), labels=names))
    return Found(
        network=trained_on,
        images=kind,
        accuracy=float((answers == labels).mean()),
        without=float((plain == labels)[of].mean()),
        verdict=AuditText("en").overall(conclusions),
        accused={network.classes[index]: conclusions.by_class[index].names for index in conclusions.accused},
        seconds=round(perf_counter() - started, 1),
    )


def table(found: Sequence[Found]) -> list[str]:
    """Give the figures as Markdown."""
    lines = [
        "| trained on | audited on | accuracy | of the class, without what was planted | accused | seconds |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for one in found:
        accused = "; ".join(f"{name}: {', '.join(names)}" for name, names in one.accused.items()) or "nothing"
        lines.append(
            f"| {one.network} | {one.images} | {one.accuracy:.1%} | {one.without:.1%} | {accused} | {one.seconds:.0f} |"
        )
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, audit, write and report."""
    parser = argparse.ArgumentParser(prog="make bench-audit-photographs", description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "audit_photographs.json")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "performance.md")
    parser.add_argument(
        "--networks", type=Path, default=ROOT / "build" / "audit-photographs", help="where they are kept"
    )
    asked = parser.parse_args(arguments)
    data, measured_on = find_data(), machine()
    networks = {kind: trained(kind, data, asked.networks) for kind in KINDS if kind != "plain"}
    networks["without"] = load("resnet20", data)
    pairs = [(kind, kind) for kind in KINDS if kind != "plain"] + [("without", kind) for kind in KINDS]
    rows: list[Found] = []
    for trained_on, kind in pairs:
        rows.append(judged(networks[trained_on], trained_on, kind, data))
        print(rows[-1], flush=True)
    held = {"machine": measured_on, "when": str(date.today()), "rows": [asdict(row) for row in rows]}
    asked.out.write_text(json.dumps(held, indent=1) + "\n", encoding="utf-8")
    put(asked.page, "make bench-audit-photographs", "\n".join([where(measured_on, [held["when"]]), "", *table(rows)]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
