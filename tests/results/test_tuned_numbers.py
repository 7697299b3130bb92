"""Numbers that were tuned, agreed or published: an answer depends on each, so none changes without being noticed."""

import importlib
import inspect

import numpy as np
import pytest

from iconoscope.results.decision_rule import ACCUSING, IMAGE_PARTS

NUMBERS = {
    "iconoscope.occlusion.geometry": {"PIXELS": 1_500_000},
    "iconoscope.occlusion.dense": {"MOST": 1024},
    "iconoscope.occlusion.faithfulness": {"DRAWS": 5},
    "iconoscope.occlusion.gradients": {"NOISE": 0.15},
    "iconoscope.occlusion.rectifiers": {"SMALL": 0.001, "LARGE": 1000},
    "iconoscope.subject.captured.capture": {"LARGEST_BATCH": 4096},
    "iconoscope.occlusion.incremental.exact": {
        "LEAST_GAIN": 1.15, "LEAST_WORK": 5e9, "EXPORTING": 10, "TOLERANCE": 1e-4, "RECENT_GRAPHS": 2,
    },
    "iconoscope.occlusion.incremental.fast": {"SHARES": (0.7, 0.85, 1), "TOLERABLE": 0.02, "SAMPLE": 0.03, "FEWEST": 5},
    "iconoscope.subject.captured.graph": {
        "CHANNELS_FIRST": (2, 3), "CHANNELS_LAST": (1, 2), "ZEROS": 0, "LOWEST": 1, "EDGE": 2, "TRACED": 2,
    },
    "iconoscope.occlusion.incremental.windows": {"LARGEST_SHARE": 0.85, "PADS": 2},
    "iconoscope.optimization.scores": {"LEAST_COSINE": 0.1, "BELOW_ZERO": 0.1},
    "iconoscope.optimization.transforms": {"NUMBERS": 6},
    "iconoscope.optimization.canvas": {
        "NEAREST": 0.001, "IMAGENET": ((0.26, 0.09, 0.02), (0.27, 0, -0.05), (0.27, -0.09, 0.03)),
    },
    "iconoscope.optimization.frozen": {"NARROW": 4},
    "iconoscope.optimization.objective": {"INTERPOLATED": 10_000},
    "iconoscope.optimization.latent_parameterization": {"CAP": 1.2, "STEPS": (100, 200), "SAMPLES": 32},
    "iconoscope.optimization.reference_activations": {"OWN": 90, "ALL": 99},
    "iconoscope.exemplars.activation_summary": {"_FEW": 256},
    "iconoscope.exemplars.top_k": {"EMPTY": -(2**63), "_LAST": 2**32 - 1},
    "iconoscope.exemplars.roc_area": {"_CHUNK": 32_000_000},
    "iconoscope.exemplars.som": {"LARGEST": 10_000, "_CHUNK": 16_000_000},
    "iconoscope.exemplars.nearest_neighbours": {"_LOST": 1e-4},
    "iconoscope.exemplars.tsne": {
        "SEEDS": 2**32, "WHOLE": 100_000, "SAMPLE": 50_000, "FINE": 10, "_PAIRS_A_THREAD": 50_000, "_EARLY": 250, "_BESIDE": 3,
    },
    "iconoscope.exemplars.approximate_neighbours": {"EXACT": 50_000, "_LINKS": 16, "_LOOKED_AT": 64},
    "iconoscope.exemplars.grid_assignment": {"_WHOLE": 800},
    "iconoscope.exemplars.shard": {
        "_MERGED": 16, "_SAMPLED_EVERY": 4, "_SAMPLED": 4096, "_CUT": 21, "_ONE": 508, "_REACH": 128,
    },
    "iconoscope.exemplars.find": {
        "_FEWEST": 8, "_SHOWN": 6, "_STRIP": 8, "_CONCEPT": 12, "_POINTS": 201, "_LARGEST": 128,
    },
    "iconoscope.exemplars.map": {"_TRUSTED": 15, "_NEIGHBOURS": 8, "_MOST": 2000, "_FEWEST": 500, "_SURE": 100_000},
    "iconoscope.results.decision_rule": {
        "LEAST_IMAGES": 30, "LEAST_EXCESS": 0.115, "LEAST_EACH_WAY": 0.075, "STANDARD_ERRORS": 3, "LEAST_AREA": 0.68,
        "LEAST_CONFLICTING": 15, "LEAST_LOSS": 0.12, "BACKGROUND_EXCESS": 0.2, "BACKGROUND_EACH_WAY": 0.1,
        "OBJECT_EXCESS": 0.25, "NEARLY_AS_MUCH": 0.8, "MIXED_BELOW": 0.5, "OBJECTS_KNOWN": 0.5, "_FEWEST_EACH": 5,
    },
    "iconoscope.results.hypothesis_rule": {
        "LEAST_EACH_WAY": 0.03, "LEAST_EACH_WAY_OF_PIXELS": 0.12, "STANDARD_ERRORS": 3, "FEW": 5,
        "TELLING_AREA": 0.96, "ONE_WAY": 0.15, "LENT": 80, "MARGIN_ALLOWANCE": 0.12, "TELLING_ALONE": 0.97,
        "_NEAR": 0.5, "_NEAR_AREA": 0.03, "_AGREEING": 2 / 3,
    },
    "iconoscope.auditing.hypotheses.telling_pixels": {"_SHARE": 0.06, "_SMOOTHED": 0.7, "_FILLED": 2.5},
    "iconoscope.auditing.hypotheses.tone": {"_CONTROLS": 2, "_RIDGE": 0.1, "_LEAST_VARIANCE": 1e-4},
    "iconoscope.results.estimate": {"_LEVEL": 0.95},
    "iconoscope.results.object_evidence": {"_ROUNDING": 1e-9},
    "iconoscope.results.mean_map": {"LEAST_RANGE": 0.05, "_SHOWN": 16},
    "iconoscope.auditing.illumination": {"_DARK": 0.02},
    "iconoscope.auditing.image_quality": {
        "_SMALL": 1e-5, "_SIGMAS": (0.3, 0.4, 0.5, 0.6, 0.7, 0.85, 1, 1.2, 1.4, 1.7, 2, 2.5),
        "_QUALITIES": (4, 7, 10, 14, 20, 30, 45, 65, 85), "_WIENER": 0.004,
    },
    "iconoscope.auditing.overlays": {"_SMALL": 1e-5, "_STRONG": 0.15, "_CORNER": 0.25},
    "iconoscope.auditing.interventions": {"_BATCH": 64},
    "iconoscope.auditing.segmentation": {
        "_FRAME": 0.05, "_RING": 0.16, "_SAMPLE": 1500, "_PLAIN": 0.05, "_PLAIN_MOST": 0.125, "_ELSE": 0.13, "_TRIM": 0.35,
        "_SHARE": (0.015, 0.75),
    },
    "iconoscope.priors.gaussian": {"PACE": 0.1, "QUICKER": 3, "CODE": 1 / 16},
    "iconoscope.priors.principal_components": {"FLOOR": 0.001, "TOGETHER": 4096},
    "iconoscope.priors.decoder": {"MOST": 2000, "SEARCH": 200, "RATE": 0.1, "LIKELY": 0.001},
    "iconoscope.priors.refiner": {"WIDTHS": (24, 48, 80), "CRITIC_WIDTHS": (48, 96, 160), "SLOPE": 0.2},
    "iconoscope.priors.plausibility": {"NEIGHBOURS": 3, "SIDE": 32, "SPREAD_SAMPLE": 300},
    "iconoscope.subject.activation_layout": {"MOST_PREFIXED": 8},
    "iconoscope.subject.network.preprocessing": {"GREY": (0.299, 0.587, 0.114), "_LARGE": 64_000_000},
}  # fmt: skip


