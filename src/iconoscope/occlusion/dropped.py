"""Tokens dropped: patches of a transformer are taken away, where other fills put something in their place.

Whatever covers a patch is itself a thing to see. A transformer can do without a token: what it never saw cannot tell it
anything (Jain, Salman, Wong, Zhang, Vineet, Vemprala and Madry 2022, "Missingness Bias in Model Debugging", ICLR).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from iconoscope.errors import NonFiniteError, QuestionError
from iconoscope.occlusion.dense import Scan, batch_size, measured_memory
from iconoscope.occlusion.geometry import Grid
from iconoscope.progress import track
from iconoscope.subject.network import Network
from iconoscope.subject.patch_tokens import PatchTokens
from iconoscope.subject.probe import LayerCall, changed_inputs, watching
from iconoscope.subject.response import respond
from iconoscope.vocabulary.unit import ClassUnit, LayerUnit, Unit

__all__ = ["check_unit", "respond_to_nothing", "respond_to_patches", "scan_dropped"]


def scan_dropped(
    network: Network,
    image: torch.Tensor,
    grid: Grid,
    unit: Unit,
    tokens: PatchTokens,
    *,
    keep: bool = False,
    memory: int | None = None,
) -> Scan:
    """Take away, at every position of the grid, the tokens that the patch touches, and ask; exact.

    With `keep` these are all that is left, and those of the other patches are taken away.

    Parameters
    ----------
    network
        In evaluation mode.
    image
        (channels, height, width), in the network's input space.
    grid
        The positions.
    unit
        Resolved.
    tokens
        Of the network.
    memory
        Bytes that the inputs and the maps may take, the weights and the answers not counted.

    Raises
    ------
    QuestionError
        If a patch leaves nothing to a network that has no token but those of patches, or as `check_unit` raises it.
    """
    check_unit(network, unit, tokens)
    touched = np.stack([tokens.touched(*grid.window(position)) for position in range(len(grid))])
    kept = touched if keep else ~touched
    values, batch = respond_to_patches(network, image, kept, unit, tokens, memory=memory)
    counts = kept.sum((1, 2))
    fewest, most, every = int(counts.min()), int(counts.max()), tokens.grid.rows * tokens.grid.columns
    left = f"{most}" if fewest == most else f"{fewest} to {most}"
    plan = f"dropped: {len(grid)} positions, {left} of {every} patches left, {batch} at a time"
    return Scan(values.reshape(*grid.shape, -1), plan)


def respond_to_nothing(
    network: Network, image: torch.Tensor, unit: Unit, tokens: PatchTokens
) -> NDArray[np.float32] | None:
    """Ask with the tokens of all patches taken away: (outputs,).

    None where a network has no answer to that: it has no other tokens, or takes the mean over those of patches.
    """
    if not tokens.grid.prefix:
        return None
    nothing = np.zeros((1, tokens.grid.rows, tokens.grid.columns), np.bool_)
    try:
        return respond_to_patches(network, image, nothing, unit, tokens)[0][0]
    except NonFiniteError:  # the mean of no token
        return None


def respond_to_patches(
    network: Network,
    image: torch.Tensor,
    kept: NDArray[np.bool_],
    unit: Unit,
    tokens: PatchTokens,
    *,
    memory: int | None = None,
    most: int | None = None,
) -> tuple[NDArray[np.float32], int]:
    """Ask about one image several times, each time with the tokens of some patches alone.

    The image is embedded once for a batch. Those with equally many tokens go through together.

    Parameters
    ----------
    network, image, unit, tokens, memory
        As in `scan_dropped`.
    kept
        (times, rows, columns): the patches whose tokens are kept.
    most
        How many go through the network at once, at most.

    Returns
    -------
    tuple
        The answers (times, outputs), and how many went through the network at once.
    """
    image = image.to(network.device)
    counts = kept.sum((1, 2))
    if not tokens.grid.prefix and not counts.all():
        raise QuestionError(
            f"Of {network.name} no token is left where all patches are dropped: it has none for the class.",
            hint="Take a smaller patch, or another fill, as mean.",
        )

    def ask(numbers: NDArray[np.int64]) -> torch.Tensor:
        index = torch.from_numpy(numbers).to(image.device)
        batch = image.expand(len(numbers), *image.shape)
        # The same image in all: one of them is embedded, and its tokens are taken as often as there are answers.
        taken = {"": lambda pictures: pictures[:1], tokens.layer: lambda embedded: embedded[0, index]}
        with changed_inputs(network, taken):
            return respond(network, batch, unit).values.cpu()

    every = tokens.grid.prefix + tokens.grid.rows * tokens.grid.columns
    values: NDArray[np.float32] | None = None
    largest = 1
    for count in track(np.unique(counts), "tokens"):
        positions = np.flatnonzero(counts == count)
        numbers = np.stack([tokens.numbers(kept[position]) for position in positions])
        first, need, _ = measured_memory(lambda numbers=numbers: ask(numbers[:1]).numpy())
        if values is None:
            values = np.empty((len(kept), first.shape[1]), np.float32)
        values[positions[0]] = first[0]
        batch = batch_size(network, network.preprocessing.size, need, memory, work=numbers.shape[1] / every)
        batch = 1 if network.singly else min(batch, most or batch)
        largest = max(largest, min(batch, len(positions)))
        for start in range(1, len(positions), batch):
            values[positions[start : start + batch]] = ask(numbers[start : start + batch]).numpy()
    assert values is not None
    return values, largest


def check_unit(network: Network, unit: Unit, tokens: PatchTokens) -> None:
    """Refuse a unit that no longer is what it was when tokens are dropped.

    Raises
    ------
    QuestionError
        If it is one token, whose number would be another's; or of a layer that answers before tokens are dropped.
    """
    if isinstance(unit, ClassUnit):
        return
    if unit.position is not None:
        raise QuestionError(
            f"{unit} is one of many tokens, of which some are dropped.",
            hint=f"Ask about the mean over those that are left, {LayerUnit(unit.layer, unit.channel)}, or about a class.",
        )
    calls: list[str] = []

    def note(call: LayerCall) -> None:
        calls.append(call.name)

    with watching(network, [tokens.layer], note, before_call=True), watching(network, [unit.layer], note):
        network.run(network.blank())
    if calls[0] != tokens.layer:
        raise QuestionError(
            f"{unit.layer} answers before {tokens.layer}, where tokens are dropped: it would not notice.",
            hint="Ask about a layer behind it, or about a class.",
        )
