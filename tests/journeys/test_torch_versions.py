"""One question of each technique: run with the newest torch by `make test`, with the oldest by `make test-oldest`."""

import numpy as np
import pytest

import iconoscope as ico


@pytest.fixture(scope="module")
def network():
    return ico.load_network("cars-honest", device="cpu")


@pytest.fixture(scope="module")
def images():
    return ico.demo_images(12, seed=0)


def test_probabilities_are_right(network, images):
    probabilities = ico.predict(network, images)
    assert probabilities.shape == (12, 2)
    labels = [network.classes[index] for index in probabilities.argmax(1)]
    assert labels == [image.label for image in images]


def test_exact_occlusion_computes_only_what_changes_and_agrees_with_the_plain_engine(network, images):
    exact = ico.occlude(network, images[0], patch=16, stride=1, method="exact")
    dense = ico.occlude(network, images[0], patch=16, stride=8, method="dense")
    assert exact.plan.startswith("exact: 6561 positions")
    assert np.allclose(exact.occluded[::8, ::8], dense.occluded, atol=1e-5)


def test_a_picture_of_a_unit_answers_more_with_every_step(network):
    picture = ico.optimize(network, "conv4:3", steps=8, seed=0)
    assert picture.objective[0, -1] > picture.objective[0, 0]


def test_a_recording_ranks_what_the_network_answers(network, images, tmp_path):
    recording = ico.record(network, images, store=tmp_path, workers=0)
    assert np.array_equal(recording.predictions, ico.predict(network, images).argmax(1))
    top = ico.top_images(recording, "relu4:3", k=3)
    responses = recording.responses[:, recording.units.index("relu4:3")]
    assert np.allclose(top.values[:3], np.sort(responses)[::-1][:3])
