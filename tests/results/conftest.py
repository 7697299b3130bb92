"""Results of every kind, for the tests of what is the same in all."""

import pytest

import iconoscope as ico
from specimens import attributed, audited, averaged, curved, occlusion, visualized


@pytest.fixture(scope="package")
def of_kinds(tmp_path_factory):
    """A result of every kind."""
    network, images = ico.load_network("cars-honest", device="cpu"), ico.demo_images(40, backgrounds="neutral")
    recording = ico.record(network, images, layers=["relu2"], store=tmp_path_factory.mktemp("kinds"), k=3)
    made = [occlusion(), attributed(), averaged(), curved(), visualized(), audited()]
    made += [ico.top_images(recording, "relu2:1", k=3, steps=0), ico.map_images(recording, method="pca")]
    made += [ico.find_units(recording, concept="lynx"), ico.activation_maps(network, images[0], "relu2")]
    made += [ico.first_filters(network), ico.profile(recording, ["brightness"])]
    made += [ico.concepts(network, images, "relu3", "lynx", count=2, resamples=0, steps=1)]
    made += [ico.feeds(network, "conv4:1", images[0], steps=1)]
    made += [ico.invert(network, images[0], ["relu2"], steps=2), ico.fool(network, images[0], "lynx", steps=4)]
    made += [ico.activation_atlas(network, images, "relu4", grids=(2,), steps=2, least=1)]
    return {result.kind: result for result in made}
