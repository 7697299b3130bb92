"""The patch that slides over an image: its settings, written once, and the question they make of every image."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypedDict, TypeVar

import numpy as np
from numpy.typing import NDArray

from iconoscope.errors import QuestionError, check_choice
from iconoscope.occlusion.fills import Fill, FillLike, read_fill
from iconoscope.occlusion.geometry import Grid, Sides, make_grid
from iconoscope.occlusion.query import ImageQuestion, asked_alike
from iconoscope.results import Occlusion
from iconoscope.results.rendering import rgb
from iconoscope.signatures import Default, complete
from iconoscope.store import Store
from iconoscope.subject.images import Image
from iconoscope.subject.memory import read_memory
from iconoscope.subject.network import Network
from iconoscope.subject.patch_tokens import PatchTokens, find_patch_tokens
from iconoscope.vocabulary.unit import Unit

if TYPE_CHECKING:
    import torch

    from iconoscope.occlusion.dense import Scan
    from iconoscope.subject.response import Response

__all__ = ["METHODS", "OnePatch", "PatchQuestion", "SlidingPatch", "patch_grid", "patch_questions", "tokens_for"]

PatchT = TypeVar("PatchT")
FillT = TypeVar("FillT")


class SlidingPatch(TypedDict, Generic[PatchT, FillT], total=False):
    """The settings of a patch that slides over an image, with the types of `patch` and `fill`: one of them, or lists.

    Parameters
    ----------
    patch
        Side of the patch, or height and width as 8x12 (in Python (8, 12)), in pixels of the network's input. If not given,
        a sixth of its short side. `occlude` also takes several: 12,24,48 (in Python a list).
    stride
        Step from one position to the next, in pixels, or down and across as 8x12. If not given, a quarter of the patch. With
        the fill drop, patch and stride are whole tokens if they are not given.
    fill
        What covers the region. mean: the mean colour of this image. zero: zeros in the network's normalised input, a grey that
        is the mean colour of its training images. black: black paint. patch-mean: the mean colour of what the patch covers.
        blur: this image out of focus. noise: random colours. 0.5: a grey, of 0.0 to 1.0. drop: nothing; the tokens that the
        patch touches, even by a pixel, are left out of a transformer. Or an image file (in Python also an array, or a function
        from the picture, (height, width, 3) uint8, to another). `occlude` also takes several: zero,mean (in Python a list).
    keep
        Keep the patch and cover all else: the map says how much of the answer the patch gives alone, as high as the answer to
        the whole picture where it suffices. With the fill drop, the tokens that the patch touches are all that is left; they
        are few, so it is fast. Any other fill but patch-mean covers the rest.
    method
        exact: compute anew only what the patch changes, and put it into the maps of the untouched image; the answers of the
        plain way up to rounding, which is taken where there is nothing to gain. fast: approximate and faster still, with its
        own error measured. dense: the plain way, the whole network at every position. result.plan says what ran how.
    memory
        Bound on the memory that the network's inputs and maps take, its weights and the answers not counted: 500MB, 2GB,
        1.5GiB, or bytes. If not given, what was measured to be fast, under 2GB.
    seed
        Seed of the random fill.
    store
        Folder where every answer is looked for first, and kept.
    """

    patch: Annotated[PatchT, Default(None)]
    stride: Annotated[Sides | None, Default(None)]
    fill: Annotated[FillT, Default("mean")]
    keep: Annotated[bool, Default(False)]
    method: Annotated[str, Default("exact")]
    memory: Annotated[str | int | None, Default(None)]
    seed: Annotated[int, Default(0)]
    store: Annotated[Store | str | Path | None, Default(None)]


OnePatch = SlidingPatch[Sides | None, FillLike]
"""One patch with one fill."""


def _exact(images: int, weights: str) -> Callable[..., Scan]:
    from iconoscope.occlusion.incremental import PlanCache, scan_exact

    return partial(scan_exact, plans=PlanCache(images, weights))


def _fast(images: int, weights: str) -> Callable[..., Scan]:
    from iconoscope.occlusion.incremental import PlanCache, scan_fast

    return partial(scan_fast, plans=PlanCache(images, weights))


def _dense(images: int, weights: str) -> Callable[..., Scan]:
    from iconoscope.occlusion.dense import scan_dense

    def engine(*question: Any, memory: int | None = None, clean: Response | None = None) -> Scan:
        return scan_dense(*question, memory=memory)

    return engine


METHODS: dict[str, Callable[[int, str], Callable[..., Scan]]] = {"exact": _exact, "fast": _fast, "dense": _dense}
"""From the number of images and the digest of the network to the engine that answers for each of them: called as
``engine(network, image, cover, grid, unit, memory=bytes or None, clean=Response or None)``, with one image after another, in
several grids or covers before the next; `clean` is what the network answers to the image with nothing covered."""


@dataclass(frozen=True, kw_only=True)
class PatchQuestion(ImageQuestion):
    """All that is asked of every image alike.

    Attributes
    ----------
    engine
        One of `METHODS`, as it is called.
    tokens
        Of the network, where the fill drops them; no other engine is asked then.
    grid, fill, keep, method, memory
        The settings of `SlidingPatch`, read.
    """

    engine: Callable[..., Scan]
    tokens: PatchTokens | None
    grid: Grid
    fill: Fill
    keep: bool
    method: str
    memory: int | None

    def ask(self, image: Image, label: int, mask: NDArray[np.bool_] | None) -> Occlusion:
        """Ask about one image; `label` is the index of its class, or -1, and `mask` (height, width) its object."""
        import torch

        with self.network.questioned(), torch.inference_mode():
            picture, tensor = self.seen(image)
            unit, origin = self.unit_for(tensor, label)
            fill = self.fill.of(picture)
            settings = {
                "patch": self.grid.patch,
                "top": self.grid.top.tolist(),
                "left": self.grid.left.tolist(),
                "fill": fill.name,
                "seed": self.seed if fill.random else None,
                "method": self.method,
            }
            if self.keep:  # said where it is so, and a question that was asked before there was a choice keeps its key
                settings["keep"] = True
            question = self.about("occlude", image, unit, settings)

            def answer() -> Occlusion:
                clean = self._clean(tensor, unit)
                scan, all_covered = self._scan(picture, tensor, fill, unit, clean)
                return Occlusion(
                    question=question,
                    top=self.grid.top,
                    left=self.grid.left,
                    patch=self.grid.patch,
                    clean=clean.values[0].cpu().numpy(),
                    occluded=scan.occluded,
                    all_covered=all_covered,
                    target=clean.target or 0,
                    target_origin=origin,
                    names=clean.names,
                    measure=clean.measure,
                    picture=rgb(picture),
                    method=self.method,
                    plan=scan.plan,
                    object_mask=mask,
                )

            return self.answered(question, Occlusion, answer, target_origin=origin, object_mask=mask)

    def _clean(self, tensor: torch.Tensor, unit: Unit) -> Response:
        """Give what the network answers to a picture (channels, height, width) with nothing covered."""
        from iconoscope.subject.response import respond

        return respond(self.network, tensor[None].to(self.network.device), unit)

    def _scan(
        self, picture: NDArray[np.uint8], tensor: torch.Tensor, fill: Fill, unit: Unit, clean: Response
    ) -> tuple[Scan, NDArray[np.float32] | None]:
        """Give the answers at all positions and, where the patch is kept, those with everything covered (outputs,)."""
        network, grid = self.network, self.grid
        if self.tokens is not None:
            from iconoscope.occlusion.dropped import respond_to_nothing, scan_dropped

            scan = scan_dropped(network, tensor, grid, unit, self.tokens, keep=self.keep, memory=self.memory)
            return scan, respond_to_nothing(network, tensor, unit, self.tokens) if self.keep else None
        if not self.keep:
            cover = fill.cover(picture, network.preprocessing, grid, self.seed)
            return self.engine(network, tensor, cover, grid, unit, memory=self.memory, clean=clean), None
        import torch

        from iconoscope.occlusion.geometry import Cover

        # The photograph, cut to the patch, is laid over the picture of the fill: to an engine it is what covers.
        filled = torch.from_numpy(fill.field(picture, network.preprocessing, grid.patch, self.seed))
        all_covered = self._clean(filled, unit)
        scan = self.engine(network, filled, Cover(tensor), grid, unit, memory=self.memory, clean=all_covered)
        return scan, all_covered.values[0].cpu().numpy()


def patch_questions(
    network: Network, unit: str | Unit | None, images: int, variants: Sequence[Mapping[str, Any]], function: str
) -> list[PatchQuestion]:
    """Make the questions of several variants of the settings, in patch, stride and fill; they have one engine between them.

    Parameters
    ----------
    images
        How many will be asked about.
    variants
        Settings of `OnePatch`, as `function` was given them.

    Raises
    ------
    QuestionError
        If a setting is no choice, or the patch is to be kept and the fill has a colour for what it covers.
    """
    completed = [complete(OnePatch, settings, function) for settings in variants]
    method = completed[0]["method"]
    check_choice("method", method, METHODS)
    alike = asked_alike(network, unit, completed[0]["seed"], completed[0]["store"])
    engine = METHODS[method](images, alike["weights"])
    fills = [read_fill(settings["fill"], network.preprocessing) for settings in completed]
    keep = completed[0]["keep"]
    for fill in fills:
        if keep and fill.by_position:
            raise QuestionError(
                f"fill={fill.name!r} has a colour for what the patch covers, and with keep=True it covers nothing.",
                hint="Take mean: the mean colour of the whole image.",
            )
    tokens = tokens_for(network, fills, alike["weights"])
    return [
        PatchQuestion(
            **alike,
            engine=engine,
            tokens=tokens if fill.drops else None,
            grid=patch_grid(network.preprocessing.size, settings["patch"], settings["stride"], tokens),
            fill=fill,
            keep=keep,
            method=method,
            memory=read_memory(settings["memory"]),
        )
        for fill, settings in zip(fills, completed, strict=True)
    ]


def tokens_for(network: Network, fills: Sequence[Fill], weights: str) -> PatchTokens | None:
    """Give the tokens of a network, of which `weights` is the digest, if any of the fills drops them.

    Raises
    ------
    QuestionError
        If it has none that can be dropped.
    """
    return find_patch_tokens(network, weights) if any(fill.drops for fill in fills) else None


def patch_grid(size: tuple[int, int], patch: Sides | None, stride: Sides | None, tokens: PatchTokens | None) -> Grid:
    """Lay out a patch by its settings; where tokens are dropped, in whole tokens if they leave that open.

    Several fills are held against each other at the same positions, so one of them that drops tokens decides for all.
    """
    if tokens is None:
        return make_grid(size, patch=patch, stride=stride)
    down, across = tokens.side
    if patch is None:
        side = min(size) / 6
        patch = max(1, round(side / down)) * down, max(1, round(side / across)) * across
    grid = make_grid(size, patch=patch, stride=stride)
    if stride is None:
        stride = max(1, round(grid.patch[0] / 4 / down)) * down, max(1, round(grid.patch[1] / 4 / across)) * across
        grid = make_grid(size, patch=patch, stride=stride)
    return grid
