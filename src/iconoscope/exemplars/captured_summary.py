"""Summaries of layers by the captured network: batch norms lie in its convolutions and ReLUs go with them, so it is faster.

It answers what the module answers but for rounding. That is held against the module for every shard, and a shard is asked whole
by one process; so what is recorded does not hang on who asks about which shards.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from iconoscope.errors import IconoscopeError
from iconoscope.exemplars.activation_summary import BatchSummary, PassReaders, Penultimate, Summarize, Thresholds
from iconoscope.store.recorded_layer import RecordedLayer
from iconoscope.subject.captured.capture import CaptureError, capture
from iconoscope.subject.captured.graph import Graph, StepOutputs, follow
from iconoscope.subject.captured.operators import Convolution, keeps_finite
from iconoscope.subject.network import Network
from iconoscope.subject.probe import LayerCall, concatenated, tensors_in

__all__ = ["CapturedSummary", "ShardSummary", "captured_summary", "pays"]

FEWEST_PARTS = 16
"""Parts of a shard, as they go through the module, from which on it pays to capture it and to ask about one part twice."""

CONVOLVED = 0.5
"""Share of the multiplications that are in convolutions, from which on it is faster: linear layers are as they were."""

LARGEST_WEIGHTS = 2**28
"""Bytes of the weights of convolutions: they are held up to three times more, folded and in oneDNN's order."""

TOLERANCE = 1e-4
"""Of the largest answer of a layer: what others may differ by from those of the module."""

_COMPARED = ("maximum", "mean", "sampled", "penultimate", "logits")


class CapturedSummary:
    """Summarizes a captured network's layers while its steps are done.

    Parameters
    ----------
    network
        The network, on a processor.
    layers, penultimate
        What is read.
    graph
        What was captured, with these layers.
    """

    def __init__(
        self, network: Network, layers: Sequence[RecordedLayer], penultimate: Penultimate, graph: Graph
    ) -> None:
        self.graph = graph
        self.layers = layers
        self._readers = PassReaders(network, layers, penultimate)
        self._calls: dict[str, list[Callable[[Any], None]]] = {}
        self._unsure = {step.name for step in graph.steps if not keeps_finite(step.operator)}
        modules = dict(network.module.named_modules())

        def add(step: str, name: str, read: Callable[[LayerCall], None], *, before: bool = False) -> None:
            def call(answer: Any) -> None:
                read(LayerCall(name, modules[name], (answer,) if before else (), None if before else answer))

            self._calls.setdefault(step, []).append(call)

        for layer in layers:
            add(graph.layer_outputs[layer.name], layer.name, self._readers.read_layer)
        if penultimate.layer:
            steps = graph.layer_inputs if penultimate.input else graph.layer_outputs
            add(steps[penultimate.layer], penultimate.layer, self._readers.read_vector, before=penultimate.input)

    def __call__(self, batch: torch.Tensor, thresholds: Thresholds, places: torch.Tensor) -> BatchSummary | None:
        """Summarize one pass; None where an answer is no finite number.

        A convolution that takes its ReLU along answers 0 where the module answers NaN, so such images are the module's.
        """
        self._readers.begin(batch, thresholds, places)
        first = self.graph.steps[0]
        answers: StepOutputs = {first.name: batch.contiguous(memory_format=torch.channels_last)}
        self._read(first.name, answers)
        for step in follow(self.graph, self.graph.steps[1:], answers, len(batch)):
            if step.name in self._unsure and not _finite(answers[step.name]):
                return None
            self._read(step.name, answers)
        summary = self._readers.summary(answers[self.graph.output])
        return summary if all(_finite(summary[name]) for name in _COMPARED) else None

    def _read(self, step: str, answers: StepOutputs) -> None:
        for call in self._calls.get(step, ()):
            call(answers[step])


def pays(images: int, together: int) -> bool:
    """Whether a shard of so many images, of which some go through the module at once, is worth a captured network."""
    return images >= FEWEST_PARTS * together


