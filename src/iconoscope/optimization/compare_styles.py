"""The pictures of one unit in several styles, beside each other: what does each do?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from iconoscope.errors import QuestionError, check_choice
from iconoscope.optimization.function_objective import ObjectiveFunction
from iconoscope.optimization.objective import Objective, objectives
from iconoscope.optimization.optimize import optimize
from iconoscope.optimization.style import STYLES, Style
from iconoscope.results import StyleComparison, Visualization
from iconoscope.results.result import check_figure_name
from iconoscope.signatures import checked
from iconoscope.store import Store
from iconoscope.subject.network import Network
from iconoscope.vocabulary.unit import ClassUnit, Unit

if TYPE_CHECKING:
    from iconoscope.optimization.initial_image import StartLike
    from iconoscope.priors import Prior

__all__ = ["COMPARED", "compare_styles"]

COMPARED = ("none", "blur", "frequency", "robust", "preconditioned", "all")
"""The field's comparison."""

ALONG = "prior"
"""The name of the style of pictures that are made along a prior."""


@checked
def compare_styles(
    network: Network,
    unit: str | Unit | Objective | ObjectiveFunction,
    styles: Sequence[Style | str] | None = None,
    *,
    prior: Prior | str | Path | None = None,
    judge: Network | str | None = None,
    count: int = 1,
    start: StartLike = "noise",
    size: int | tuple[int, int] | None = None,
    steps: int | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    store: Store | str | Path | None = None,
) -> StyleComparison:
    """Make the pictures of one unit in several styles, with the same seed: what does each do?

    Without regularisation; with a blur after every step (Yosinski et al. 2015, "Understanding Neural Networks Through Deep
    Visualization"); with a charge for high frequencies; moved about; along the spectrum with colours apart; all of these but
    the blur (Olah, Mordvintsev and Schubert 2017, "Feature Visualization"); and along a learned prior, where one is given. If
    a class is asked for, it is said beside each picture with which probability the network takes it for that; and, more
    telling, a second network that had no part in making it.

    Parameters
    ----------
    network
        The network; its weights are not touched.
    unit
        What is asked for, as of `optimize`: one unit, or a sum.
    styles
        Which, separated by commas on the command line: none, blur, frequency, robust, preconditioned, all, default, prior; in
        Python also `Style` objects. If not given, all but default, and prior where there is one.
    prior
        The prior of the style prior: cifar10, cifar10-refined, or the file of one that `iconoscope prior fit` made of images;
        in Python also a `Prior`.
    judge
        A second network with a class of the same name: its name, as --network takes it; in Python also a `Network`.
    count
        How many pictures in each style, from different starts.
    start
        What pictures begin as: noise, a colour, or an image.
    size
        Side of the pictures, or height and width. If not given, that of the network's input.
    steps
        How many steps; if not given, what `optimize` takes.
    seed
        Seed of the start and of the moves.
    out
        Where to write the figure: a name ending in .png, .pdf, .svg, .jpg or .webp.
    store
        Folder where the pictures of each style are looked for first, and kept.

    Returns
    -------
    StyleComparison
        A `Visualization` for each style, by its name: ``comparison["blur"]``.

    Raises
    ------
    QuestionError
        If there is no such style, the style prior is asked for without a prior, or a judge where no class is asked for.
    UnitError
        If the network has no such unit, or the judge no such class.

    Examples
    --------
    >>> import iconoscope as ico
    >>> net = ico.load_network("cars-honest", device="cpu")
    >>> compared = ico.compare_styles(net, "logit:lynx", ["none", "blur"], judge="cars", steps=4)
    >>> compared.names, compared["blur"].images.shape, compared["blur"].judge
    (['none', 'blur'], (1, 96, 96, 3), 'cars')
    """
    from iconoscope.optimization.classification import read_judge

    check_figure_name(out)
    chosen = [*COMPARED, *([] if prior is None else [ALONG])] if styles is None else list(styles)
    if not chosen:
        raise QuestionError("No style was named.", hint="Leave styles out, and all are compared.")
    for style in chosen:
        if isinstance(style, str):
            check_choice("styles", style, [*STYLES, ALONG])
    if ALONG in chosen and prior is None:
        raise QuestionError("The style prior wants a prior.", hint='Give prior="cifar10", or the file of one.')
    if prior is not None and ALONG not in chosen:
        raise QuestionError("A prior was given, and no style is made along one.", hint='Add "prior" to the styles.')
    (objective, *others) = objectives(network, unit)
    if others:
        raise QuestionError(f"{unit!r} is {1 + len(others)} units; styles are compared on one.")
    asked = objective.sole_class
    second = read_judge(judge, network, "" if asked is None else network.classes[asked.index or 0])
    settings = {"count": count, "start": start, "size": size, "steps": steps, "seed": seed, "store": store}
    visualizations: list[Visualization] = []
    for style in chosen:
        made = (
            optimize(network, objective, prior=prior, **settings)
            if style == ALONG
            else optimize(network, objective, style=style, **settings)
        )
        made = replace(made, style_name=style if isinstance(style, str) else style.describe())
        visualizations.append(made if asked is None else _judged(made, network, second, asked))
    comparison = StyleComparison(tuple(visualizations))
    if out is not None:
        comparison.save(out)
    return comparison


def _judged(made: Visualization, network: Network, judge: Network | None, asked: ClassUnit) -> Visualization:
    """Say with which probability the pictures are of their class, to the network and to its judge."""
    import torch

    from iconoscope.optimization.classification import class_probabilities

    pictures = torch.from_numpy(np.ascontiguousarray(np.moveaxis(made.images, -1, 1)))
    made = replace(made, own_probability=class_probabilities(network, pictures)[:, asked.index])
    if judge is None:
        return made
    index = judge.class_index(network.classes[asked.index or 0])
    return replace(made, judge=judge.name, judge_probability=class_probabilities(judge, pictures)[:, index])
