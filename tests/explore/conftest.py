"""An explorer of the honest network of cars, as a browser meets it: with a recording, a map and pictures, on drawn cars."""

import numpy as np
import pytest

import iconoscope as ico
from iconoscope.errors import MissingExtraError
from iconoscope.extras import import_extra

try:
    import_extra("fastapi", "explore", "a test")
except MissingExtraError as error:
    pytest.skip(error.message, allow_module_level=True)

from explore.browsing import PORT, browse
from explore.chromium import address, browser, explored, opened  # noqa: F401
from iconoscope.explorer import open_session
from iconoscope.explorer.security import AccessRules


@pytest.fixture(scope="module")  # for each file its own: what one does to a network or a store is not met by another
def network():
    return ico.load_network("cars-honest", device="cpu")


@pytest.fixture(scope="session")
def images():
    return ico.demo_images(60, backgrounds="neutral", seed=3)


@pytest.fixture(scope="module")
def store(network, images, tmp_path_factory):
    folder = tmp_path_factory.mktemp("explored") / "run"
    recording = ico.record(network, images, store=folder, workers=0, k=20)
    ico.map_images(recording, "pca", store=folder)
    ico.optimize(network, "conv4:0-1", steps=4, store=folder)
    return folder


@pytest.fixture(scope="module")
def recording(store, images):
    return ico.load_recording(store, images=images)


@pytest.fixture(scope="session")
def rules():
    return AccessRules("127.0.0.1", PORT)


@pytest.fixture(scope="module")
def session(network, images, store):
    return open_session(network, images, store=store)


@pytest.fixture(scope="module")
def client(session, rules):
    with browse(session, rules) as client:
        yield client


@pytest.fixture
def picture():
    """A photograph as a camera's file holds it."""
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)).save(buffer, "JPEG")
    return buffer.getvalue()
