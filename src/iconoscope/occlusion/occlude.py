"""Region occlusion: cover one region after another and ask again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack, overload

import iconoscope
from iconoscope.errors import QuestionError, shortened, warn
from iconoscope.language import check_language, in_language
from iconoscope.occlusion.fills import FillLike
from iconoscope.occlusion.geometry import Sides, make_grid
from iconoscope.occlusion.mean_map import average_maps
from iconoscope.occlusion.query import (
    NO_OBJECT,
    fitted_object,
    is_one,
    labels_of,
    save_figures,
    say_unlabelled,
    with_figures,
)
from iconoscope.occlusion.sliding_patch import OnePatch, SlidingPatch, patch_questions
from iconoscope.progress import track
from iconoscope.results import MeanMap, Occlusion, OcclusionSeries
from iconoscope.results.result import PAGES, check_figure_name, is_page
from iconoscope.signatures import checked, complete, spelled_out
from iconoscope.store import Store
from iconoscope.subject.images import Image, Images, load_images
from iconoscope.subject.memory import check_fits
from iconoscope.subject.network import Network
from iconoscope.vocabulary.unit import Unit

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

__all__ = ["occlude", "occlude_each", "refine"]

# A list of a union is not a list of one of its members, to a type checker; so each is named.
Patches = list[int] | list[tuple[int, int]] | list[Sides]
Fills = list[str] | list[FillLike]
OneOrSeveral = SlidingPatch[Sides | Patches | None, FillLike | Fills]


@overload
def occlude(  # pyright: ignore[reportOverlappingOverload]  (without a list this form is the one that is meant)
    network: Network,
    images: Image | PillowImage,
    unit: str | Unit | None = None,
    *,
    mean: Literal[False] = False,
    out: str | Path | None = None,
    lang: str | None = None,
    **settings: Unpack[OnePatch],
) -> Occlusion: ...
@overload
def occlude(
    network: Network,
    images: Image | PillowImage,
    unit: str | Unit | None = None,
    *,
    mean: Literal[False] = False,
    out: str | Path | None = None,
    lang: str | None = None,
    **settings: Unpack[OneOrSeveral],
) -> OcclusionSeries: ...
@overload
def occlude(  # pyright: ignore[reportOverlappingOverload]  (without a list this form is the one that is meant)
    network: Network,
    images: Images | Sequence[Any] | Path,
    unit: str | Unit | None = None,
    *,
    mean: Literal[False] = False,
    out: str | Path | None = None,
    lang: str | None = None,
    **settings: Unpack[OnePatch],
) -> list[Occlusion]: ...
@overload
def occlude(
    network: Network,
    images: Images | Sequence[Any] | Path,
    unit: str | Unit | None = None,
    *,
    mean: Literal[False] = False,
    out: str | Path | None = None,
    lang: str | None = None,
    **settings: Unpack[OneOrSeveral],
) -> list[OcclusionSeries]: ...
@overload
def occlude(
    network: Network,
    images: Any,
    unit: None = None,
    *,
    mean: Literal[True],
    out: str | Path | None = None,
    lang: str | None = None,
    **settings: Unpack[OnePatch],
) -> MeanMap: ...
@overload
def occlude(
    network: Network,
    images: Any,
    unit: str | Unit | None = None,
    *,
    mean: bool = False,
    out: str | Path | None = None,
    lang: str | None = None,
    **settings: Unpack[OneOrSeveral],
) -> Any: ...
@checked
@spelled_out
def occlude(
    network: Network,
    images: Any,
    unit: str | Unit | None = None,
    *,
    mean: bool = False,
    out: str | Path | None = None,
    lang: str | None = None,
    **settings: Unpack[OneOrSeveral],
) -> Any:
    """Slide a patch over an image and plot the probability of the right class against its position.

    Where the probability falls is what the network looked at (Zeiler and Fergus 2014, "Visualizing and Understanding
    Convolutional Networks", section 4.2). The answers of all classes are kept, and nothing is normalised. With several patches
    it is seen whether the cue is as small as a wheel or as large as the car; with several fills, whether what is seen is robust
    or depends on the fill. The mean over a set shows a cue that is always in one place, such as a tag in the corner. With
    `keep` the patch is all that is left of the picture, and the map says where that suffices.

    Parameters
    ----------
    network
        The network.
    images
        One image, or a set of them.
    unit
        The unit that is asked: prob:truck, logit:truck, layer2.0.conv1:17 and so on. If not given, the probability of the
        image's label or, if it has none, of the class that the network predicts.
    **settings
        Those of `SlidingPatch`.
    mean
        Average the maps of all images, and of the images of every class, in place of giving each. Images are not kept in
        memory. With a store, a run that was ended goes on where it was.
    out
        Where to write the figure: a name ending in .png, .pdf, .svg, .jpg or .webp. Where there are several images, their
        places in the set are put before the ending: occlude-1.png, occlude-2.png; each is there as soon as its image is
        answered. A name ending in .html is one page of all images, without `mean`: a patch follows the mouse over each, beside
        what the network answers under it.
    lang
        Of the figure or the page: en or es; if not given the language that `set_language` chose.

    Returns
    -------
    Occlusion, OcclusionSeries, list of them, or MeanMap
        An `Occlusion` for one image (an `Image`, a PIL image, an array of at most three axes), a list for a set, also of one.
        Where `patch` or `fill` is a list, an `OcclusionSeries` in place of each `Occlusion`, with every patch in every fill.
        With `mean` one `MeanMap` for all images. Images that cannot be read are left out with a warning.

    Raises
    ------
    QuestionError
        If the patch does not fit, or a setting is no choice.
    UnitError
        If the network has no such unit.
    ImageFileError
        If the one image cannot be read.
    ImagesError
        If there is no image to take a mean over.
    NonFiniteError
        If the network answers NaN or infinity.

    Examples
    --------
    >>> import iconoscope as ico
    >>> net, images = ico.load_network("cars-honest", device="cpu"), ico.demo_images(6, seed=1)
    >>> ico.occlude(net, images[0], patch=24, stride=24).map.shape
    (4, 4)
    >>> [occlusion.patch for occlusion in ico.occlude(net, images[0], patch=[24, 48], stride=24).results]
    [(24, 24), (48, 48)]
    >>> ico.occlude(net, images[0], patch=24, stride=12, fill=["zero", "mean"]).robust
    False
    >>> alone = ico.occlude(net, images[0], patch=48, stride=24, keep=True)
    >>> bool(alone.map.max() > 0.9), bool(alone.all_covered[alone.target] < 0.2)
    (True, True)
    >>> average = ico.occlude(net, images, patch=32, stride=32, mean=True)
    >>> average.classes, average.count.tolist(), average.mean.shape
    (('lynx', 'bison'), [6, 3, 3], (3, 3, 3))
    """
    check_figure_name(out, pages=() if mean else PAGES)
    check_language(lang)
    if mean:
        mean_map = _mean_map(network, images, unit, settings)
        with in_language(lang):
            save_figures([mean_map], out)
        return mean_map
    pictures = load_images(images)
    in_variants = _ask_each(network, pictures, unit, _variants(network, settings), "occlude", together=True)
    if isinstance(settings.get("patch"), list) or isinstance(settings.get("fill"), list):
        found = map(OcclusionSeries, in_variants)
    else:
        found = (occlusion for (occlusion,) in in_variants)
    page = None if out is None or not is_page(out) else out
    # A figure is there as soon as its image is answered: the next may take a while.
    answers = list(with_figures(found, len(pictures), None if page else out, lang))
    if page is not None:
        with in_language(lang):
            iconoscope.report(answers, page)
    return answers[0] if is_one(images) else answers


def _variants(network: Network, settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Give the settings of every patch with every fill, the first with the first."""
    lists = {name: settings[name] for name in ("patch", "fill") if isinstance(settings.get(name), list)}
    if "patch" in lists:
        sizes = [make_grid(network.preprocessing.size, patch=patch).patch for patch in lists["patch"]]
        if not sizes or len(set(sizes)) < len(sizes):
            raise QuestionError(
                f"patch={lists['patch']!r} must be sizes of patches, each given once.", hint="As [12, 24, 48]."
            )
    if lists.get("fill") == []:
        raise QuestionError("fill=[] names no fill.", hint='As ["zero", "mean"].')
    return [{**settings, **dict(zip(lists, variant, strict=True))} for variant in product(*lists.values())]


def _mean_map(network: Network, images: Any, unit: str | Unit | None, settings: Mapping[str, Any]) -> MeanMap:
    """Average the maps of all images; the answer is kept like every image's own."""
    if settings.get("keep"):
        raise QuestionError(
            "mean=True averages what covering costs, and with keep=True the patch covers nothing.",
            hint="Ask without mean; every result has its effect, which can be averaged.",
        )
    if unit is not None or any(isinstance(settings.get(name), list) for name in ("patch", "fill")):
        raise QuestionError(
            "mean=True asks about the right class of every image, with one patch and one fill.",
            hint="Leave unit out and ask once for each patch or fill; their images' answers are kept apart in the store.",
        )
    pictures = load_images(images)
    store = complete(OnePatch, settings, "occlude")["store"]
    store = None if store is None else Store.at(store, witness=network.witness)
    asked = {**settings, "store": store}
    occlusions = (occlusion for (occlusion,) in _ask_each(network, pictures, None, [asked], "occlude"))
    mean_map = average_maps(occlusions, pictures.source, len(network.classes))
    return mean_map if store is None else store.answer(mean_map.question, MeanMap, lambda: mean_map)


@checked
@spelled_out
def occlude_each(
    network: Network, images: Any, unit: str | Unit | None = None, **settings: Unpack[OnePatch]
) -> Iterator[Occlusion]:
    """Give one result of `occlude` after another, and keep none: for sets that would not fit into memory.

    Parameters
    ----------
    network
        The network; it must stay as it is until the last result.
    images
        A set of images, or one.
    unit
        As in `occlude`.
    **settings
        Those of `SlidingPatch`.

    Returns
    -------
    iterator of Occlusion
        In the order of the images; those that cannot be read are left out, and a warning at the end names them.

    Raises
    ------
    QuestionError, UnitError
        At once, as `occlude` raises them; what an image raises comes when its turn comes.

    Examples
    --------
    >>> import iconoscope as ico
    >>> net = ico.load_network("cars-honest", device="cpu")
    >>> for occlusion in ico.occlude_each(net, ico.demo_images(2, seed=1), patch=48, stride=48):
    ...     print(occlusion.map.shape)
    (2, 2)
    (2, 2)
    """
    return (occlusion for (occlusion,) in _ask_each(network, images, unit, [settings], "occlude_each"))


@checked
@spelled_out
def refine(
    network: Network, image: Any, unit: str | Unit | None = None, **settings: Unpack[OnePatch]
) -> Iterator[Occlusion]:
    """Give results of `occlude` for one image that become finer: with a stride four times as large, twice, and as asked for.

    For a viewer that draws what there is while the rest is computed. The first is there in about a sixteenth of the time,
    and all three together take a third longer than the last alone, which is what `occlude` gives.

    Parameters
    ----------
    network, image, unit
        As in `occlude`; one image.
    **settings
        Those of `SlidingPatch`. The store keeps the last result alone.

    Returns
    -------
    iterator of Occlusion
        Three, or fewer where the coarse grids are no coarser.

    Raises
    ------
    QuestionError, UnitError
        At once, as `occlude` raises them, and if there is more than one image.

    Examples
    --------
    >>> import iconoscope as ico
    >>> net = ico.load_network("cars-honest", device="cpu")
    >>> for occlusion in ico.refine(net, ico.demo_images(2, seed=1)[0], patch=24, stride=12):
    ...     print(occlusion.map.shape)
    (2, 2)
    (4, 4)
    (7, 7)
    """
    pictures = load_images(image)
    if len(pictures) != 1:
        raise QuestionError("refine asks about one image.", hint="Ask about a set with occlude or occlude_each.")
    (last,) = patch_questions(network, unit, 1, [settings], "refine")
    fine = last.grid
    down, across = (int(starts[1] - starts[0]) if len(starts) > 1 else 1 for starts in (fine.top, fine.left))
    questions = [last]
    for times in (2, 4):
        coarse = make_grid(fine.size, patch=fine.patch, stride=(down * times, across * times))
        if len(coarse) < len(questions[0].grid):
            questions.insert(0, replace(last, grid=coarse, store=None))
    (label,) = labels_of(network, pictures).values()
    mask, _ = fitted_object(network.preprocessing, pictures[0])
    return (question.ask(pictures[0], label, mask) for question in questions)


def _ask_each(
    network: Network,
    images: Any,
    unit: str | Unit | None,
    variants: Sequence[Mapping[str, Any]],
    function: str,
    *,
    together: bool = False,
) -> Iterator[tuple[Occlusion, ...]]:
    """Ask about one image after another, each in all variants of the settings, which have one engine between them.

    Where they are asked for `together`, the answers to all images lie in memory at once.

    What makes no sense is raised at once: this is no generator, and gives one.
    """
    pictures = load_images(images)
    questions = patch_questions(network, unit, len(pictures), variants, function)
    positions, images_held = sum(len(question.grid) for question in questions), len(pictures) if together else 1
    check_fits(
        4.0 * positions * len(network.classes) * images_held,
        f"The answers of {len(network.classes):,} classes at {positions:,} positions to {images_held:,} images",
        memory=questions[0].memory,
        hint="Give a larger stride, fewer images (limit), mean=True, or ask with occlude_each, which keeps none. "
        "memory= raises the bound.",
    )
    labels = labels_of(network, pictures)

    def occlusions() -> Iterator[tuple[Occlusion, ...]]:
        origins: list[str] = []
        reasons: list[str] = []  # why an object is left out
        for image in track(pictures.readable(), f"occluding, {network.name}", total=len(pictures)):
            mask, reason = fitted_object(network.preprocessing, image)
            if reason and reason != NO_OBJECT:
                reasons.append(f"{image.id} ({reason})")
            answers = tuple(question.ask(image, labels[image.id], mask) for question in questions)
            origins.append(answers[0].target_origin)
            yield answers
        say_unlabelled(origins)
        if reasons:
            message = f"The object of {len(reasons)} of {len(origins)} images is left out: {shortened(reasons)}."
            warn(message)

    return occlusions()
