"""Input optimisation: make the picture that a unit answers most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from iconoscope.errors import QuestionError, check_choice, check_counts, check_path, warn
from iconoscope.optimization import latent_parameterization
from iconoscope.optimization.function_objective import ObjectiveFunction
from iconoscope.optimization.latent_parameterization import LatentParameterization
from iconoscope.optimization.objective import Objective, objectives
from iconoscope.optimization.style import Style, read_style
from iconoscope.optimization.synthesis import PictureRequest, Synthesis, check_pictures, concatenate
from iconoscope.progress import track
from iconoscope.results import Visualization
from iconoscope.results.result import check_figure_name
from iconoscope.signatures import checked
from iconoscope.store import Store
from iconoscope.subject.memory import read_memory
from iconoscope.subject.network import Network
from iconoscope.subject.network.preprocessing import read_size
from iconoscope.subject.processor import has_bfloat16
from iconoscope.vocabulary.unit import Unit

if TYPE_CHECKING:
    from iconoscope.optimization.initial_image import StartLike
    from iconoscope.optimization.reference_activations import ReferenceImages
    from iconoscope.priors import Prior

__all__ = ["optimize"]

MEMORY = 2 * 10**9
"""Bytes that may be taken if nothing else is said."""

_Bundle = tuple[int, list[PictureRequest]]
"""The index of a group, and pictures of it that must be made together."""


@checked
def optimize(
    network: Network,
    unit: str | Unit | Objective | ObjectiveFunction | Sequence[str | Unit | Objective | ObjectiveFunction],
    *,
    count: int = 1,
    style: Style | str = "default",
    start: StartLike = "noise",
    size: int | tuple[int, int] | None = None,
    steps: int | None = None,
    diversity: float = 0.0,
    compare: Any = None,
    prior: Prior | str | Path | None = None,
    cap: float | None = None,
    precision: str = "float32",
    memory: str | int | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    store: Store | str | Path | None = None,
) -> Visualization:
    """Make the picture that a unit answers most (feature visualization, activation maximization): what does it look for?

    A picture is changed along the gradient of the unit's answer, written down and moved about in such a way that it means
    something to a person (Olah, Mordvintsev and Schubert 2017, "Feature Visualization"). A unit behind a ReLU is asked before
    it, where it says what it lacks even while it is off.

    Parameters
    ----------
    network
        The network; its weights are not touched.
    unit
        What is asked for: logit:bird, layer2.0.conv1:17, many as layer2.0.conv1:0-15 or layer2.0.conv1:*, or a sum as
        "2*logit:bird - logit:truck"; with a minus before it, what silences it (in a shell as --unit=-logit:bird). In Python
        also objectives, functions of what layers answer to one picture as `iconoscope.unit` has them, and lists.
    count
        How many pictures of each, from different starts.
    style
        How pictures are made: default, none, blur, frequency, robust, preconditioned or all; in Python also a `Style`.
    start
        What pictures begin as: noise, a colour (grey, #ff8800), an image or a folder of them, each in turn; in Python also
        arrays and PIL images.
    size
        Side of the pictures, or height and width as 128x192 (in Python (128, 192)), in pixels. If not given, that of the
        network's input; a larger one is shown to the network part by part.
    steps
        How many steps. If not given, 64 for pictures under 100 pixels, else 128; where it is not their spectrum that is
        changed, as in the styles none, blur, frequency and robust, 128 and 256.
    diversity
        What it costs, in the unit's answers, that pictures of one unit are alike: try 1 to 100.
    compare
        Images whose strongest answer is stated beside that of the picture: a folder, a file, arrays.
    prior
        What pictures may be: cifar10, cifar10-refined, or the file of one that `iconoscope prior fit` made of images; in
        Python also a `Prior`. Only pictures that could have come from there are made.
    cap
        Stop asking for more where a unit answers so many times as strongly as real images do: as the strongest hundredth of
        those to compare with; for a class, as the strongest tenth of those of them that are labelled with it. Try 1.2. Most
        of what looks unreal in a picture comes from asking for more than there is. With a prior it is 1.2 if nothing is said,
        of the images that the prior keeps if there are none to compare with; inf asks for the most.
    precision
        In what numbers the network is asked: float32, or bfloat16, which is up to twice as fast on a processor that has it.
    memory
        Bound on the memory that pictures and maps take, the weights and finished pictures not counted: 500MB, 2GB, 1.5GiB, or
        bytes; 2GB if not given. It decides how many pictures are made at once.
    seed
        Seed of the start and of the moves.
    out
        Where to write the figure: a name ending in .png, .pdf, .svg, .jpg or .webp.
    store
        Folder where the answer is looked for first, and kept: one for every unit. A function is known by its code and all that
        this reads; where not all of that can be seen, its pictures are not kept, with a warning.

    Returns
    -------
    Visualization
        All pictures: those of the first unit first. Ctrl-C gives what has been reached by then, with a warning.

    Raises
    ------
    UnitError
        If the network has no such unit.
    QuestionError
        If a setting is no choice, or a function fails or has no gradient.
    NonFiniteError
        If the network answers NaN or infinity; it says at which step.

    Examples
    --------
    >>> import iconoscope as ico
    >>> net = ico.load_network("cars-honest", device="cpu")
    >>> pictures = ico.optimize(net, "conv4:0-1", steps=4)
    >>> pictures.images.shape, pictures.units
    ((2, 96, 96, 3), ('conv4:0', 'conv4:1'))
    >>> def margin(answers):
    ...     return answers["logits"][0] - answers["logits"][1] + answers["conv4"][7].max()
    >>> ico.optimize(net, margin, steps=4).units
    ('margin(logits, conv4)',)
    """
    from iconoscope.optimization.initial_image import read_start
    from iconoscope.optimization.loop import PRECISIONS

    check_figure_name(out)
    check_counts(count=count)
    check_counts(most=10**6, steps=1 if steps is None else steps)
    check_choice("precision", precision, PRECISIONS)
    if precision == "bfloat16" and network.device.type == "cpu" and not has_bfloat16():
        raise QuestionError("This processor has no arithmetic in bfloat16.", hint="Leave precision at float32.")
    bound = read_memory(memory) or MEMORY
    if prior is None and isinstance(style, Style) and isinstance(style.parameterization, LatentParameterization):
        prior = style.parameterization.prior
    _check(count, diversity, cap, comparable=compare is not None or prior is not None)
    chosen = read_style(style) if prior is None else latent_parameterization.style_with_prior(prior, style)
    latent = chosen.parameterization if isinstance(chosen.parameterization, LatentParameterization) else None
    sides = read_size(size) or (latent and latent.prior.shape[1:]) or network.preprocessing.size
    steps = steps or chosen.steps_for(sides)
    limits = {"channels": network.channels, "size": sides, "steps": steps, "memory": read_memory(memory)}
    check_pictures(1, **limits)
    begun, sides = read_start(start, network.preprocessing, None if sides == network.preprocessing.size else sides)
    reference = _reference(network, compare, latent)
    if latent is not None and cap is None and reference is not None:
        cap = latent_parameterization.CAP
    synthesis = Synthesis(
        network=network,
        weights=network.digest(),
        style=chosen.fitted(sides, network.channels),
        start=begun,
        size=sides,
        count=count,
        steps=steps,
        diversity=diversity,
        seed=seed,
        precision=precision,
        cap=None if cap == float("inf") else cap,
        compare=reference,
    )
    resolved = objectives(network, unit)
    check_pictures(len(resolved) * synthesis.per_objective, **limits)
    groups = [resolved] if synthesis.style.joint else [[objective] for objective in resolved]
    if store is not None:
        synthesis.style.check_storable()
    visualization = _make_all(
        synthesis, groups, bound, None if store is None else Store.at(store, witness=network.witness)
    )
    if out is not None:
        visualization.save(out)
    return visualization


def _check(count: int, diversity: float, cap: float | None, *, comparable: bool) -> None:
    if not 0 <= diversity < float("inf"):
        raise QuestionError(f"diversity={diversity} must be at least 0.")
    if diversity and count < 2:
        raise QuestionError(f"diversity={diversity} is between pictures of one unit.", hint="Give count=2 or more.")
    if cap is not None and not cap > 0:
        raise QuestionError(f"cap={cap} must be over 0.", hint="Try 1.4: 1.4 times what strong real images answer.")
    if cap is not None and not comparable and cap < float("inf"):
        raise QuestionError(
            f"cap={cap} is so many times what real images answer, and none were given.",
            hint="Give images: compare=FOLDER.",
        )


def _reference(network: Network, compare: Any, latent: LatentParameterization | None) -> ReferenceImages | None:
    """Give the real images that were given to compare with, or those that a prior keeps, if there are any."""
    if compare is None:
        return None if latent is None else latent_parameterization.real_images(latent.prior, network)
    from iconoscope.optimization.reference_activations import read_reference

    if isinstance(compare, str):
        check_path("compare", compare)
        if not Path(compare).expanduser().exists():
            raise QuestionError(
                f"compare={compare!r} does not exist.", hint="Give a folder of images, a file, or arrays."
            )
    return read_reference(network, compare)


def _make_all(
    synthesis: Synthesis, groups: Sequence[Sequence[Objective]], memory: int, store: Store | None
) -> Visualization:
    """Make the pictures of all groups, batch by batch; what the store has is not made again."""
    results = {} if store is None else _stored(synthesis, groups, store)
    bundles = [
        (index, bundle)
        for index, group in enumerate(groups)
        if index not in results
        for bundle in synthesis.bundles(group)
    ]
    objectives = [request.objective for _, requests in bundles for request in requests]
    reference = synthesis.reference_answers(objectives) if objectives else {}
    parts: dict[int, list[dict[str, np.ndarray]]] = {}
    ended = True
    batches = _packed(bundles, synthesis.batch_size(bundles[0][1], memory)) if bundles else []
    for batch in track(batches, f"optimizing, {synthesis.network.name}") if len(batches) > 1 else batches:
        try:
            arrays, ended = synthesis.make([request for _, requests in batch for request in requests], reference)
        except KeyboardInterrupt:
            if not results and not parts:
                raise
            ended = False
            break
        first = 0
        for index, requests in batch:
            last = first + len(requests)
            parts.setdefault(index, []).append({name: array[first:last] for name, array in arrays.items()})
            first = last
        for index in {index for index, _ in batch}:
            count = sum(len(part["images"]) for part in parts[index])
            if count == len(groups[index]) * synthesis.per_objective and ended:
                results[index] = synthesis.result(groups[index], concatenate(parts.pop(index)))
                if store is not None:
                    store.keep(results[index])
        if not ended:
            break
    results |= {index: synthesis.result(groups[index], concatenate(begun)) for index, begun in parts.items()}
    visualization = _joined([results[index] for index in sorted(results)])
    if not ended:
        total = synthesis.per_objective * sum(map(len, groups))
        warn(f"Interrupted: {len(visualization)} of {total} pictures, the last ones unfinished.")
    return visualization


def _stored(synthesis: Synthesis, groups: Sequence[Sequence[Objective]], store: Store) -> dict[int, Visualization]:
    """Give the results that a store has, by the index of their group, and make it ready for those that it has not."""
    answers = {index: store.find(synthesis.question(group), Visualization) for index, group in enumerate(groups)}
    stored = {index: answer for index, answer in answers.items() if answer is not None}
    if len(stored) < len(groups):
        store.prepare()
    return stored


def _packed(bundles: Sequence[_Bundle], most: int) -> list[list[_Bundle]]:
    """Put bundles into batches of at most so many pictures."""
    batches: list[list[_Bundle]] = []
    room = 0
    for bundle in bundles:
        count = len(bundle[1])
        if count > room:
            batches.append([])
            room = max(most, count)
        batches[-1].append(bundle)
        room -= count
    return batches


def _joined(results: Sequence[Visualization]) -> Visualization:
    """Put the results of several units into one."""
    first = results[0]
    if len(results) == 1:
        return first
    names = [field.name for field in fields(first) if isinstance(getattr(first, field.name), np.ndarray)]
    units = tuple(unit for visualization in results for unit in visualization.units)
    return replace(
        first,
        question=replace(first.question, unit="; ".join(dict.fromkeys(units))),
        units=units,
        **concatenate([{name: getattr(visualization, name) for name in names} for visualization in results]),
    )
