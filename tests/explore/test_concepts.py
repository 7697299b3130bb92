"""The concepts on the page of a layer: those that the store has, and the line that makes some where it has none."""

import io

import numpy as np
import pytest
from PIL import Image

import iconoscope as ico
from explore.browsing import browse
from iconoscope.explorer import open_session
from iconoscope.explorer.export import plan_export


@pytest.fixture(scope="module")
def taken_apart(network, images, tmp_path_factory):
    store = tmp_path_factory.mktemp("concepts") / "run"
    ico.record(network, images, store=store, workers=0)
    settings = {"count": 2, "resamples": 2, "steps": 1, "store": store}
    return store, ico.concepts(network, images, "relu3", "lynx", **settings)


def pixels(answer):
    return np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGB"))


def test_a_store_without_concepts_says_how_they_are_made(client):
    found = client.get("/api/concepts?layer=relu3").json()
    assert found["classes"] == []
    assert "ico.concepts(net, images, 'relu3', 'lynx'" in found["commands"]["python"]
    assert client.get("/api/concepts?layer=relu9").status_code == 404


def test_the_page_says_of_concepts_what_the_result_does(network, images, taken_apart, rules):
    store, made = taken_apart
    with browse(open_session(network, images, store=store), rules) as client:
        (of_class,) = client.get("/api/concepts?layer=relu3").json()["classes"]
        assert client.get("/api/concepts?layer=relu2").json()["classes"] == []
        address = f"/api/concepts/{of_class['key']}"
        assert np.array_equal(pixels(client.get(f"{address}/1/made-0.png")), made.optimized[1])
        assert np.array_equal(pixels(client.get(f"{address}/1/exemplar-2.png")), made.cell(1, 2))
        assert np.array_equal(pixels(client.get(f"{address}/0/map-1.png")), made.on_photograph(0, 1))
        for missing in ("9/made-0", "0/made-1", "0/exemplar-99", "0/other-0"):
            assert client.get(f"{address}/{missing}.png").status_code == 404
    assert (of_class["class_name"], of_class["images"], of_class["made"]) == ("lynx", len(made.ids), True)
    assert [concept["loss"] for concept in of_class["concepts"]] == pytest.approx(made.loss.tolist())
    first = of_class["concepts"][0]["exemplars"][0]
    assert images.ids[first["number"]] == first["id"] == made.ids[made.shown[made.exemplars[0, 0]]]
    assert "count=2" in of_class["commands"]["python"] and "seed=" not in of_class["commands"]["python"]


def test_an_export_holds_them(network, images, taken_apart, tmp_path):
    store, made = taken_apart
    folder = plan_export(open_session(network, images, store=store)).write(tmp_path / "site")
    assert '"class_name":"lynx"' in (folder / "data" / "concepts_layer_relu3.js").read_text().replace(" ", "")
    (picture,) = (folder / "api" / "concepts").glob("*/1/made-0.png")
    assert np.array_equal(np.asarray(Image.open(picture).convert("RGB")), made.optimized[1])