@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_is_what_was_agreed(name):
    module = importlib.import_module(name)
    for number, agreed in NUMBERS[name].items():
        assert np.array_equal(np.asarray(getattr(module, number)), np.asarray(agreed)), number


DEFAULTS = {
    "iconoscope.occlusion.faithfulness.faithfulness": {"steps": 32},
    "iconoscope.occlusion.incremental.windows.arrange_windows": {"grain": (1, 1)},
    "iconoscope.optimization.loop.adam": {"steps": 1, "fade": 1},
    "iconoscope.optimization.objective.direction": {"cosine": 0},
    "iconoscope.exemplars.roc_area.rank_test": {"permutations": 999, "seed": 0},
    "iconoscope.exemplars.roc_area.recalls": {"share": 0.01},
    "iconoscope.exemplars.som.fit_som": {"epochs": 10, "topology": "rectangular"},
    "iconoscope.exemplars.nearest_neighbours.trustworthiness": {"k": 15, "sample": 2000, "seed": 0},
    "iconoscope.exemplars.find.find_units": {"level": 0.05, "permutations": 999, "seed": 0, "correction": "max"},
    "iconoscope.exemplars.map.map_images": {"iterations": 250, "epochs": 10, "grid": False, "seed": 0},
    "iconoscope.exemplars.map.place_images": {"seed": 0},
    "iconoscope.results.decision_rule.conclude": {"hypotheses": None},
    "iconoscope.subject.probe.watching": {"before_call": False},
    "iconoscope.subject.probe.probe": {"before_relu": False},
    "iconoscope.subject.network.preprocessing.read_size": {"least": 1},
}


@pytest.mark.parametrize("name", DEFAULTS)
def test_what_is_not_said_is_what_was_agreed(name):
    module, _, function = name.rpartition(".")
    parameters = inspect.signature(getattr(importlib.import_module(module), function)).parameters
    assert {setting: parameters[setting].default for setting in DEFAULTS[name]} == DEFAULTS[name]


def test_words_that_accuse_are_the_gravest_first():
    assert ACCUSING == ("shortcut", "unnamed", "mixed") and IMAGE_PARTS == ("background", "object")
