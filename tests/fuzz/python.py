"""Cases of Python: every argument of every public function with a value of another type, size or kind."""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fuzz.options import FILES, TEXTS, forget

if TYPE_CHECKING:
    from fuzz.run import Case


def values() -> list[Any]:
    """Give what may stand where something else should."""
    import torch

    return [
        None, True, False, 0, 1, -1, 2**31, 2**63, 10**30, 10**400, 0.5, -0.5, 1e308, 1e-320, float("nan"), float("inf"),
        -float("inf"), 1 + 2j,
        np.int64(2), np.float32(0.5), np.bool_(True), np.array(2), np.array([2, 2]), torch.tensor(2), torch.tensor([1.0,
        2.0]), "2", "0.5", b"bytes", "",
        [], [1], (), (1, 2), (1, 2, 3), {}, {"a": 1}, {1, 2}, object(), int, len, lambda *a: None, range(3), iter([1]),
        np.zeros((0, 8, 8, 3), np.uint8), np.zeros((2, 8, 8, 3), np.uint8), np.full((8, 8, 3), np.nan), np.zeros((8, 8, 3),
        object),
        np.array("text"), np.zeros((8, 8), np.complex64), Path("x"), Path("\0"), Path("~nouser/x"), [[1, 2], [3]], [None],
        ["x", 1], Ellipsis, Exception("x"),
        np.datetime64("2020-01-01"), 10**6, (10**6, 10**6), [10**9], "a" * 100_000, "\ud800",
    ]  # fmt: skip


def calls() -> dict[str, tuple[Callable[..., Any], dict[str, Any]]]:
    """Give the public functions, each with arguments that it answers."""
    import iconoscope as ico

    network = ico.load_network("cars-honest", device="cpu")
    images = ico.load_images("photographs", limit=2)
    recording = ico.load_recording("recorded")
    plane = ico.map_images(recording, "pca")
    patch = {"patch": 48, "stride": 48}
    return {
        "load_network": (ico.load_network, {"network": "cars", "device": "cpu"}),
        "load_images": (ico.load_images, {"source": "photographs"}),
        "demo_images": (ico.demo_images, {"count": 2}),
        "predict": (ico.predict, {"network": network, "images": images}),
        "layers": (ico.layers, {"network": network}),
        "occlude": (ico.occlude, {"network": network, "images": images, **patch}),
        "occlude_each": (
            lambda **settings: list(ico.occlude_each(**settings)),
            {"network": network, "images": images, **patch},
        ),
        "refine": (lambda **settings: list(ico.refine(**settings)), {"network": network, "image": images[0], **patch}),
        "attribute": (ico.attribute, {"network": network, "images": images, "method": "captum:Saliency"}),
        "faithfulness": (ico.faithfulness, {"network": network, "images": images, "steps": 2, **patch}),
        "optimize": (ico.optimize, {"network": network, "unit": "logit:lynx", "steps": 1, "size": 16}),
        "compare_styles": (
            ico.compare_styles,
            {"network": network, "unit": "logit:lynx", "styles": ["none"], "steps": 1, "size": 16},
        ),
        "dream": (ico.dream, {"network": network, "image": images[0], "unit": "conv3", "steps": 1, "octaves": 1}),
        "invert": (ico.invert, {"network": network, "image": images[0], "layers": ["relu2"], "steps": 1}),
        "fool": (
            ico.fool,
            {
                "network": network,
                "image": images[0],
                "target": "lynx" if int(ico.predict(network, images[:1]).argmax()) else "bison",
                "beside": False,
                "steps": 1,
            },
        ),
        "unit": (ico.unit, {"name": "logit:lynx"}),
        "direction": (ico.direction, {"layer": "conv3", "vector": [1.0, 2.0]}),
        "region": (ico.region, {"name": "conv3:1", "rows": (0, 1), "columns": (0, 1)}),
        "interpolate": (ico.interpolate, {"first": "logit:0", "last": "logit:1", "steps": 2}),
        "fit_prior": (ico.fit_prior, {"images": images, "size": 16}),
        "load_prior": (ico.load_prior, {"path": "prior.safetensors"}),
        "record": (ico.record, {"network": network, "images": images, "store": "tried", "k": 1}),
        "load_recording": (ico.load_recording, {"recording": "recorded"}),
        "top_images": (ico.top_images, {"recording": recording, "unit": "logit:lynx", "k": 1}),
        "map_images": (ico.map_images, {"recording": recording, "method": "pca"}),
        "place_images": (ico.place_images, {"recording": recording, "old": plane, "old_recording": recording}),
        "profile": (ico.profile, {"recording": recording, "properties": ["brightness"], "bins": 2}),
        "concepts": (
            ico.concepts,
            {
                "network": network,
                "images": images,
                "layer": "relu2",
                "cls": "lynx",
                "count": 2,
                "over": "all",
                "resamples": 2,
                "steps": 0,
            },
        ),
        "feeds": (ico.feeds, {"network": network, "unit": "logit:lynx", "image": images[:1], "k": 2, "steps": 0}),
        "grid": (ico.grid, {"results": [ico.occlude(network, images[0], patch=48, stride=48)]}),
        "find_units": (ico.find_units, {"recording": recording, "concept": "lynx", "permutations": 9}),
        "activation_maps": (ico.activation_maps, {"network": network, "images": images, "layer": "relu2"}),
        "first_filters": (ico.first_filters, {"network": network}),
        "audit": (ico.audit, {"network": network, "images": images, "families": (), "quick": True}),
        "Store": (ico.Store, {"folder": "tried"}),
        "load_result": (ico.load_result, {"path": "run"}),
        "report": (ico.report, {"subject": "run", "out": "tried.html"}),
        "Images.sample": (images.sample, {"count": 1, "seed": 0}),
        "Images.where": (images.where, {"label": "lynx"}),
    }


def _call(function: Callable[..., Any], arguments: dict[str, Any]) -> object:
    try:
        function(**arguments)
        return None
    finally:
        forget()


def _parameters(function: Callable[..., Any], base: dict[str, Any], name: str) -> list[str]:
    import iconoscope as ico

    public = getattr(ico, name, function)
    parameters = inspect.signature(public).parameters.values()
    names = [parameter.name for parameter in parameters if parameter.kind is not parameter.VAR_KEYWORD]
    return names or list(base)


def cases(generator: random.Random, folder: Path) -> Iterator[Case]:
    """Give one argument of a function another value."""
    functions, others = calls(), values()
    while True:
        name, (function, base) = generator.choice(list(functions.items()))
        parameter = generator.choice(_parameters(function, base, name))
        value = generator.choice(others if generator.random() < 0.8 else (*TEXTS, *FILES))
        if (
            parameter in ("out", "store", "path", "folder")
            and isinstance(value, str)
            and not value.startswith(("\0", "~", "\ud800", "a" * 300))
        ):
            value = f"tried{value}"
        yield f"{name}({parameter}={value!r:.80})", partial(_call, function, {**base, parameter: value})
