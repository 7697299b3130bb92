"""The commands: the function behind each, its output, and examples of how it is typed."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from iconoscope import printing

__all__ = ["COMMANDS", "GROUPS", "MAKERS", "Command", "imported"]


@dataclass(frozen=True)
class Command:
    """One command: the function behind it, what it prints, and examples for its help.

    Attributes
    ----------
    function
        The function, as ``module:name``; it is imported when the command is used.
    about
        The line in the list of commands, which must be there without an import.
    show
        From the function's answer and its arguments to lines for a person and a value for ``--json``.
    examples
        Lines as they are typed.
    defaults
        Defaults of the command line that differ from Python's.
    bare
        Parameters that may be typed without their names, first.
    synonyms
        Other names of options, by their names.
    """

    function: str
    about: str
    show: Callable[[Any, dict[str, Any]], tuple[list[str], Any]]
    examples: tuple[str, ...]
    defaults: dict[str, Any] = field(default_factory=dict)
    bare: tuple[str, ...] = ()
    synonyms: dict[str, str] = field(default_factory=dict)

    def load(self) -> Callable[..., Any]:
        """Import the function."""
        return imported(self.function)


def imported(path: str) -> Callable[..., Any]:
    """Import the function at ``module:name``."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


_STORE = {"store": "iconoscope-run"}
_RESNET = "--network examples/resnet20.py:resnet20 --checkpoint resnet20_cifar10.safetensors"
GROUPS = {
    "prior": "Learned priors: what images may be, learnt from images (optimize --prior makes pictures along one)."
}
COMMANDS = {
    "demo": Command(
        "iconoscope.demo.journey:demo",
        "Two networks, both right: which of them learned the car? Start here.",
        printing.demo,
        ("iconoscope demo", "iconoscope demo --retrain --out cars"),
    ),
    "layers": Command(
        "iconoscope.subject.network:layers",
        "List the layers of a network and what they answer.",
        printing.layers,
        ("iconoscope layers --network cars", f"iconoscope layers {_RESNET} --filters filters.png"),
    ),
    "predict": Command(
        "iconoscope.subject.predict:predict",
        "The probabilities of the classes for every image.",
        printing.predictions,
        (f"iconoscope predict {_RESNET} --images cifar10/test.parquet --limit 100",),
    ),
    "occlude": Command(
        "iconoscope.occlusion:occlude",
        "Cover one region after another: where does the network look?",
        printing.occlusions,
        (
            "iconoscope occlude --network cars --images photographs/ --patch 12 --stride 4 --limit 4 --out occlude.png",
            "iconoscope occlude --network cars-honest --images photographs/ --patch 24 --limit 4 --out occlude.html",
            "iconoscope occlude --network cars-honest --images photographs/ --patch 12,24,48",
            "iconoscope occlude --network cars-honest --images photographs/ --fill zero,mean --patch 24",
            f"iconoscope occlude {_RESNET} --images cifar10/test.parquet --patch 8 --stride 4 --mean",
        ),
        _STORE,
    ),
    "attribute": Command(
        "iconoscope.occlusion:attribute",
        "Ask a gradient method of Captum how much every pixel speaks for a unit, beside occlusion.",
        printing.results,
        (
            "iconoscope attribute --network cars-honest --images photographs/ --method captum:IntegratedGradients",
            f"iconoscope attribute {_RESNET} --images cat.png --unit logit:cat --method captum:LayerGradCam --out cat-map.png",
        ),
        _STORE,
    ),
    "faithfulness": Command(
        "iconoscope.occlusion:faithfulness",
        "Delete and insert the pixels that a map ranks first: how good is the map, or which of several?",
        printing.results,
        (
            "iconoscope faithfulness --network cars-honest --images photographs/ --patch 24",
            f"iconoscope faithfulness {_RESNET} --images cifar10/test.parquet --limit 4 --maps saliency.npy",
            "iconoscope faithfulness --network cars-honest --images photographs/ --maps occlusion,captum:DeepLift",
        ),
        _STORE,
    ),
    "optimize": Command(
        "iconoscope.optimization:optimize",
        "Make the picture that a unit answers most: what does it look for?",
        printing.visualization,
        (
            "iconoscope optimize logit:bird --network cifar10",
            f'iconoscope optimize "2*logit:bird - logit:truck" {_RESNET} --count 6 --diversity 10',
            f"iconoscope optimize layer3.2.conv2:* {_RESNET}",
            "iconoscope optimize logit:truck --network cifar10 --prior cifar10-refined --count 6",
        ),
        {**_STORE, "out": "optimize.png"},
        ("unit",),
    ),
    "styles": Command(
        "iconoscope.optimization:compare_styles",
        "The pictures of one unit in several styles: what does each kind of regularisation do?",
        printing.results,
        (
            "iconoscope styles logit:deer --network cifar10",
            "iconoscope styles logit:truck --network cifar10 --prior cifar10-refined --count 2",
            f"iconoscope styles logit:truck {_RESNET} --styles none,blur,robust --judge cifar10",
        ),
        {**_STORE, "out": "styles.png"},
        ("unit",),
    ),
    "dream": Command(
        "iconoscope.optimization:dream",
        "Let a layer see more of what it sees in a photograph (DeepDream).",
        printing.results,
        ("iconoscope dream features.10 --network squeezenet.py:squeezenet --image dragonfly.jpg --size 288",),
        {**_STORE, "out": "dream.png"},
        ("unit",),
    ),
    "invert": Command(
        "iconoscope.optimization:invert",
        "What of a photograph is left in each layer? Pictures that a layer answers as it does the photograph.",
        printing.results,
        (
            "iconoscope invert --network cars-honest --image photographs/lynx/lynx-0001.png",
            f"iconoscope invert --layers layer2,layer3,logits {_RESNET} --image plane.png --count 3",
            "iconoscope invert --layers block4 --network cifar10 --image plane.png --prior cifar10-refined",
        ),
        {**_STORE, "out": "invert.png"},
    ),
    "fool": Command(
        "iconoscope.optimization:fool",
        "The smallest change of a photograph after which another class is answered, and what is left of it.",
        printing.results,
        (
            "iconoscope fool bison --network cars --image photographs/lynx/lynx-0001.png --judge cars-honest",
            f"iconoscope fool truck {_RESNET} --image plane.png --judge cifar10 --probability 0.9",
            "iconoscope fool truck --network cifar10 --image noise",
        ),
        {**_STORE, "out": "fool.png"},
        ("target",),
    ),
    "record": Command(
        "iconoscope.exemplars:record",
        "Show all images of a set once and keep what every unit answers: top, map and find ask of that.",
        printing.recording,
        (
            f"iconoscope record {_RESNET} --images cifar10/test.parquet",
            "iconoscope record --network cars --images photographs/ --layers relu2,relu3",
            f"iconoscope record {_RESNET} --images cifar10/test.parquet --part 3/64",
            f"iconoscope record {_RESNET} --images cifar10/test.parquet --engine ray --address auto",
        ),
        _STORE,
    ),
    "top": Command(
        "iconoscope.exemplars:top_images",
        "The images that a unit answers most and least, and steps between.",
        printing.results,
        ("iconoscope top layer3.2:8", "iconoscope top logit:truck --k 18 --steps 0"),
        {**_STORE, "out": "top.png"},
        ("unit",),
    ),
    "map": Command(
        "iconoscope.exemplars:map_images",
        "A map of the images: near each other is what the network answers alike.",
        printing.image_map,
        (
            "iconoscope map",
            "iconoscope map --method som --cells 20x30 --topology hexagonal --out som.png",
            "iconoscope map --grid --vectors layer3.0 --out grid.png",
        ),
        {**_STORE, "out": "map.html"},
    ),
    "find": Command(
        "iconoscope.exemplars:find_units",
        "Which units answer a concept and nothing else? The Jennifer Aniston neuron.",
        printing.results,
        ("iconoscope find truck", "iconoscope find dark.txt --correction bh"),
        {**_STORE, "out": "find.png"},
        ("concept",),
    ),
    "activations": Command(
        "iconoscope.exemplars:activation_maps",
        "What every channel of a layer answers to one image, the brightest first.",
        printing.results,
        ("iconoscope activations relu2 --network cars --images photographs/lynx/lynx-0001.png",),
        {**_STORE, "out": "activations.png"},
        ("layer",),
    ),
    "concepts": Command(
        "iconoscope.representation:concepts",
        "Take a layer's answers to a class apart into concepts: what is the class made of, and what without each?",
        printing.results,
        (
            f"iconoscope concepts layer3 ship {_RESNET} --images cifar10/test.parquet --limit 3000",
            "iconoscope concepts relu3 lynx --network cars-honest --images photographs/ --count 4",
        ),
        {**_STORE, "out": "concepts.png"},
        ("layer", "cls"),
    ),
    "atlas": Command(
        "iconoscope.representation:activation_atlas",
        "Lay out what a layer can answer, with a picture made for every part of it.",
        printing.results,
        (
            f"iconoscope atlas layer3 {_RESNET} --images cifar10/test.parquet",
            "iconoscope atlas layer4 --network timm:resnet18.a1_in1k --images photographs/ --positions 8 --size 112",
        ),
        {**_STORE, "out": "atlas.html"},
        ("layer",),
    ),
    "feeds": Command(
        "iconoscope.representation:feeds",
        "Which units before it drive a unit or hold it back, and what does each add on an image?",
        printing.results,
        (
            f"iconoscope feeds layer3.2:17 {_RESNET} --image ship.png",
            "iconoscope feeds logit:lynx --network cars-honest --k 12",
        ),
        {**_STORE, "out": "feeds.png"},
        ("unit",),
    ),
    "prior fit": Command(
        "iconoscope.priors:fit_prior",
        "Learn from images what images may be, so that pictures are made along it.",
        printing.prior,
        (
            "iconoscope prior fit --images photographs/ --size 64 --out photographs.safetensors",
            "iconoscope optimize logit:cat --network cats.py:build --prior photographs.safetensors",
        ),
        {"out": "prior.safetensors"},
    ),
    "audit": Command(
        "iconoscope.auditing:audit",
        "All three techniques and a conclusion: does the network go by the object, or by a shortcut?",
        printing.audit,
        (
            "iconoscope audit --network cars --images photographs/ --masks masks/",
            f"iconoscope audit {_RESNET} --images cifar10/test.parquet --quick --lang es --fail-on shortcut,mixed",
        ),
        {**_STORE, "out": "audit.html"},
    ),
    "profile": Command(
        "iconoscope.auditing:profile",
        "On which images is the network wrong? Its accuracy against what images are like.",
        printing.results,
        ("iconoscope profile", "iconoscope profile brightness,sharpness --bins 5 --out profile.png"),
        {**_STORE, "out": "profile.png"},
        ("properties",),
    ),
    "explore": Command(
        "iconoscope.explorer:explore",
        "Move about in a network in the browser, and drag the patch with the mouse.",
        printing.explored,
        (
            "iconoscope explore --network cars --images photographs/",
            f"iconoscope explore {_RESNET} --images cifar10/test.parquet --compare after=fine-tuned.safetensors",
            "iconoscope explore --store iconoscope-run --read-only",
        ),
        _STORE,
    ),
    "report": Command(
        "iconoscope.show.store_page:store_page",
        "Write what was found as one HTML page.",
        printing.page,
        ("iconoscope report --store iconoscope-run",),
        _STORE,
        synonyms={"out": "path"},
    ),
}

# A parameter of this name is not an option of its own: it is made by a function, whose options the command takes over.
MAKERS = {
    "network": "iconoscope.subject.network:load_network",
    "images": "iconoscope.subject.images:load_images",
    "recording": "iconoscope.exemplars:load_recording",
}
