"""The question: which of several methods has the better map of one image?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack, overload

from iconoscope.errors import QuestionError, nearest
from iconoscope.occlusion.attribute import METHODS
from iconoscope.occlusion.curves import curves
from iconoscope.occlusion.query import is_one, save_figures
from iconoscope.progress import track
from iconoscope.results import ComparedMaps, Curves
from iconoscope.results.result import check_figure_name
from iconoscope.store import Store
from iconoscope.subject.images import Image, Images, load_images
from iconoscope.subject.network import Network
from iconoscope.vocabulary.unit import Unit

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

__all__ = ["OCCLUSION", "compare_maps"]

OCCLUSION = "occlusion"
"""The name of our own map among the methods."""


class Settings(TypedDict, total=False):
    """The settings of `compare_maps`."""

    methods: Sequence[str]
    patch: int | tuple[int, int] | None
    stride: int | tuple[int, int] | None
    fill: str | Path
    steps: int
    seed: int
    out: str | Path | None
    store: Store | str | Path | None


@overload
def compare_maps(
    network: Network, images: Image | PillowImage, unit: str | Unit | None = None, **settings: Unpack[Settings]
) -> ComparedMaps: ...
@overload
def compare_maps(
    network: Network,
    images: Images | Sequence[Any] | Path,
    unit: str | Unit | None = None,
    **settings: Unpack[Settings],
) -> list[ComparedMaps]: ...
@overload
def compare_maps(
    network: Network, images: Any, unit: str | Unit | None = None, **settings: Unpack[Settings]
) -> Any: ...
def compare_maps(
    network: Network,
    images: Any,
    unit: str | Unit | None = None,
    *,
    methods: Sequence[str] = (OCCLUSION, "captum:IntegratedGradients", "captum:Saliency", "captum:LayerGradCam"),
    patch: int | tuple[int, int] | None = None,
    stride: int | tuple[int, int] | None = None,
    fill: str | Path = "mean",
    steps: int = 32,
    seed: int = 0,
    out: str | Path | None = None,
    store: Store | str | Path | None = None,
) -> ComparedMaps | list[ComparedMaps]:
    """Make the maps of several methods and delete and insert the pixels in the order of each.

    Every map is scored as `curves` scores it, with the same map moved elsewhere beside it.

    Parameters
    ----------
    network
        The network.
    images
        One image, or a set of them.
    unit
        The unit that is asked: prob:truck, logit:truck, layer2.0.conv1:17 and so on. If not given, the probability of the
        image's label or, if it has none, of the class that the network predicts.
    methods
        Which maps: occlusion, and the methods of `attribute`: occlusion,captum:Saliency (in Python a tuple).
    patch
        Side of the patch of the occlusion map, or height and width as 8x12 (in Python (8, 12)), in pixels of the network's
        input. If not given, a sixth of its short side.
    stride
        Step of the occlusion map from one position to the next, likewise. If not given, a quarter of the patch.
    fill
        What deletion, and the patch, put in place of a pixel: mean, zero, black, blur, noise, or an image.
    steps
        How many steps of equal size the curves have.
    seed
        Seed of the places that a map is moved to, and of what a method draws.
    out
        Where to write the figure: a name ending in .png, .pdf, .svg, .jpg or .webp. Where there are several images, their
        places in the set are put before the ending: maps-1.png, maps-2.png.
    store
        Folder where the answers are looked for first, and kept: every map, and its curves.

    Returns
    -------
    ComparedMaps or list of ComparedMaps
        One for one image, a list for a set. Images that cannot be read, or of which a map ranks no pixel before another, are
        left out with a warning.

    Raises
    ------
    QuestionError
        If a method or another setting is no choice.

    Examples
    --------
    >>> import iconoscope as ico
    >>> net = ico.load_network("cars-honest", device="cpu")
    >>> image = ico.demo_images(2, seed=1)[0]
    >>> found = ico.compare_maps(net, image, methods=("occlusion", "captum:Saliency"), patch=24, stride=12, steps=8)
    >>> found.names
    ['occlusion', 'Saliency']
    """
    check_figure_name(out)
    known = (OCCLUSION, *METHODS)
    if isinstance(methods, str) or not methods or len(set(methods)) != len(methods):
        raise QuestionError(f"methods={methods!r} must be methods, each named once.", hint=f"As {','.join(known[:3])}.")
    for method in methods:
        if method not in known:
            raise QuestionError(f"methods={method!r} is not a choice.", hint=nearest(method, known))
    pictures = load_images(images)
    found: dict[str, list[Curves]] = {}
    for method in track(methods, "methods"):
        ours = method == OCCLUSION
        scored = curves(
            network,
            pictures,
            None if ours else method,
            unit,
            patch=patch,
            stride=stride if ours else None,
            fill=fill,
            steps=steps,
            seed=seed,
            store=store,
        )
        for one in scored:
            found.setdefault(one.question.subject, []).append(one)
    compared = [ComparedMaps(tuple(each)) for each in found.values() if len(each) == len(methods)]
    if is_one(images) and not compared:
        raise QuestionError("A map of the image ranks no pixel before another: there is nothing to compare.")
    save_figures(compared, out)
    return compared[0] if is_one(images) else compared
