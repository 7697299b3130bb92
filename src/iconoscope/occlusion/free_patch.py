"""A patch that may lie anywhere on one image, answered at once: what follows a mouse."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from iconoscope.errors import NetworkError, QuestionError
from iconoscope.occlusion.fills import FillLike, read_fill
from iconoscope.occlusion.geometry import Cover, Grid
from iconoscope.subject.images import Image
from iconoscope.subject.network import Network
from iconoscope.subject.patch_tokens import PatchTokens, find_patch_tokens
from iconoscope.torch_modes import plain_torch

if TYPE_CHECKING:
    import torch

    from iconoscope.occlusion.incremental import PlanCache
    from iconoscope.subject.captured.graph import Graph
    from iconoscope.subject.response import Response

__all__ = ["FreePatch"]


class FreePatch:
    """The probabilities of one image under a patch at any place, of any size.

    What does not change from one place to the next is done once: the image is decoded, fitted and normalised, the fill of a
    size of patch is drawn, and the network is captured as exact occlusion does it, which halves the time of a small one. The
    network itself is asked where it cannot be captured soon, or where it answers this image otherwise.

    Parameters
    ----------
    network : Network
        The network; its weights must stay as they are.
    image : Image
        The image.
    fill
        As in `occlude`; one fill.
    seed : int
        Seed of the random fill.
    plans : PlanCache or None
        Where the captured network is kept for the next image; without, it is captured for this one.

    Examples
    --------
    >>> import iconoscope as ico
    >>> net, image = ico.load_network("cars-honest", device="cpu"), ico.demo_images(2, seed=1)[0]
    >>> patch, occlusion = FreePatch(net, image), ico.occlude(net, image, patch=24, stride=24)
    >>> bool(np.allclose(patch.probabilities(24, 48, 24, 24), occlusion.occluded[1, 2], atol=1e-5))
    True
    """

    def __init__(
        self, network: Network, image: Image, *, fill: FillLike = "mean", seed: int = 0, plans: PlanCache | None = None
    ) -> None:
        import torch

        from iconoscope.subject.response import respond

        self.network = network
        self.size = network.preprocessing.size
        self._picture = network.preprocessing.shown(image)
        self._tensor = network.preprocessing.normalise(self._picture[None])[0].to(network.device)
        self._fill = read_fill(fill, network.preprocessing).of(self._picture)
        self._seed = seed
        self._cover = lru_cache(maxsize=4)(self._draw)
        with network.reserved():
            network.notice_changes()
        self._tokens = find_patch_tokens(network, network.digest()) if self._fill.drops else None
        self._memory_format = torch.contiguous_format
        self._graph: Graph | None = None
        with network.questioned(), torch.inference_mode():
            clean = respond(network, self._tensor[None], network.class_unit("prob", 0))
        self.clean = clean.values[0].cpu().numpy()
        self._graph = self._captured(plans, clean)
        if self._graph is None and self._bears(torch.channels_last):
            self._memory_format = torch.channels_last

    @property
    def asks_module(self) -> bool:
        """Whether each place is a pass of the network's own module, which has to be reserved for that."""
        return self._graph is None

    def probabilities(self, top: int, left: int, height: int, width: int) -> NDArray[np.float32]:
        """Give the probabilities of all classes (classes,) with a patch there; what lies outside of the image is cut off.

        Parameters
        ----------
        top, left
            First row and column of the patch, pixels of the network's input; below zero it reaches over the border.
        height, width
            Its sides, pixels.

        Raises
        ------
        QuestionError
            If a side is not positive, or larger than the image.
        """
        if not (0 < height <= self.size[0] and 0 < width <= self.size[1]):
            raise QuestionError(
                f"A patch of {height}x{width} pixels does not fit in the network's input of {self.size[0]}x{self.size[1]}.",
                hint="The patch is measured in pixels of the network's input, after resizing.",
            )
        bottom, right = min(top + height, self.size[0]), min(left + width, self.size[1])
        top, left = max(top, 0), max(left, 0)
        if top >= bottom or left >= right:
            return self.clean
        if self._tokens is not None:
            return self._drop(self._tokens, slice(top, bottom), slice(left, right))
        window = Grid(np.array([top]), np.array([left]), (bottom - top, right - left), self.size)
        cover = self._cover(height, width)
        if cover is None:
            cover = self._covering(window)
        return self._ask(cover.over(self._tensor, window, 0))

    def _drop(self, tokens: PatchTokens, rows: slice, columns: slice) -> NDArray[np.float32]:
        import torch

        from iconoscope.occlusion.dropped import respond_to_patches

        with self.network.questioned(), torch.inference_mode():
            unit = self.network.class_unit("prob", 0)
            kept = ~tokens.touched(rows, columns)[None]
            return respond_to_patches(self.network, self._tensor, kept, unit, tokens)[0][0]

    def _draw(self, height: int, width: int) -> Cover | None:
        """Draw the fill of a size of patch; None if it is another at every place."""
        corner = Grid(np.array([0]), np.array([0]), (height, width), self.size)
        cover = self._covering(corner)
        return None if cover.colours is not None else cover

    def _covering(self, grid: Grid) -> Cover:
        return self._fill.cover(self._picture, self.network.preprocessing, grid, self._seed).to(self._tensor)

    def _captured(self, plans: PlanCache | None, clean: Response) -> Graph | None:
        """Give what exact occlusion captures of the network, if it answers this image as the network does, also covered."""
        import torch

        from iconoscope.occlusion.incremental import PlanCache
        from iconoscope.occlusion.incremental.agreement import clean_error
        from iconoscope.subject.captured.graph import run_graph

        network, unit = self.network, self.network.class_unit("prob", 0)
        if network.singly or self._tokens is not None:
            return None
        side = height, width = max(1, self.size[0] // 4), max(1, self.size[1] // 4)
        middle = Grid(
            np.array([(self.size[0] - height) // 2]), np.array([(self.size[1] - width) // 2]), side, self.size
        )
        covered = self._covering(middle).over(self._tensor, middle, 0)
        plans = PlanCache() if plans is None else plans
        with network.questioned(), torch.inference_mode():
            try:
                graph = plans.traced(network, network.fitted(self._tensor), unit)
                if graph is None:
                    return None
                for picture, answered in ((self._tensor, clean), (covered, None)):
                    fitted = network.fitted(picture)
                    if clean_error(network, fitted, unit, run_graph(graph, fitted[None])[graph.output], answered):
                        return None
            except Exception:  # noqa: BLE001 -- what was captured runs in ways that the network was not written for
                return None
        return graph

    def _bears(self, memory_format: torch.memory_format) -> bool:
        """Tell whether the network answers the same to the image in another order of its memory.

        Channels last, convolutions of oneDNN take half the time. A module that wants its maps as they were, and says so with an
        error, gets them so.
        """
        try:
            answers = self._ask(self._tensor, memory_format)
        except NetworkError:
            return False
        return bool(np.allclose(answers, self.clean, atol=1e-5))

    def _ask(self, covered: torch.Tensor, memory_format: torch.memory_format | None = None) -> NDArray[np.float32]:
        import torch

        network = self.network
        if self._graph is not None:
            from iconoscope.subject.captured.graph import run_graph

            with plain_torch(), torch.inference_mode():
                logits = run_graph(self._graph, network.fitted(covered)[None])[self._graph.output].float()
                if bool(torch.isfinite(logits).all()):  # else the network itself says what is wrong
                    return network.probabilities(logits)[0].cpu().numpy()
        batch = covered[None].contiguous(memory_format=memory_format or self._memory_format)
        with network.questioned(), torch.inference_mode():
            return network.probabilities(network.logits(batch).float())[0].cpu().numpy()
