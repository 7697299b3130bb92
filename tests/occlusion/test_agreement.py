"""What was captured of a network against the network, image by image: where a network decides in ways that no tracer sees."""

import numpy as np
import pytest
import torch
from torch import nn

import iconoscope as ico
from iconoscope.occlusion.dense import scan_dense
from iconoscope.occlusion.geometry import Cover, make_grid
from iconoscope.occlusion.incremental import PlanCache, scan_exact, scan_fast
from iconoscope.occlusion.incremental import exact as exact_engine
from iconoscope.subject.captured import tracing
from iconoscope.subject.captured.capture import capture
from iconoscope.subject.response import respond
from tests.deciding import (
    BRIGHT,
    SIZE,
    UNSEEN,
    Deciding,
    by_address,
    by_capsule,
    by_text,
    in_another_thread,
    network_of,
    switch,
)


@pytest.fixture
def always(monkeypatch):
    """Run the engine even where it does not pay, and leave the switch as it was."""
    monkeypatch.setattr(exact_engine, "LEAST_WORK", 0.0)
    monkeypatch.setattr(exact_engine, "LEAST_GAIN", 0.0)
    monkeypatch.setitem(switch, "bright", False)


@pytest.fixture
def images() -> list[torch.Tensor]:
    """Give a dark and a bright picture, in the network's input."""
    grain = torch.rand(2, 3, *SIZE, generator=torch.Generator().manual_seed(0))
    return [grain[0], grain[1] + 3]


def asked(engine, network, images, unit):
    """Give the answers of an engine and of the plain one to one image after another, with one plan."""
    plans, grid = PlanCache(), make_grid(SIZE, patch=8, stride=4)
    with network.questioned(), torch.inference_mode():
        for image in images:
            switch["bright"] = float(image.mean()) > BRIGHT
            question = (
                network,
                image,
                Cover(image.mean((1, 2), keepdim=True).expand_as(image)),
                grid,
                network.resolve(unit),
            )
            clean = respond(network, image[None], question[-1])
            yield engine(*question, plans=plans, clean=clean), scan_dense(*question)


@pytest.mark.parametrize("engine", [scan_exact, scan_fast])
@pytest.mark.parametrize("unit", ["prob:a", "logit:b", "maps:1"])
@pytest.mark.parametrize("read", UNSEEN.values(), ids=UNSEEN)
def test_an_image_that_the_network_decides_otherwise_about_is_answered_plainly(always, images, read, unit, engine):
    network = network_of(Deciding(read))
    (dark, plain_dark), (bright, plain_bright) = asked(engine, network, images, unit)
    assert dark.plan.startswith(engine.__name__.removeprefix("scan_"))
    assert np.abs(dark.occluded - plain_dark.occluded).max() < (1e-5 if engine is scan_exact else 0.02)
    assert np.array_equal(bright.occluded, plain_bright.occluded)
    assert bright.plan.startswith("dense") and "on the untouched image and was not trusted" in bright.plan


@pytest.mark.parametrize("read", UNSEEN.values(), ids=UNSEEN)
def test_whole_pictures_are_held_against_the_network_too(always, images, read, monkeypatch):
    monkeypatch.setattr(exact_engine, "LEAST_GAIN", 1e9)
    network = network_of(Deciding(read, attending=True))
    (dark, plain_dark), (bright, plain_bright) = asked(scan_exact, network, images, "prob:a")
    assert ", as captured" in dark.plan and np.abs(dark.occluded - plain_dark.occluded).max() < 1e-5
    assert np.array_equal(bright.occluded, plain_bright.occluded)
    assert "as captured" not in bright.plan and "on the untouched image and was not trusted" in bright.plan


@pytest.mark.parametrize("keep", [False, True])
def test_occlude_hands_on_what_the_network_answers(always, keep, monkeypatch):
    network = network_of(Deciding(in_another_thread))
    monkeypatch.setattr("iconoscope.occlusion.incremental.agreement.respond", lambda *_: pytest.fail("asked once more"))
    monkeypatch.setattr(exact_engine, "covered_error", lambda *_: 0.0)
    grain = np.random.default_rng(0).integers(0, 40, (2, *SIZE, 3), dtype=np.uint8)
    images = [grain[0], grain[1] + 200]
    settings = {"patch": 8, "stride": 4, "keep": keep}
    found = ico.occlude(network, np.stack(images), "prob:a", **settings)
    for each, image in zip(found, images, strict=True):
        plain = ico.occlude(network, image, "prob:a", method="dense", **settings)
        np.testing.assert_allclose(each.occluded, plain.occluded, atol=1e-5)
    assert [each.plan.split(":")[0] for each in found] == ["exact", "dense"]


class Spot(nn.Module):
    """Is nearly certain wherever it sees a spot; how certain hangs on the brightness of the rest."""

    def forward(self, pictures):
        spot = pictures.amax((1, 2, 3)) * (1.0 if in_another_thread(pictures) < BRIGHT else 0.8)
        return torch.stack([spot, -spot, -spot], 1)


def test_a_probability_that_is_nearly_one_does_not_hide_another_logit(always):
    network = network_of(Spot())
    dark, bright = (torch.full((3, *SIZE), value) for value in (0.3, 1.6))
    for image in (dark, bright):
        image[:, 10:12, 10:12] = 8.0
    (first, plain_first), (second, plain_second) = asked(scan_exact, network, [dark, bright], "prob:a")
    assert first.plan.startswith("exact") and np.abs(first.occluded - plain_first.occluded).max() < 1e-5
    assert np.array_equal(second.occluded, plain_second.occluded) and "was not trusted" in second.plan


@pytest.mark.parametrize("read", [by_address, by_text])
def test_an_address_or_a_text_of_a_tensor_is_seen_by_the_tracer(read):
    with pytest.raises(tracing.TraceError, match="takes numbers out of torch"):
        tracing.trace(Deciding(read).eval(), torch.zeros(3, *SIZE))


@pytest.mark.parametrize("read", [in_another_thread, by_capsule])
def test_the_other_ways_are_captured_with_a_branch_for_all_images(read):
    """Else the tests above would hold nothing."""
    module = Deciding(read).eval()
    assert capture(module, torch.zeros(3, *SIZE), export=False).output
