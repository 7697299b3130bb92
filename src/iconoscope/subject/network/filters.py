"""The filters of a network's first convolution, as they are."""

from __future__ import annotations

from pathlib import Path

from iconoscope import __version__
from iconoscope.errors import UnitError
from iconoscope.results import FilterSheet, Question
from iconoscope.results.result import check_figure_name
from iconoscope.signatures import checked
from iconoscope.store import Store, answered
from iconoscope.subject.network.network import Network

__all__ = ["first_filters"]


@checked
def first_filters(
    network: Network, *, out: str | Path | None = None, store: Store | str | Path | None = None
) -> FilterSheet:
    """Show the filters of the first convolution as pictures.

    Of a large first layer, 7x7 pixels and more, smooth filters that differ are a sign of a network that was trained well;
    noise, and many that are near zero, of one that was not. Small filters of a small network look like noise to the eye.

    Parameters
    ----------
    network
        The network.
    out
        Where to write the figure: a name ending in .png, .pdf, .svg, .jpg or .webp.
    store
        Folder where the answer is looked for first, and kept.

    Returns
    -------
    FilterSheet
        The weights.

    Raises
    ------
    UnitError
        If the network has no convolution.

    Examples
    --------
    >>> import iconoscope as ico
    >>> ico.first_filters(ico.load_network("cars", device="cpu")).filters.shape
    (16, 3, 5, 5)
    """
    from torch import nn

    check_figure_name(out)
    convolutions = ((name, module) for name, module in network.module.named_modules() if isinstance(module, nn.Conv2d))
    name, first = next(convolutions, ("", None))
    if first is None:
        raise UnitError(f"{network.name} has no convolution, so no filters.")
    question = Question(
        technique="filters",
        network=network.name,
        weights=network.digest(),
        subject="its weights",
        pixels="",
        unit=name,
        version=__version__,
    )

    def read() -> FilterSheet:
        return FilterSheet(question=question, filters=first.weight.detach().float().cpu().numpy())

    return answered(question, FilterSheet, read, store=store, out=out, witness=network.witness)
