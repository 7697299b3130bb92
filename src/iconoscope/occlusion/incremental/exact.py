"""Exact occlusion: the incremental engine where it pays and agrees with the dense one, which answers everywhere else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.flop_counter import FlopCounterMode

from iconoscope.errors import QuestionError, first_line
from iconoscope.occlusion.dense import Scan, scan_dense
from iconoscope.occlusion.geometry import Cover, Grid
from iconoscope.occlusion.incremental.agreement import TOLERANCE, clean_error, covered_error, values_of
from iconoscope.occlusion.incremental.engine import CleanMaps, Runner
from iconoscope.occlusion.incremental.plan import make_plan
from iconoscope.subject.captured.capture import CaptureError, capture
from iconoscope.subject.captured.graph import Graph, run_graph
from iconoscope.subject.class_token import class_token_alone, layers_of_class_token
from iconoscope.subject.dispatcher import operation_calls
from iconoscope.subject.network import Network
from iconoscope.subject.response import Response, responding
from iconoscope.vocabulary.unit import ClassUnit, Unit

__all__ = ["MEMORY", "PlanCache", "answers_everywhere", "or_plainly", "scan_exact", "untrusted"]

MEMORY = 1 << 30
"""Bytes that the engine may take if nothing else is said."""

LEAST_GAIN = 1.15
"""Factor by which the multiplications must become fewer, to be worth the moving of pixels."""

LEAST_WORK = 5e9
"""Multiplications of a plain scan of all images, a fifth of a second; below, it is over before a plan is made."""

EXPORTING = 10
"""How many times as many they must be for torch.export to be asked where two passes cannot trace the network."""

FEWEST_POSITIONS = 200
"""Of all images: with fewer, to find the layers of a class token costs about what they save, 7% of a ViT-S/16."""

RECENT_GRAPHS = 2
_recent_graphs: dict[tuple[str, ...], Graph | str] = {}
"""Captured networks by the digest of their weights, so that the next call does not trace them again; or why they cannot be."""


@dataclass
class PlanCache:
    """Captured graphs, engines by grid, and clean maps of a network, kept from one image to the next.

    It holds for one network with one set of weights, and one bound of memory.

    Attributes
    ----------
    images : int
        How many will be asked about.
    weights : str
        Digest of the network. If it is given, the captured network is kept for the next call too.
    checked : set
        For which grids and units the engine's answers were compared with naive ones, and were the same.
    runners : dict
        The engine for every grid and unit, or the reason, in words, why there is none.
    fast_plans : dict
        The plan that `scan_fast` took last for every grid and unit.
    class_token_layers : tuple of str or None
        The last layers that may be given the class token alone, once they were looked for.
    whole_graphs : dict
        By what is read of the network, its captured form that whole pictures go through where windows gain nothing; or in words
        why there is none.
    """

    images: int = 1
    weights: str = ""
    checked: set[tuple[object, ...]] = field(default_factory=set)
    runners: dict[tuple[object, ...], Runner | str] = field(default_factory=dict)
    fast_plans: dict[tuple[object, ...], Any] = field(default_factory=dict)
    class_token_layers: tuple[str, ...] | None = None
    whole_graphs: dict[str, Graph | str] = field(default_factory=dict)
    _graphs: dict[tuple[str, ...], Graph | str] = field(default_factory=dict)
    _clean: dict[str, CleanMaps] = field(default_factory=dict)

    def runner(self, network: Network, image: torch.Tensor, grid: Grid, unit: Unit, memory: int) -> Runner | str:
        """Give the engine for a grid, or in words why there is none."""
        key = self.key(grid, unit)
        if key not in self.runners:
            self.runners[key] = self._make_runner(network, image, grid, unit, memory)
        return self.runners[key]

    def clean(self, graph: Graph, image: torch.Tensor, unit: Unit) -> CleanMaps:
        """Give the clean maps of an image; kept for the next patch size on the same image."""
        clean = self._clean.get(_outputs_of(unit))
        if clean is None or not torch.equal(clean.image, image):
            clean = self._clean[_outputs_of(unit)] = CleanMaps(graph, image)
        return clean

    def key(self, grid: Grid, unit: Unit) -> tuple[object, ...]:
        """Give what a plan is made for."""
        return _outputs_of(unit), grid.patch, grid.size, grid.top.tobytes(), grid.left.tobytes()

    def _captured(self, network: Network, image: torch.Tensor, grid: Grid, unit: Unit) -> Graph | str:
        if network.singly:
            return "the incremental engine asks for several at once"
        if self._graph_key(image, unit) in self._kept_graphs:
            return self.captured(network, image, unit)
        work = _work(network, image) * len(grid) * self.images
        if work < LEAST_WORK:
            return "too little work for a plan to pay"
        if work < EXPORTING * LEAST_WORK:
            return self.traced(network, image, unit) or "too little work for torch.export to pay"
        return self.captured(network, image, unit)

    def traced(self, network: Network, image: torch.Tensor, unit: Unit) -> Graph | None:
        """Give the captured network where it is kept, or where two passes can trace it: that takes a moment alone."""
        kept = self._kept_graphs.get(self._graph_key(image, unit))
        if isinstance(kept, str):
            return None
        with suppress(CaptureError):
            captured = self.captured(network, image, unit, graph=kept or _captured(network, image, unit, export=False))
            return captured if isinstance(captured, Graph) else None
        return None

    def captured(
        self,
        network: Network,
        image: torch.Tensor,
        unit: Unit,
        *,
        class_token: tuple[str, ...] = (),
        graph: Graph | None = None,
    ) -> Graph | str:
        """Give the captured network, kept for the next call too; or why it cannot be captured.

        `class_token` are the layers that are given the class token alone while it is captured; `graph` is what it is, where it
        was captured before.
        """
        key, graphs = self._graph_key(image, unit, class_token), self._kept_graphs
        # The latest is put last, and the one that was not asked for longest goes first, while other threads may do the same.
        found = graphs[key] = graph or graphs.pop(key, None) or _captured_or_why(network, image, unit)
        for oldest in list(graphs)[:-RECENT_GRAPHS]:
            graphs.pop(oldest, None)
        return found

    @property
    def _kept_graphs(self) -> dict[tuple[str, ...], Graph | str]:
        return _recent_graphs if self.weights else self._graphs

    def _graph_key(self, image: torch.Tensor, unit: Unit, class_token: tuple[str, ...] = ()) -> tuple[str, ...]:
        kind = str(tuple(image.shape)), str(image.dtype), str(image.device)
        return self.weights, _outputs_of(unit), *kind, *class_token

    def _make_runner(self, network: Network, image: torch.Tensor, grid: Grid, unit: Unit, memory: int) -> Runner | str:
        graph = self._captured(network, image, grid, unit)
        if isinstance(graph, str):
            return graph
        plan = make_plan(graph, grid, memory=memory)
        if plan.peak > memory:
            return f"the incremental engine would need {plan.peak / 1e6:.0f} MB"
        if plan.gain < LEAST_GAIN:
            self.whole_graphs.setdefault(_outputs_of(unit), graph)
            where = f"from {plan.whole_from} on " if plan.whole_from else ""
            return f"{where}every position changes nearly everything, so there is nothing to gain"
        return Runner(plan)


def _captured_or_why(network: Network, image: torch.Tensor, unit: Unit) -> Graph | str:
    """Give the captured network, or why it cannot be captured."""
    try:
        return _captured(network, image, unit)
    except CaptureError as error:
        return str(error)


def _captured(network: Network, image: torch.Tensor, unit: Unit, *, export: bool = True) -> Graph:
    module = network.answering(image[None]) if isinstance(unit, ClassUnit) else responding(network, unit)
    return capture(module, image) if export else capture(module, image, export=False)


def _outputs_of(unit: Unit) -> str:
    """Name what is read of the network: all classes, or all channels of a layer in one way."""
    return "classes" if isinstance(unit, ClassUnit) else f"{unit.layer} {unit.channel is None} {unit.position}"


def scan_exact(
    network: Network,
    image: torch.Tensor,
    cover: Cover,
    grid: Grid,
    unit: Unit,
    *,
    plans: PlanCache | None = None,
    memory: int | None = None,
    clean: Response | None = None,
) -> Scan:
    """Put the patch at every position of the grid and ask, computing anew only what the patch changes.

    The answers are those of `scan_dense` up to the rounding of float32 (Krypton: Nakandala, Kumar and Papakonstantinou,
    SIGMOD 2019). Of every image the answer to the untouched picture is compared with the network's own, and with the first
    image some positions are asked naively too; if they differ, the plain engine answers.

    Parameters
    ----------
    network
        In evaluation mode.
    image
        (channels, height, width), in the network's input space.
    cover
        What covers it.
    grid
        The positions.
    unit
        Resolved.
    plans
        Where the plan is kept for the next image.
    memory
        Bytes that maps, indices and one chunk of positions may take together, the weights not counted.
    clean
        What the network answers to the image with nothing covered; it is asked where that is not given.
    """
    plans = PlanCache() if plans is None else plans

    def incrementally(image: torch.Tensor, cover: Cover) -> Scan | str:
        runner = plans.runner(network, image, grid, unit, memory or MEMORY)
        if isinstance(runner, str):
            return runner
        maps = plans.clean(runner.plan.graph, image, unit)
        key = plans.key(grid, unit)
        if reason := untrusted(network, maps, unit, clean):
            plans.runners[key] = reason
            return reason
        occluded = answers_everywhere(network, runner, maps, cover, unit)
        if not np.isfinite(occluded).all():
            return "the incremental engine answered NaN or infinity"
        if error := _covered_error_once(network, image, cover, grid, unit, occluded, plans=plans, key=key):
            reason = plans.runners[key] = f"the incremental engine differed by {error:.1g} and was not trusted"
            return reason
        text = f"exact: {len(grid)} positions, {runner.plan.gain:.1f}x fewer operations than dense"
        whole_from = runner.plan.whole_from
        return Scan(occluded, f"{text}; dense from {whole_from} on" if whole_from else text)

    return or_plainly(incrementally, network, image, cover, grid, unit, plans=plans, memory=memory, clean=clean)


def untrusted(network: Network, maps: CleanMaps, unit: Unit, clean: Response | None) -> str:
    """Give in words why the engine does not answer for an image, if the network answers it otherwise; else nothing."""
    error = clean_error(network, maps.image, unit, maps.answer, clean)
    return f"the incremental engine differed by {error:.1g} on the untouched image and was not trusted" if error else ""


def or_plainly(
    engine: Callable[[torch.Tensor, Cover], Scan | str],
    network: Network,
    image: torch.Tensor,
    cover: Cover,
    grid: Grid,
    unit: Unit,
    *,
    plans: PlanCache,
    memory: int | None,
    clean: Response | None,
) -> Scan:
    """Give what an engine answers to an image and its cover, as the network takes them; the plain answer where it has none.

    Whatever goes wrong while it plans, measures or computes is a reason, as one that it gives in words: the plan says it, and
    the next image is answered plainly at once. What is wrong with the network itself the plain engine raises.
    """
    image = network.fitted(image)
    cover = cover.to(image)
    try:
        scan = engine(image, cover)
    except Exception as error:  # noqa: BLE001 -- the user's code runs in ways that it was not written for
        scan = f"the incremental engine failed ({type(error).__name__}: {first_line(error, most=120)})"
        plans.runners[plans.key(grid, unit)] = scan
    if isinstance(scan, Scan):
        return scan
    plain = _scan_plainly(network, image, cover, grid, unit, plans=plans, memory=memory, clean=clean)
    return Scan(plain.occluded, f"{plain.plan}; {scan}")


def _scan_plainly(
    network: Network,
    image: torch.Tensor,
    cover: Cover,
    grid: Grid,
    unit: Unit,
    *,
    plans: PlanCache,
    memory: int | None,
    clean: Response | None,
) -> Scan:
    """Give the plain answers: by the captured network, whose operations were put together, where windows gain nothing.

    Where a class token is read, the last layers answer for that token alone. Some positions are asked of the network itself
    too; where they differ, or anything goes wrong, it answers all.
    """
    outputs = _outputs_of(unit)
    if not isinstance(plans.whole_graphs.get(outputs), Graph):
        return scan_dense(network, image, cover, grid, unit, memory=memory)
    try:
        scan = _scan_whole(network, image, cover, grid, unit, plans=plans, memory=memory, clean=clean)
    except QuestionError:
        raise
    except Exception as error:  # noqa: BLE001 -- what was captured runs in ways that the network was not written for
        scan = f"the captured network failed ({type(error).__name__}: {first_line(error, most=120)})"
    if isinstance(scan, Scan):
        return scan
    plans.whole_graphs[outputs] = scan
    plain = scan_dense(network, image, cover, grid, unit, memory=memory)
    return Scan(plain.occluded, f"{plain.plan}; {scan}")


def _scan_whole(
    network: Network,
    image: torch.Tensor,
    cover: Cover,
    grid: Grid,
    unit: Unit,
    *,
    plans: PlanCache,
    memory: int | None,
    clean: Response | None,
) -> Scan | str:
    """Give the answers of the captured network to whole pictures, or in words why they are not trusted."""
    outputs, layers = _outputs_of(unit), ()
    if isinstance(unit, ClassUnit) and len(grid) * plans.images >= FEWEST_POSITIONS:
        if plans.class_token_layers is None:
            # What is kept lies over a picture of one colour, of which all tokens might be alike: so with the cover on it.
            plans.class_token_layers = layers_of_class_token(network, cover.over(image, grid, len(grid) // 2)[None])
            if plans.class_token_layers:
                # The hooks are traced with what follows them.
                with class_token_alone(network, plans.class_token_layers):
                    plans.whole_graphs[outputs] = plans.captured(
                        network, image, unit, class_token=plans.class_token_layers
                    )
        layers = plans.class_token_layers
    graph = plans.whole_graphs[outputs]
    if isinstance(graph, str):
        return graph

    def captured(pictures: torch.Tensor) -> torch.Tensor:
        return run_graph(graph, pictures)[graph.output].float()

    def answer(covered: torch.Tensor) -> torch.Tensor:
        return values_of(network, captured(covered), unit)

    if error := clean_error(network, image, unit, captured(image[None]), clean):
        return f"the captured network differed by {error:.1g} on the untouched image and was not trusted"
    scan = scan_dense(network, image, cover, grid, unit, memory=memory, answer=answer)
    if not np.isfinite(scan.occluded).all():
        return "the captured network answered NaN or infinity"
    key = ("whole pictures", *plans.key(grid, unit))
    if error := _covered_error_once(network, image, cover, grid, unit, scan.occluded, plans=plans, key=key):
        return f"the captured network differed by {error:.1g} and was not trusted"
    told = f", {', '.join(layers)} for the class token alone" if layers else ""
    return Scan(scan.occluded, f"{scan.plan}, as captured{told}")


def answers_everywhere(
    network: Network,
    runner: Runner,
    clean: CleanMaps,
    cover: Cover,
    unit: Unit,
    *,
    correction: torch.Tensor | None = None,
) -> NDArray[np.float32]:
    """Give the answers to a unit at every position, (grid rows, grid columns, outputs).

    Parameters
    ----------
    network, runner, clean, cover, unit
        The question.
    correction
        (1, outputs) what is added to the network's own answers.
    """
    grid = runner.plan.grid
    occluded: NDArray[np.float32] | None = None
    for chunks, answers in runner.run(clean, cover):
        corrected = answers.float() if correction is None else answers.float() + correction
        values = values_of(network, corrected, unit).cpu().numpy()
        if occluded is None:
            occluded = np.empty((*grid.shape, values.shape[1]), np.float32)
        first = 0
        for chunk in chunks:
            chunk_values = values[first : first + len(chunk)]
            occluded[np.ix_(chunk.rows, chunk.columns)] = chunk_values.reshape(len(chunk.rows), len(chunk.columns), -1)
            first += len(chunk)
    assert occluded is not None
    return occluded


def _work(network: Network, image: torch.Tensor) -> float:
    """Give the multiplications of one pass of the network, by torch's own formulas."""
    formulas = FlopCounterMode(display=False).flop_registry
    operations = 0

    def count(operation: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        nonlocal operations
        answer = operation(*args, **kwargs)
        if formula := formulas.get(getattr(operation, "overloadpacket", None)):
            operations += formula(*args, **kwargs, out_val=answer)
        return answer

    # Under inference mode the dispatcher would see linear layers as they are, for which there is no formula; and the counter
    # itself, a mode, follows every module by hooks, and fails where one is given a parameter.
    with torch.inference_mode(False), torch.no_grad(), operation_calls(count):
        network.run(image[None])
    return operations / 2


def _covered_error_once(
    network: Network,
    image: torch.Tensor,
    cover: Cover,
    grid: Grid,
    unit: Unit,
    occluded: NDArray[np.float32],
    *,
    plans: PlanCache,
    key: tuple[object, ...],
) -> float:
    """Give the error of answers if it is more than is tolerated, else 0; what was within that once is not compared again."""
    if key in plans.checked:
        return 0.0
    error = covered_error(network, image, cover, grid, unit, occluded)
    if error > TOLERANCE:
        return error
    plans.checked.add(key)
    return 0.0
