"""The answers of layers in one order: images, channels, and then places: none, rows and columns, or tokens.

======================================  =====================  =============================================================
what a layer answers                    becomes                where it is so
======================================  =====================  =============================================================
(images, channels)                      as it is               vectors: linear layers behind the pooling
(images, channels, rows, columns)       as it is               maps of convolutions
(images, rows, columns, channels)       (n, c, rows, columns)  linear layers and norms of ConvNeXt, blocks of Swin
(images, tokens, channels)              (n, c, tokens)         transformers; a token of a class, if any, is the first of them
a tuple                                 its first              attention, and the layers of the library transformers
======================================  =====================  =============================================================
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from iconoscope.errors import UnitError

if TYPE_CHECKING:
    import torch
    from torch import nn

__all__ = ["TokenGrid", "place_at", "read_maps", "tensor_of", "token_grid"]

MOST_PREFIXED = 8
"""Tokens that stand before those of patches: of the class, of a teacher (DeiT), registers (Darcet et al. 2024)."""


@dataclass(frozen=True)
class TokenGrid:
    """Where on the picture the tokens of a layer are.

    Attributes
    ----------
    prefix : int
        How many tokens stand before those of patches; the first of them is that of the class.
    rows, columns : int
        Of the patches.
    """

    prefix: int
    rows: int
    columns: int

    def index(self, row: int, column: int) -> int:
        """Give the number of the token of a patch."""
        return self.prefix + row * self.columns + column


def token_grid(tokens: int, size: tuple[int, int]) -> TokenGrid | None:
    """Find the patches behind a number of tokens: the finest division of a picture into squares that they suffice for.

    Parameters
    ----------
    tokens
        How many there are.
    size
        Height and width of the network's input, pixels.

    Returns
    -------
    TokenGrid or None
        None if they are no grid with at most `MOST_PREFIXED` tokens before it.

    Examples
    --------
    >>> token_grid(197, (224, 224)), token_grid(49, (224, 224))
    (TokenGrid(prefix=1, rows=14, columns=14), TokenGrid(prefix=0, rows=7, columns=7))
    """
    height, width = size
    sides = range(1, min(size) + 1)
    exact = [(height // side, width // side) for side in sides if not height % side and not width % side]
    padded = [(-(-height // side), -(-width // side)) for side in sides]
    for grids in (exact, padded):
        fitting = [grid for grid in grids if 0 <= tokens - grid[0] * grid[1] <= MOST_PREFIXED]
        if fitting:
            rows, columns = max(fitting, key=lambda grid: grid[0] * grid[1])
            return TokenGrid(tokens - rows * columns, rows, columns)
    return None


def place_at(
    shape: Sequence[int], layer: str, position: tuple[int, int] | str, size: tuple[int, int]
) -> tuple[int, ...]:
    """Give the last indices of what stands at a position: (row, column) of maps, (token,) of tokens.

    Parameters
    ----------
    shape
        Of the layer's answer as `read_maps` orders it.
    layer
        Its name, for messages.
    position
        The row and the column of a map or a patch; ``center``; or ``cls``, the token of the class.
    size
        Height and width of the network's input, pixels.

    Raises
    ------
    UnitError
        If there is no such place.
    """
    if len(shape) == 2:
        raise UnitError(f"{layer} is a vector: it has no position {position}.", hint="Ask the channel alone.")
    kind = "maps"
    if len(shape) == 4:
        grid = TokenGrid(0, int(shape[2]), int(shape[3]))
    else:
        kind = "patches"
        grid = token_grid(int(shape[2]), size)
        if grid is None:
            raise UnitError(
                f"{layer} answers {shape[2]} tokens, which are no patches of a picture of {size[0]}x{size[1]} pixels.",
                hint="Ask without a position: the mean over all tokens.",
            )
    if position == "cls":
        if not grid.prefix:
            raise UnitError(f"{layer} has no token of the class: its {kind} are {grid.rows}x{grid.columns}.")
        return (0,)
    row, column = (grid.rows // 2, grid.columns // 2) if isinstance(position, str) else position
    if row >= grid.rows or column >= grid.columns:
        raise UnitError(f"{layer} has no position {row},{column}: its {kind} are {grid.rows}x{grid.columns}.")
    return (row, column) if len(shape) == 4 else (grid.index(row, column),)


def tensor_of(answer: Any) -> Any:
    """Give the tensor that is read of a layer's answer: of a tuple the first, as attention answers it."""
    return answer[0] if isinstance(answer, tuple | list) and answer else answer


def read_maps(answer: Any, module: nn.Module, batch: torch.Tensor, layer: str) -> torch.Tensor:
    """Bring what a layer answers into the order of this module; nothing is copied.

    Parameters
    ----------
    answer
        What it answers; of a tuple the first is read.
    module
        The layer.
    batch
        What the network was given, (images, channels, height, width).
    layer
        Its name, for messages.

    Raises
    ------
    UnitError
        If it answers no tensor, or not one answer for each image.
    """
    import torch

    answer = tensor_of(answer)
    if not isinstance(answer, torch.Tensor):
        raise UnitError(f"{layer} answers a {type(answer).__name__}, not a tensor.", hint="Ask a layer inside it.")
    if answer.ndim not in (2, 3, 4):
        raise UnitError(
            f"{layer} answers {tuple(answer.shape)}; units are read from maps (images, channels, rows, columns), tokens "
            "(images, tokens, channels) and vectors (images, channels).",
            hint="Ask another layer; iconoscope layers lists what each of them answers.",
        )
    if answer.shape[0] != batch.shape[0]:
        raise UnitError(
            f"{layer} answers {tuple(answer.shape)} to {batch.shape[0]} images: not one answer for each, as inside the "
            "windows of a Swin transformer.",
            hint="Ask the block around it, or its mlp.",
        )
    if answer.ndim == 4 and _channels_last(answer, module, batch):
        return answer.permute(0, 3, 1, 2)
    if answer.ndim == 3 and not _names(module, r"Conv1d|BatchNorm1d|InstanceNorm1d"):
        return answer.transpose(1, 2)
    return answer


def _channels_last(answer: torch.Tensor, module: nn.Module, batch: torch.Tensor) -> bool:
    """Tell whether the channels of maps are the last axis, by what the layer is or, if that does not say, by the shape."""
    order = getattr(module, "data_format", None)  # of the norms of ConvNeXt, which exist in both orders
    if order == "channels_first" or _names(module, r"(Conv|BatchNorm|Pool|LayerNorm|Upsample)\w*2d\w*|GroupNorm"):
        return False
    if _names(module, r"Linear|LayerNorm|RMSNorm"):
        return True
    height, width = batch.shape[2:]
    _, one, two, three = answer.shape

    def fits(rows: int, columns: int) -> bool:
        # A division into squares keeps the proportions, up to a row or a column at the border.
        return rows <= height and columns <= width and abs(rows * width - columns * height) <= max(height, width)

    if fits(one, two) == fits(two, three):
        return abs(one * width - two * height) < abs(two * width - three * height)
    return fits(one, two)


def _names(module: nn.Module, pattern: str) -> bool:
    return any(re.fullmatch(pattern, kind.__name__) for kind in type(module).__mro__)
