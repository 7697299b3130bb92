"""Concepts against craft-xai on the same activations: are the factors equal, and what do both say that each counts?

``python -m benchmarks.concepts`` writes benchmarks/results/concepts.json. craft-xai 0.0.3 is not among our extras, as it is
installed without what it names: ``pip install --no-deps Craft-xai``.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

import iconoscope as ico
from benchmarks.figures import machine
from benchmarks.occlusion import find_data
from iconoscope.extras import import_extra
from iconoscope.representation.factors import amounts, cosines_to, factorize
from iconoscope.subject.response import activations

RESULTS = Path(__file__).parent / "results" / "concepts.json"
ROOT = Path(__file__).parent.parent
COUNT = 6
ROUNDS = 200
"""Where craft-xai stops, as scikit-learn does if nothing else is said."""
PATCH = 16
"""Pixels of the side of craft-xai's crops, which it enlarges to the size of the network's input."""


def compare(network: ico.Network, images: ico.Images, layer: str, cls: str) -> dict[str, Any]:
    """Give the cosines of the factors of both, and the rank correlation of what each counts for, without its sign."""
    from scipy.stats import spearmanr

    # Its sampler imports TensorFlow for a sequence that is not used here.
    sys.modules.setdefault("tensorflow", ModuleType("tensorflow"))
    craft = import_extra("craft.craft_torch", "bench", "craft-xai (pip install --no-deps Craft-xai)")
    pictures = np.stack([network.preprocessing.shown(image) for image in images.readable()])
    batch = network.preprocessing.normalise(pictures)

    def to_layer(crops: torch.Tensor) -> torch.Tensor:
        with network.questioned(), torch.inference_mode():
            return activations(network, crops, layer)

    def to_logits(maps: torch.Tensor) -> torch.Tensor:
        return network.module.get_submodule("linear")(maps.mean((2, 3)))

    np.random.seed(0)
    theirs = craft.Craft(to_layer, to_logits, COUNT, patch_size=PATCH, device="cpu")
    begun = time.process_time()
    crops, _, factors = theirs.fit(batch)
    fitted = time.process_time() - begun
    enlarged = torch.nn.functional.interpolate(crops, size=batch.shape[2:], mode="bilinear", align_corners=False)
    vectors = torch.cat([to_layer(part).mean((2, 3)) for part in enlarged.split(64)]).numpy()
    equally_long = factorize(vectors, COUNT, seed=0, rounds=ROUNDS)
    to_the_end = factorize(vectors, COUNT, seed=0)
    lengths = np.linalg.norm(factors, axis=1)
    directions = factors / lengths[:, None]

    maps = to_layer(batch)
    begun = time.process_time()
    sobol = theirs.estimate_importance(batch, network.class_index(cls))
    sobol_seconds = time.process_time() - begun
    places = maps.permute(0, 2, 3, 1).numpy()
    weights = amounts(places.reshape(-1, places.shape[3]), directions).reshape(*places.shape[:3], COUNT)
    begun = time.process_time()
    clean = to_logits(maps)[:, network.class_index(cls)]
    losses = [
        float(
            (clean - to_logits(maps - torch.from_numpy(part).permute(0, 3, 1, 2))[:, network.class_index(cls)]).mean()
        )
        for part in (weights[..., [k]] * directions[k] for k in range(COUNT))
    ]
    return {
        "layer": layer,
        "class": cls,
        "images": len(pictures),
        "crops": len(crops),
        "least_cosine": float(cosines_to(directions, equally_long).min()),
        "least_cosine_converged": float(cosines_to(directions, to_the_end).min()),
        "sobol": [float(value) for value in sobol],
        "losses": losses,
        "rank_correlation": float(np.asarray(spearmanr(sobol, np.abs(losses)))[0]),
        "seconds": {"craft fit": fitted, "craft importance": sobol_seconds, "removal": time.process_time() - begun},
    }


def main() -> None:
    """Measure and write."""
    data = find_data()
    network = ico.load_network(
        f"{ROOT / 'examples' / 'resnet20.py'}:resnet20",
        checkpoint=data / "weights" / "resnet20_cifar10.safetensors",
        device="cpu",
    )
    images = ico.load_images(data / "cifar10" / "folder")
    rows = [compare(network, images.where(label=cls), "layer3", cls) for cls in ("ship", "truck", "bird")]
    RESULTS.write_text(json.dumps({"machine": machine("scikit-learn"), "concepts": rows}, indent=1) + "\n", "utf-8")
    for row in rows:
        print(row)


if __name__ == "__main__":
    main()
