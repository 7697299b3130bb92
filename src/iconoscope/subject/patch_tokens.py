"""The tokens of a transformer: where they enter its blocks, and which patch of the picture each of them stands for.

Both are measured on the network itself, so that no library's names need to be known. Tokens may be left out where the rest of
the network takes them as a set, in any order; and leaving one out leaves out a patch where it sees that patch alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import nan
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from iconoscope.errors import NetworkError, QuestionError
from iconoscope.subject.activation_layout import TokenGrid, token_grid
from iconoscope.subject.network import Network

if TYPE_CHECKING:
    import torch

__all__ = ["PatchTokens", "find_patch_tokens"]

ENTRIES = 8
"""Layers that are tried as the entry, in the order in which they run: embeddings have a few layers before the blocks."""

FEWEST = 4
"""Patches of a picture below which there is no grid to speak of: the last maps of a small network look like tokens too."""

TOLERANCE = 1e-4
"""Of the largest logit: what the answer to tokens in another order may differ by. In 16 bits it is some roundings."""

RECENT = 4
_recent: dict[tuple[object, ...], PatchTokens | str] = {}
"""What was found of networks, by the digest of their weights and the size of their input; or why there is nothing."""

_HINT = "Take another fill, as mean; tokens can be dropped where a ViT or a DeiT has one for each patch."


@dataclass(frozen=True)
class PatchTokens:
    """The tokens that enter the blocks of a transformer.

    Attributes
    ----------
    layer : str
        The layer that is given them first, with all that says where they are; (images, tokens, channels).
    grid : TokenGrid
        The patches, and how many tokens stand before theirs: of the class, of a teacher, registers.
    side : tuple of int
        Height and width of a patch, pixels of the network's input.
    """

    layer: str
    grid: TokenGrid
    side: tuple[int, int]

    def touched(self, rows: slice, columns: slice) -> NDArray[np.bool_]:
        """Tell which patches (rows, columns) a rectangle of pixels reaches, even by one pixel."""
        touched = np.zeros((self.grid.rows, self.grid.columns), bool)
        (top, bottom), (left, right) = (
            (axis.start // side, -(-axis.stop // side)) for axis, side in zip((rows, columns), self.side, strict=True)
        )
        touched[top:bottom, left:right] = True
        return touched

    def shares(self, pixels: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Give how much of each patch, 0 to 1, some pixels are: from (n, height, width) to (n, rows, columns)."""
        starts = [np.arange(0, length, side) for length, side in zip(pixels.shape[1:], self.side, strict=True)]
        counts = np.add.reduceat(np.add.reduceat(pixels.astype(np.int64), starts[0], 1), starts[1], 2)
        lengths = [np.diff([*lines, length]) for lines, length in zip(starts, pixels.shape[1:], strict=True)]
        return counts / np.outer(*lengths)

    def numbers(self, patches: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Give the numbers of the tokens of some patches (rows, columns), those before them included, in their order."""
        return np.concatenate([np.arange(self.grid.prefix), self.grid.prefix + np.flatnonzero(patches)])


def find_patch_tokens(network: Network, weights: str) -> PatchTokens:
    """Find where the tokens of patches enter a network that takes them as a set.

    A layer is their entry if the answer stays the same when the tokens of patches are given to it in another order, if the
    network answers with one of them left out, and if each of them sees its own patch and no other pixel.

    Parameters
    ----------
    network
        The network.
    weights
        Its digest, under which what is found is kept for the next question.

    Raises
    ------
    QuestionError
        If there is no such layer, saying why.
    """
    key = weights, network.preprocessing.size
    tokens = _recent[key] = _recent.pop(key, None) or _measured(network)
    for oldest in list(_recent)[:-RECENT]:
        _recent.pop(oldest, None)
    if isinstance(tokens, str):
        raise QuestionError(f"{network.name} has no tokens that can be dropped: {tokens}.", hint=_HINT)
    return tokens


def _measured(network: Network) -> PatchTokens | str:
    """Give the tokens of patches, or in words why there are none that can be left out."""
    import torch

    with network.questioned(), torch.inference_mode():
        size = network.preprocessing.size
        drawn = torch.randn(network.blank().shape, generator=torch.Generator().manual_seed(0)).to(network.device)
        reason = "none of its layers is given tokens, one for each patch"
        mixed = ""
        for layer, grid in _entries(network, drawn):
            if not _takes_a_set(network, drawn, layer, grid):
                reason = "its answer depends on the order of its tokens: it has windows, or positions inside its blocks"
                continue
            side = -(-size[0] // grid.rows), -(-size[1] // grid.columns)
            if _sees_its_patch(network, layer, grid, side):
                return PatchTokens(layer, grid, side)
            mixed = mixed or f"the tokens of {layer} see more than a patch each: patches overlap, or are mixed before"
    return mixed or reason


def _entries(network: Network, picture: torch.Tensor) -> list[tuple[str, TokenGrid]]:
    """Give the first layers that are given as many tokens as a picture has patches, in the order in which they run."""
    import torch

    from iconoscope.subject.probe import LayerCall, watching

    if network.opaque:
        return []
    grids: dict[str, TokenGrid] = {}

    def look(call: LayerCall) -> None:
        tokens = call.inputs[0] if call.inputs else None
        if isinstance(tokens, torch.Tensor) and tokens.ndim == 3 and len(tokens) == 1 and len(grids) < ENTRIES:
            grid = token_grid(tokens.shape[1], network.preprocessing.size)
            if grid is not None and min(grid.rows, grid.columns) > 1 and grid.rows * grid.columns >= FEWEST:
                grids.setdefault(call.name, grid)

    with watching(network, [name for name, _ in network.module.named_modules() if name], look, before_call=True):
        network.run(picture)
    return list(grids.items())


def _takes_a_set(network: Network, picture: torch.Tensor, layer: str, grid: TokenGrid) -> bool:
    """Tell whether the answer stays the same with the tokens in another order, and is one with a token left out."""
    import torch

    from iconoscope.subject.probe import changed_inputs

    patches = torch.randperm(grid.rows * grid.columns, generator=torch.Generator().manual_seed(0)).to(picture.device)
    order = torch.cat([torch.arange(grid.prefix, device=picture.device), grid.prefix + patches])
    clean = network.answer(picture).float()
    with changed_inputs(network, {layer: lambda tokens: tokens[:, order]}):
        moved = network.answer(picture).float()
    rounding = max(TOLERANCE, 4 * torch.finfo(network.fitted(picture).dtype).eps)
    if moved.shape != clean.shape or float((moved - clean).abs().max()) > rounding * float(clean.abs().max()):
        return False
    try:
        with changed_inputs(network, {layer: lambda tokens: tokens[:, order[:-1]]}):
            return network.answer(picture).shape == clean.shape
    except NetworkError:  # what follows wants as many tokens as there were, to add their positions for example
        return False


def _sees_its_patch(network: Network, layer: str, grid: TokenGrid, side: tuple[int, int]) -> bool:
    """Tell whether each token sees its own patch alone: all pixels of a row of patches, or of a column, are made NaN.

    A token that none but its own row and its own column reach sees no other patch, since whatever sees NaN is NaN.
    """
    import torch

    from iconoscope.subject.probe import given_to

    at_once = 1 if network.singly else 8
    for axis, count in enumerate((grid.rows, grid.columns)):
        for first in range(0, count, at_once):
            lines = range(first, min(first + at_once, count))
            batch = network.blank(len(lines))
            expected = torch.zeros(len(lines), grid.rows, grid.columns, dtype=torch.bool, device=batch.device)
            for index, line in enumerate(lines):
                pixels = slice(line * side[axis], (line + 1) * side[axis])
                batch[index].movedim(1 + axis, 0)[pixels] = nan
                expected[index].movedim(axis, 0)[line] = True
            reached = given_to(network, layer, batch).isnan().any(2)
            if reached[:, : grid.prefix].any() or not torch.equal(reached[:, grid.prefix :], expected.flatten(1)):
                return False
    return True