class ShardSummary:
    """Summarizes the batches of one shard: by the captured network, if that answers its first part as the module does.

    Parameters
    ----------
    plainly
        By the module.
    captured
        By the captured network, if there is one.
    together
        How many images go through the network at once.
    images
        Of the shard.
    """

    def __init__(self, plainly: Summarize, captured: CapturedSummary | None, together: int, images: int) -> None:
        self._plainly, self._together = plainly, together
        self._captured = captured if pays(images, together) else None
        self._compared = False

    def __call__(self, batch: torch.Tensor, thresholds: Thresholds, places: torch.Tensor) -> BatchSummary:
        """Summarize one batch."""
        return concatenated([self._part(part, thresholds, places) for part in batch.split(self._together)])

    def _part(self, part: torch.Tensor, thresholds: Thresholds, places: torch.Tensor) -> BatchSummary:
        """Summarize what goes through the module at once."""
        captured = None if self._captured is None else self._by_captured(self._captured, part, thresholds, places)
        if captured is not None and self._compared:
            return captured
        plain = self._plainly(part, thresholds, places)
        if self._captured is not None and not self._compared:
            self._compared = True
            if captured is None or not _agree(captured, plain, self._captured.layers):
                self._captured = None
        return plain

    def _by_captured(
        self, captured: CapturedSummary, part: torch.Tensor, thresholds: Thresholds, places: torch.Tensor
    ) -> BatchSummary | None:
        try:
            return captured(part, thresholds, places)
        except Exception:  # noqa: BLE001 -- what is wrong with the network itself, the module raises
            return None


def captured_summary(
    network: Network, layers: Sequence[RecordedLayer], penultimate: Penultimate
) -> CapturedSummary | None:
    """Capture a network, so that its layers can be read; None where the module is asked.

    That hangs on the network alone and on nothing that is measured, so that all who ask about it decide alike.
    """
    if network.singly or network.opaque or network.device.type != "cpu":
        return None
    image = network.fitted(network.blank())
    if image.dtype != torch.float32 or _convolution_bytes(network) > LARGEST_WEIGHTS:
        return None
    outputs = [layer.name for layer in layers]
    inputs = [penultimate.layer] if penultimate.layer and penultimate.input else []
    if penultimate.layer and not penultimate.input:
        outputs.append(penultimate.layer)
    try:
        graph = _captured(network, image, inputs, outputs)
    except (CaptureError, IconoscopeError):
        return None
    convolved = sum(step.multiplications for step in graph.steps if isinstance(step.operator, Convolution))
    if convolved < CONVOLVED * graph.multiplications:
        return None
    return CapturedSummary(network, layers, penultimate, graph)


def _captured(network: Network, image: torch.Tensor, inputs: Sequence[str], outputs: Sequence[str]) -> Graph:
    """Capture a network with what goes into some layers and comes out of others."""
    module = network.answering(image)
    inside = next((name for name, layer in module.named_modules() if layer is network.module), "")
    prefix = f"{inside}." if inside else ""
    graph = capture(
        module,
        image[0],
        export=False,
        inputs=[prefix + name for name in inputs],
        outputs=[prefix + name for name in outputs],
        repeatable=True,
    )
    return replace(
        graph,
        layer_inputs={name: graph.layer_inputs[prefix + name] for name in inputs},
        layer_outputs={name: graph.layer_outputs[prefix + name] for name in outputs},
    )


def _convolution_bytes(network: Network) -> int:
    """Give the bytes of the weights of a network's convolutions."""
    weights = [module.weight for module in network.module.modules() if isinstance(module, nn.Conv2d)]
    return sum(weight.numel() * weight.element_size() for weight in weights)


def _finite(answer: Any) -> bool:
    """Whether all numbers of an answer are finite: then their sum is, unless they are near the largest of their type."""
    return all(bool(tensor.sum().isfinite()) for tensor in tensors_in(answer) if tensor.is_floating_point())


def _agree(captured: BatchSummary, plain: BatchSummary, layers: Sequence[RecordedLayer]) -> bool:
    """Whether summaries of the same images differ by rounding alone: layer by layer, the vector and the logits."""
    by_layer = [layer.channels for layer in layers]
    for name in _COMPARED:
        ours, module = captured[name], plain[name]
        if ours.shape != module.shape:
            return False
        widths = [ours.shape[1]] if name in ("penultimate", "logits") else by_layer
        for one, other in zip(ours.split(widths, 1), module.split(widths, 1), strict=True):
            if one.numel() and not bool((one - other).abs().max() <= TOLERANCE * other.abs().max()):
                return False
    return True
