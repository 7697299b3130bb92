"""What is kept of a batch of images."""

import numpy as np
import pytest
import torch

import iconoscope as ico
from iconoscope.exemplars.activation_summary import Thresholds, _places, summarizing
from iconoscope.exemplars.loader import Batch
from iconoscope.exemplars.recordable_layers import choose_layers
from iconoscope.exemplars.shard import NOT_FINITE, _BatchAnswers
from iconoscope.subject.allocator import KEPT_BY_ITSELF
from iconoscope.subject.ledger import Ledger
from iconoscope.subject.network.pass_memory import images_together


def test_an_image_with_one_answer_that_is_no_number_is_left_out():
    """Of any of its answers, one number is enough; what was sampled of it goes too."""
    count = 5
    summary = {name: torch.arange(count * 3.0).view(count, 3) for name in ("maximum", "mean", "penultimate", "logits")}
    summary |= {"position": torch.arange(count * 3).view(count, 3).int(), "sampled": torch.rand(count, 3, 2)}
    for row, (name, wrong) in enumerate(
        [("maximum", torch.inf), ("mean", torch.nan), ("penultimate", -torch.inf), ("logits", torch.nan)]
    ):
        summary[name] = summary[name].clone()
        summary[name][row, 1] = wrong
    batch = Batch(
        np.array([7, 3, 9, 4, 8]), np.zeros((count, 2, 2, 3), np.uint8), {"broken.png": "it is"}, count + 1, 10
    )
    part = _BatchAnswers.of(batch, summary)
    assert part.answers.rows.tolist() == [8] and part.answers.logits.tolist() == [[12, 13, 14]]
    assert part.answers.failed == {"broken.png": "it is", **dict.fromkeys((7, 3, 9, 4), NOT_FINITE)}
    assert part.position.tolist() == [[12, 13, 14]] and np.array_equal(part.sampled, summary["sampled"][4:].numpy())


@pytest.mark.parametrize("count", [3, 300])
def test_the_place_of_a_maximum_is_that_of_numpy(count):
    """Of few maps and of many, whose rows and columns are not as many; of a single place it is that."""
    maps = torch.rand(count, 2, 4, 7, generator=torch.Generator().manual_seed(0))
    chosen = torch.arange(2 * count)[1:]
    expected = maps.numpy().reshape(2 * count, -1).argmax(1)[1:]
    assert _places(maps, chosen).tolist() == expected.tolist()
    assert _places(maps[:, :, :1, :1], chosen).tolist() == [0] * len(chosen)
    assert len(_places(maps, chosen[:0])) == 0


def test_a_batch_in_parts_is_summarized_as_one():
    network = ico.load_network("cars", device="cpu")
    layers, penultimate = choose_layers(network, None)
    units = sum(layer.channels for layer in layers)
    some_pass = Thresholds(torch.full((units,), 0.3), torch.full((units,), -torch.inf))
    batch = torch.randn(5, 3, *network.preprocessing.size, generator=torch.Generator().manual_seed(0))
    counts, answers = [], []
    counting = network.module.register_forward_pre_hook(lambda module, inputs: counts.append(len(inputs[0])))
    with network.questioned(), torch.inference_mode():
        for together in (None, 2):
            counts.clear()
            with summarizing(network, layers, penultimate, together=together) as summarize:
                answers.append(summarize(batch, some_pass, torch.tensor([3, 1000])))
    counting.remove()
    assert counts == [2, 2, 1]
    whole, parts = answers
    assert torch.equal(whole["position"], parts["position"]) and bool((whole["position"] >= 0).any())
    assert whole.keys() == parts.keys()
    assert all(torch.allclose(whole[name], parts[name], atol=1e-4) for name in whole)


def test_parts_are_of_one_size_and_their_maps_take_what_is_kept():
    network = ico.load_network("cars", device="cpu")
    most = images_together(network, 10**6)
    assert images_together(network, 4) == 4 and images_together(network, most) == most
    assert images_together(network, most + 1) == -(-(most + 1) // 2)
    with network.questioned(), torch.inference_mode(), Ledger() as ledger:
        network.module(torch.zeros(most, 3, *network.preprocessing.size))
    assert 0.8 * KEPT_BY_ITSELF / 2 < ledger.peak <= KEPT_BY_ITSELF / 2
