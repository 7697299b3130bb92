"""Deletion and insertion: how good is a map? Change the pixels in its order and watch the answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack, overload

import numpy as np
from numpy.typing import NDArray

from iconoscope.errors import QuestionError, check_counts, nearest, shortened, warn
from iconoscope.occlusion.attribute import METHODS, attribute_each
from iconoscope.occlusion.attribution_maps import AttributionMap, rank_pixels, read_maps
from iconoscope.occlusion.fills import Fill, FillLike, read_fill
from iconoscope.occlusion.geometry import pictures_at_once
from iconoscope.occlusion.occlude import occlude_each
from iconoscope.occlusion.query import ImageQuestion, asked_alike, is_one, labels_of, save_figures, say_unlabelled
from iconoscope.occlusion.sliding_patch import OnePatch, patch_grid, tokens_for
from iconoscope.progress import track
from iconoscope.results import Attribution, Curves, Faithfulness, Occlusion
from iconoscope.results.rendering import rgb
from iconoscope.results.result import check_figure_name
from iconoscope.signatures import checked, complete, spelled_out
from iconoscope.subject.images import Image, Images, load_images
from iconoscope.subject.network import Network
from iconoscope.subject.patch_tokens import PatchTokens
from iconoscope.vocabulary.unit import Unit

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image as PillowImage

__all__ = ["OCCLUSION", "faithfulness"]

OCCLUSION = "occlusion"
"""The name of our own map among the methods of `attribute`."""

DRAWS = 5
"""To how many other positions the map is moved, for the null."""

Maps = str | Path | list[str] | Occlusion | Attribution | Sequence[Any] | NDArray[Any] | None


@overload
def faithfulness(
    network: Network,
    images: Image | PillowImage,
    maps: Maps = None,
    unit: str | Unit | None = None,
    *,
    start: FillLike = ...,
    steps: int = ...,
    batch: int | None = ...,
    out: str | Path | None = ...,
    **settings: Unpack[OnePatch],
) -> Faithfulness: ...
@overload
def faithfulness(
    network: Network,
    images: Images | Sequence[Any] | Path,
    maps: Maps = None,
    unit: str | Unit | None = None,
    *,
    start: FillLike = ...,
    steps: int = ...,
    batch: int | None = ...,
    out: str | Path | None = ...,
    **settings: Unpack[OnePatch],
) -> list[Faithfulness]: ...
@overload
def faithfulness(
    network: Network,
    images: Any,
    maps: Any = None,
    unit: str | Unit | None = None,
    *,
    start: FillLike = ...,
    steps: int = ...,
    batch: int | None = ...,
    out: str | Path | None = ...,
    **settings: Unpack[OnePatch],
) -> Any: ...
@checked
@spelled_out
def faithfulness(
    network: Network,
    images: Any,
    maps: Maps = None,
    unit: str | Unit | None = None,
    *,
    start: FillLike = "blur",
    steps: int = 32,
    batch: int | None = None,
    out: str | Path | None = None,
    **settings: Unpack[OnePatch],
) -> Any:
    """Delete, and insert, the pixels that a map ranks first, and plot the probability against their share.

    Deletion covers the photograph pixel by pixel, the most important first: the better the map, the sooner the probability
    falls and the smaller is the area under the curve. Insertion puts the photograph's pixels into a blurred one in the same
    order: the better the map, the larger the area (Petsiuk, Das and Saenko 2018, "RISE"). The null is the same
    map moved to other positions, around the border of the image: an order as coarse or as fine, which knows nothing of the
    image. Several maps are scored alike and shown side by side.

    Parameters
    ----------
    network
        The network.
    images
        One image, or a set of them.
    maps
        What ranks the pixels: occlusion, whose map is made with the patch; a method of `attribute`, as captum:Saliency, whose
        maps are made; or a .npy or .npz file with an array (height, width) for one image, (images, height, width) for a set,
        in pixels of the network's input, the highest the most important. Several of these as occlusion,captum:Saliency (in
        Python a list). In Python also that array, or an `Occlusion` or an `Attribution`, or a list of them, one for each image.
        If not given, occlusion.
    unit
        The unit that is asked: prob:truck, logit:truck, layer2.0.conv1:17 and so on. If not given, that of the occlusion map;
        else the probability of the image's label or, if it has none, of the class that the network predicts.
    **settings
        Those of `SlidingPatch`.
    start
        The picture that insertion starts from, one of the fills; deletion and the patch put the fill in place of a pixel. Half
        a patch is the standard deviation of a blur.
    steps
        How many steps of equal size there are. Pixels of equal value are changed at once; where there are many there are
        fewer steps.
    batch
        How many pictures go through the network at once, at most; chosen by their size if not given.
    out
        Where to write the figure: a name ending in .png, .pdf, .svg, .jpg or .webp. Where there are several images, their
        places in the set are put before the ending: maps-1.png, maps-2.png.

    Returns
    -------
    Faithfulness or list of Faithfulness
        One for one image, a list for a set, also of one. Images that cannot be read, or of which a map is constant or missing,
        are left out with a warning.

    Raises
    ------
    QuestionError
        If the maps do not fit the images or the input, are not finite, or rank no pixel; or a setting is no choice.
    UnitError
        If the network has no such unit.
    NonFiniteError
        If the network answers NaN or infinity.

    Examples
    --------
    >>> import iconoscope as ico
    >>> net, image = ico.load_network("cars-honest", device="cpu"), ico.demo_images(2, seed=1)[0]
    >>> (curves,) = ico.faithfulness(net, image, patch=24, stride=12, steps=8).results
    >>> curves.share.shape, curves.deletion.shape, curves.null_deletion.shape
    ((9,), (9, 2), (5, 9))
    >>> bool(curves.deletion_area < curves.null_deletion_areas.mean())
    True
    >>> ico.faithfulness(net, image, ["occlusion", "captum:Saliency"], patch=24, stride=12, steps=8).names
    ['occlusion', 'Saliency']
    """
    check_figure_name(out)
    completed = complete(OnePatch, settings, "faithfulness")
    seed, store = completed["seed"], completed["store"]
    check_counts(most=10**6, steps=steps)
    check_counts(batch=1 if batch is None else batch)
    sources = _sources(maps)
    names = [source for source in sources if isinstance(source, str)]
    if OCCLUSION not in names:
        defaults = complete(OnePatch, {}, "faithfulness")
        for name in ("stride", "keep", "method", "memory"):
            if completed[name] != defaults[name]:
                raise QuestionError(
                    f"{name}={completed[name]!r} is a setting of the occlusion map, and maps were given.",
                    hint="Leave one of the two out.",
                )
    preprocessing = network.preprocessing
    alike = asked_alike(network, unit, seed, store)
    fill, started = (read_fill(each, preprocessing).for_regions() for each in (completed["fill"], start))
    tokens = tokens_for(network, [fill, started], alike["weights"])
    question = _CurvesQuestion(
        **alike,
        fill=fill,
        start=started,
        tokens=tokens,
        patch=patch_grid(preprocessing.size, completed["patch"], None, tokens if fill.drops else None).patch,
        steps=steps,
        batch=batch,
    )
    images_to_score = load_images(images)
    by_image: dict[str, list[Curves]] = {}
    for source in track(sources, "maps") if len(sources) > 1 else sources:
        pictures, ranked = images_to_score, source
        results: list[Occlusion] | list[Attribution] | None = None
        name = source if isinstance(source, str) else ""
        if name == OCCLUSION:
            results = list(occlude_each(network, pictures, unit, **settings))
        elif name in METHODS:
            results = list(attribute_each(network, pictures, unit, method=name, seed=seed, store=store))
        if results is not None:
            mapped = {result.question.subject for result in results}
            pictures = pictures[[index for index, name in enumerate(pictures.ids) if name in mapped]]
            ranked = results
        for curves in question.ask_each(pictures, read_maps(ranked, pictures, preprocessing.size)):
            by_image.setdefault(curves.question.subject, []).append(curves)
    scored = [Faithfulness(tuple(of_image)) for of_image in by_image.values() if len(of_image) == len(sources)]
    if is_one(images) and not scored:
        raise QuestionError("A map of the image ranks no pixel before another: there is nothing to score.")
    save_figures(scored, out)
    return scored[0] if is_one(images) else scored


def _sources(maps: Any) -> list[Any]:
    """Give where each of the maps to be scored comes from: a list is of several if there is a name or a file in it."""
    several = isinstance(maps, list | tuple) and any(isinstance(source, str | Path) for source in maps)
    sources = [OCCLUSION] if maps is None else list(maps) if several else [maps]
    names = [source for source in sources if isinstance(source, str)]
    choices = (OCCLUSION, *METHODS)
    if len(set(names)) < len(names):
        raise QuestionError(f"maps={maps!r} must be maps, each named once.", hint=f"As {','.join(choices[:3])}.")
    for name in names:
        if name not in choices and not Path(name).suffix:
            raise QuestionError(
                f"maps={name!r} is not a choice, and no .npy or .npz file.", hint=nearest(name, choices)
            )
    return sources


@dataclass(frozen=True, kw_only=True)
class _CurvesQuestion(ImageQuestion):
    """All that is asked of every image alike: `patch` sets the blur, `tokens` are there where fill or start drops them."""

    fill: Fill
    start: Fill
    tokens: PatchTokens | None
    patch: tuple[int, int]
    steps: int
    batch: int | None

    def ask_each(self, pictures: Images, map_of: Callable[[Image], AttributionMap]) -> list[Curves]:
        """Ask about every image; one that has no map to score does not take the others with it."""
        labels: dict[str, int] = {}
        answers: list[Curves] = []
        reasons: list[str] = []
        for image in track(pictures.readable(), f"deleting and inserting, {self.network.name}", total=len(pictures)):
            try:
                attribution = map_of(image)
            except QuestionError as error:
                if len(pictures) == 1:
                    raise
                reasons.append(error.message)
                continue
            if self.unit is None and not attribution.unit and not labels:
                labels = labels_of(self.network, pictures)
            answers.append(self._ask(image, attribution, labels.get(image.id, -1)))
        if reasons:
            message = f"{len(reasons)} of {len(pictures)} images have no map to score: {shortened(reasons)}"
            if not answers:
                raise QuestionError(message)
            warn(f"{message} They were left out.")
        if labels:
            say_unlabelled([curves.target_origin for curves in answers])
        return answers

    def _ask(self, image: Image, attribution: AttributionMap, label: int) -> Curves:
        import torch

        from iconoscope.occlusion.dense import clean_response

        with self.network.questioned(), torch.inference_mode():
            picture, tensor = self.seen(image)
            if self.unit is None and attribution.unit:
                unit, origin = self.network.resolve(attribution.unit), attribution.origin
            else:
                unit, origin = self.unit_for(tensor, label)
            fill, start = self.fill.of(picture), self.start.of(picture)
            settings = {
                "map": attribution.key,
                "fill": fill.name,
                "start": start.name,
                "patch": self.patch if "blur" in (fill.name, start.name) else None,
                "steps": self.steps,
                "draws": DRAWS,
                "seed": self.seed,
            }
            question = self.about("faithfulness", image, unit, settings)

            def answer() -> Curves:
                share, point = rank_pixels(attribution.values, self.steps)
                orders = torch.from_numpy(np.stack([point, *_moved(point, self.seed, question.pixels)]))
                _, names, target, measure = clean_response(self.network, tensor, unit)
                deletion = self._change(picture, tensor, fill, orders, len(share), unit, inserting=False)
                insertion = self._change(picture, tensor, start, orders, len(share), unit, inserting=True)
                return Curves(
                    question=question,
                    share=share,
                    deletion=deletion[0],
                    insertion=insertion[0],
                    null_deletion=deletion[1:, :, target],
                    null_insertion=insertion[1:, :, target],
                    target=target,
                    target_origin=origin,
                    names=names,
                    measure=measure,
                    attribution=attribution.values,
                    full_red=attribution.full,
                    ranked_by=attribution.name,
                    picture=rgb(picture),
                    fill=fill.name,
                    start=start.name,
                )

            return self.answered(question, Curves, answer, target_origin=origin, ranked_by=attribution.name)

    def _change(
        self,
        picture: NDArray[np.uint8],
        tensor: torch.Tensor,
        fill: Fill,
        orders: torch.Tensor,
        points: int,
        unit: Unit,
        *,
        inserting: bool,
    ) -> NDArray[np.float32]:
        """Put a fill into a picture (channels, height, width), or the picture into it, in several orders.

        Gives (orders, points, outputs).
        """
        if fill.drops:
            return self._change_tokens(tensor, orders, points, unit, inserting=inserting)
        import torch

        from iconoscope.subject.response import respond

        device = self.network.device
        filled = torch.from_numpy(fill.field(picture, self.network.preprocessing, self.patch, self.seed))
        before, after = (filled, tensor) if inserting else (tensor, filled)
        before, after, orders = before.to(device), after.to(device), orders.to(device)
        batch = self.batch or pictures_at_once(*self.network.preprocessing.size)
        count = len(orders) * points
        answers: list[NDArray[np.float32]] = []
        for first in track(range(0, count, batch), "inserting" if inserting else "deleting"):
            index = torch.arange(first, min(first + batch, count), device=device)
            changed = orders[index // points] <= (index % points)[:, None, None]
            pictures = torch.where(changed[:, None], after, before)
            answers.append(respond(self.network, pictures, unit).values.cpu().numpy())
        return np.concatenate(answers).reshape(len(orders), points, -1)

    def _change_tokens(
        self, tensor: torch.Tensor, orders: torch.Tensor, points: int, unit: Unit, *, inserting: bool
    ) -> NDArray[np.float32]:
        """Take tokens out of a picture in several orders, or put them in: each when half of its pixels have their turn."""
        from iconoscope.occlusion.dropped import check_unit, respond_to_patches

        assert self.tokens is not None
        check_unit(self.network, unit, self.tokens)
        changed = orders[:, None].numpy() <= np.arange(points)[:, None, None]
        turned = self.tokens.shares(changed.reshape(-1, *changed.shape[2:])) >= 0.5
        kept = turned if inserting else ~turned
        values, _ = respond_to_patches(self.network, tensor, kept, unit, self.tokens, most=self.batch)
        return values.reshape(len(orders), points, -1)


def _moved(point: NDArray[np.int64], seed: int, pixels: str) -> list[NDArray[np.int64]]:
    """Move an order (height, width) around the border, to positions drawn for this image (a digest of its pixels)."""
    generator = np.random.default_rng([seed, int(pixels[:16], 16)])
    shifts = generator.choice(np.arange(1, point.size), min(DRAWS, point.size - 1), replace=False)
    return [np.roll(point, divmod(int(shift), point.shape[1]), (0, 1)) for shift in shifts]
