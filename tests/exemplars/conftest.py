"""Networks, photographs and a recording that the tests of this folder ask."""

import numpy as np
import pytest

import iconoscope as ico


@pytest.fixture(scope="module")
def network():
    return ico.load_network("cars", device="cpu")


@pytest.fixture(scope="module")
def images():
    return ico.demo_images(150, backgrounds="neutral", seed=3)


@pytest.fixture(scope="session")
def cars():
    return ico.load_network("cars-honest", device="cpu")


@pytest.fixture(scope="session")
def photographs():
    return ico.demo_images(240, backgrounds="neutral", seed=7)


@pytest.fixture(scope="session")
def recorded(cars, photographs, tmp_path_factory):
    return ico.record(cars, photographs, store=tmp_path_factory.mktemp("recorded") / "run", k=20)


@pytest.fixture(scope="session")
def dark(photographs):
    """Whether each photograph's background is darker than most."""
    light = np.array([image.pixels[~image.mask].mean() for image in photographs])
    return light < np.median(light)
