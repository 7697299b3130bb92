"""iconoscope: what did a trained image network learn?

>>> import iconoscope as ico
>>> net = ico.load_network("cars")
>>> images = ico.demo_images(2, seed=0)
>>> ico.predict(net, images).shape
(2, 2)

The public names are resolved when they are first used: importing the package imports neither torch nor anything else that
takes time.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "Agreement": "iconoscope.results",
    "Attribution": "iconoscope.results",
    "Audit": "iconoscope.results",
    "CONDITIONS": "iconoscope.results",
    "ComparedMaps": "iconoscope.results",
    "Curves": "iconoscope.results",
    "Exchange": "iconoscope.results",
    "Exemplars": "iconoscope.results",
    "FAMILIES": "iconoscope.auditing",
    "Family": "iconoscope.auditing",
    "IconoscopeError": "iconoscope.errors",
    "IconoscopeWarning": "iconoscope.errors",
    "Image": "iconoscope.subject.images",
    "ImageMap": "iconoscope.results",
    "Images": "iconoscope.subject.images",
    "Look": "iconoscope.results",
    "MeanMap": "iconoscope.results",
    "Network": "iconoscope.subject.network",
    "Objective": "iconoscope.optimization",
    "Occlusion": "iconoscope.results",
    "Preprocessing": "iconoscope.subject.network",
    "Prior": "iconoscope.priors",
    "Question": "iconoscope.results",
    "Recording": "iconoscope.results",
    "Scales": "iconoscope.results",
    "Store": "iconoscope.results",
    "Unit": "iconoscope.vocabulary.unit",
    "UnitSearch": "iconoscope.results",
    "Visualization": "iconoscope.results",
    "activation_maps": "iconoscope.exemplars",
    "agree": "iconoscope.occlusion",
    "attribute": "iconoscope.occlusion",
    "audit": "iconoscope.auditing",
    "audit_page": "iconoscope.show",
    "compare_maps": "iconoscope.occlusion",
    "compare_styles": "iconoscope.optimization",
    "curves": "iconoscope.occlusion",
    "decoder_prior": "iconoscope.priors",
    "demo": "iconoscope.demo",
    "demo_images": "iconoscope.demo",
    "diffusion_prior": "iconoscope.priors",
    "direction": "iconoscope.optimization",
    "dream": "iconoscope.optimization",
    "errors": "iconoscope.errors",
    "exchange": "iconoscope.occlusion",
    "find_units": "iconoscope.exemplars",
    "first_filters": "iconoscope.exemplars",
    "fit_prior": "iconoscope.priors",
    "interpolate": "iconoscope.optimization",
    "layers": "iconoscope.subject.network",
    "load_images": "iconoscope.subject.images",
    "load_network": "iconoscope.subject.network",
    "load_prior": "iconoscope.priors",
    "load_recording": "iconoscope.exemplars",
    "load_result": "iconoscope.results",
    "look": "iconoscope.occlusion",
    "looks_at_object": "iconoscope.occlusion",
    "map_images": "iconoscope.exemplars",
    "map_page": "iconoscope.show",
    "mean_map": "iconoscope.occlusion",
    "occlude": "iconoscope.occlusion",
    "occlude_each": "iconoscope.occlusion",
    "occlude_scales": "iconoscope.occlusion",
    "optimize": "iconoscope.optimization",
    "place_images": "iconoscope.exemplars",
    "predict": "iconoscope.subject.predict",
    "record": "iconoscope.exemplars",
    "refine": "iconoscope.occlusion",
    "region": "iconoscope.optimization",
    "report": "iconoscope.show",
    "save_prior": "iconoscope.priors",
    "show_progress": "iconoscope.progress",
    "top_images": "iconoscope.exemplars",
    "unit": "iconoscope.optimization",
}

__all__ = [  # noqa: RUF022 (in the order of use)
    "load_network", "load_images", "demo_images", "predict", "layers",
    "occlude", "occlude_each", "occlude_scales", "refine", "agree", "mean_map", "curves", "exchange", "look", "looks_at_object",
    "attribute", "compare_maps",
    "optimize", "compare_styles", "dream", "unit", "direction", "region", "interpolate", "Objective",
    "fit_prior", "decoder_prior", "diffusion_prior", "load_prior", "save_prior", "Prior",
    "record", "load_recording", "top_images", "map_images", "place_images", "find_units", "activation_maps", "first_filters",
    "audit", "Family", "FAMILIES",
    "report", "map_page", "audit_page",
    "Network", "Preprocessing", "Image", "Images", "Unit",
    "Occlusion", "Scales", "Agreement", "Attribution", "MeanMap", "Curves", "Exchange", "Look", "Visualization",
    "Recording", "Exemplars", "ImageMap", "UnitSearch", "Audit", "ComparedMaps",
    "CONDITIONS",
    "Question",
    "Store", "load_result",
    "IconoscopeError", "IconoscopeWarning", "errors", "show_progress", "demo", "__version__",
]  # fmt: skip

if TYPE_CHECKING:
    from iconoscope import demo, errors
    from iconoscope.auditing import FAMILIES, Family, audit
    from iconoscope.demo import demo_images
    from iconoscope.errors import IconoscopeError, IconoscopeWarning
    from iconoscope.exemplars import (
        activation_maps,
        find_units,
        first_filters,
        load_recording,
        map_images,
        place_images,
        record,
        top_images,
    )
    from iconoscope.occlusion import (
        agree,
        attribute,
        compare_maps,
        curves,
        exchange,
        look,
        looks_at_object,
        mean_map,
        occlude,
        occlude_each,
        occlude_scales,
        refine,
    )
    from iconoscope.optimization import Objective, compare_styles, direction, dream, interpolate, optimize, region, unit
    from iconoscope.priors import Prior, decoder_prior, diffusion_prior, fit_prior, load_prior, save_prior
    from iconoscope.progress import show_progress
    from iconoscope.results import (
        CONDITIONS,
        Agreement,
        Attribution,
        Audit,
        ComparedMaps,
        Curves,
        Exchange,
        Exemplars,
        ImageMap,
        Look,
        MeanMap,
        Occlusion,
        Question,
        Recording,
        Scales,
        Store,
        UnitSearch,
        Visualization,
        load_result,
    )
    from iconoscope.show import audit_page, map_page, report
    from iconoscope.subject.images import Image, Images, load_images
    from iconoscope.subject.network import Network, Preprocessing, layers, load_network
    from iconoscope.subject.predict import predict
    from iconoscope.vocabulary.unit import Unit


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        from iconoscope.errors import RemovedNameError
        from iconoscope.removed_names import REMOVED_NAMES

        if name in REMOVED_NAMES:
            raise RemovedNameError(f"iconoscope.{name} has gone.", hint=REMOVED_NAMES[name])
        raise AttributeError(f"module 'iconoscope' has no attribute {name!r}")
    home = importlib.import_module(_HOME[name])
    value = home if _HOME[name] == f"iconoscope.{name}" else getattr(home, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
