"""What the server says of a network, its layers, units and images, held against the recording and the network themselves."""

import base64
import io
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import iconoscope as ico
from explore.browsing import browse
from iconoscope.explorer import open_session
from iconoscope.language.network_lines import in_spanish
from iconoscope.subject.network.preprocessing import INTERPOLATIONS


def test_the_session(client, network, images):
    session = client.get("/api/session").json()
    assert session["classes"] == ["lynx", "bison"]
    assert session["images"] == len(images)
    assert session["size"] == [96, 96]
    assert session["asks"] and session["map"] and not session["audit"] and not session["read_only"]
    assert "default" in session["styles"] and "mean" in session["fills"]


def test_a_network_has_its_accuracy_its_confusion_and_its_layers(client, recording, network):
    page = client.get("/api/network/0").json()
    assert page["accuracy"] == recording.top1
    confusion = np.zeros((2, 2), int)
    for target, prediction in zip(recording.targets, recording.predictions, strict=True):
        confusion[target, prediction] += 1
    assert page["confusion"] == confusion.tolist()
    assert [layer["name"] for layer in page["layers"][:-1]] == [layer.name for layer in ico.layers(network)]
    assert page["layers"][-1]["name"] == "logits"
    assert {layer["name"] for layer in page["layers"] if layer["recorded"]} == {
        *(layer.name for layer in recording.layers),
        "logits",
    }
    dead = [f"{layer['name']}:{number}" for layer in page["layers"] for number in layer["dead"]]
    assert dead == list(recording.dead_units())


def test_a_network_is_described_in_spanish(client):
    page = client.get("/api/network/0", params={"lang": "es"}).json()
    assert "; clases según " in page["source"]
    assert page["preprocessing"][1:3] == ["media 0,5; 0,5; 0,5", "desviación típica 0,25; 0,25; 0,25"]


def test_no_english_is_left_of_a_preprocessing(network):
    english = {
        "resized",
        "sides",
        "side",
        "middle",
        "cut",
        "mean",
        "from",
        "the",
        "nearest",
        "assumption",
        "until",
        "needed",
    }
    origins = ("the module ResNet20", "the call", "an assumption: the checkpoint", "torchvision's V1")
    for crop in ("none", "cover", "border", "squash", "center"):
        for interpolation, origin in zip(INTERPOLATIONS, origins, strict=True):
            for resize in (None, 128) if crop == "center" else (128,):
                usual = network.preprocessing
                settled = replace(usual, crop=crop, interpolation=interpolation, origin=origin, resize=resize)
                said = "; ".join(map(in_spanish, settled.describe().split("; ")))
                assert not english & set(re.findall(r"\w+", said)), said


def naive_area(values, members):
    pairs = [(a > b) + (a == b) / 2 for a in values[members] for b in values[~members]]
    return float(np.mean(pairs))


def test_a_layer_lists_its_units(client, recording):
    layer = recording.layers[-1]
    page = client.get(f"/api/layers/{layer.name}", params={"like": f"{layer.name}:2"}).json()
    first = recording.first_of(layer.name)
    values = recording.responses[:, first : first + layer.channels]
    assert len(page["units"]) == layer.channels
    for number, unit in enumerate(page["units"][:6]):
        own = values[:, number]
        assert unit["unit"] == f"{layer.name}:{number}"
        assert unit["maximum"] == pytest.approx(own.max())
        assert unit["answered"] == pytest.approx((own > 0).mean())
        assert own[unit["strongest"]] == own.max()
        areas = [naive_area(own, recording.targets == target) for target in range(2)]
        assert unit["selectivity"] == pytest.approx(max(areas))
        assert areas[["lynx", "bison"].index(unit["class_name"])] == pytest.approx(max(areas))
        if own.std() and values[:, 2].std():
            assert unit["likeness"] == pytest.approx(np.corrcoef(own, values[:, 2])[0, 1], abs=1e-5)


def test_a_unit_has_its_spectrum(client, recording):
    name = f"{recording.layers[-1].name}:0"
    page = client.get(f"/api/units/{name}").json()
    top = ico.top_images(recording, name, 5, steps=0)
    shown = list(page["most"][:5])
    assert [answer["id"] for answer in shown] == list(top.ids[:5])
    assert [answer["field"] for answer in shown] == top.fields[:5].tolist()
    assert [answer["value"] for answer in shown] == pytest.approx(top.values[:5].tolist())
    assert sum(page["histogram"]["counts"]) == len(recording)
    assert page["least"][0]["rank"] == len(recording) - 1
    assert "ico.top_images(recording, " in page["commands"]["python"]


@pytest.mark.parametrize("unit", ["relu4:3", "logit:bison"])
def test_what_feeds_a_unit_or_a_class_is_what_the_function_says(client, unit):
    page = client.get(f"/api/units/{unit}").json()
    circuit = ico.feeds(ico.load_network("cars-honest", device="cpu"), unit, steps=0, k=8)
    assert page["fed_by"] and len(page["fed_by"]) == 8
    assert [link["strength"] for link in page["fed_by"]] == pytest.approx(circuit.weights[circuit.order].tolist())
    numbers = [circuit.inputs[row].rpartition(":")[2] for row in circuit.order.tolist()]
    assert [link["unit"].rpartition(":")[2] for link in page["fed_by"]] == numbers


def test_an_interval_of_a_spectrum(client, recording):
    values = recording.responses[:, -1]
    low, high = np.quantile(values, [0.4, 0.6])
    unit = recording.units[-1]
    page = client.get(f"/api/between/{unit}", params={"low": float(low), "high": float(high)}).json()
    inside = {row for row, value in enumerate(values) if float(low) <= value <= float(high)}
    assert {image["number"] for image in page["images"]} == inside
    assert page["total"] == len(inside)
    given = [image["value"] for image in page["images"]]
    assert given == sorted(given, reverse=True)


def test_units_that_tell_a_class(client, recording):
    found = client.get("/api/find", params={"class": "bison", "limit": 5, "test": False}).json()
    areas = [
        naive_area(recording.responses[:, unit], recording.targets == 1) for unit in range(len(recording.units) - 2)
    ]
    assert [unit["auc"] for unit in found["units"]] == pytest.approx(sorted(areas, reverse=True)[:5])
    assert not found["tested"] and found["units"][0]["alone"] is None


def test_units_that_tell_a_class_are_those_of_the_copied_line(client, recording):
    """With what was held out, and whether one answers the class alone: the page says no other number than the command."""
    found = client.get("/api/find", params={"class": "bison", "limit": 9}).json()
    search = ico.find_units(recording, "bison")
    assert found["tested"] and found["held_out"] == search.held_out > 0
    assert [unit["unit"] for unit in found["units"]] == search.units[:9].tolist()
    assert [unit["auc"] for unit in found["units"]] == pytest.approx(search.auc[:9])
    assert [unit["auc_held_out"] for unit in found["units"]] == pytest.approx(search.auc_held_out[:9])
    assert [unit["recall"] for unit in found["units"]] == pytest.approx(search.recall[:9])
    assert found["alone"] == list(search.invariant)
    assert [unit["alone"] for unit in found["units"]] == [unit in search.invariant for unit in search.units[:9]]
    layer = search.units[0].partition(":")[0]
    own = client.get("/api/find", params={"class": "bison", "layer": layer, "limit": 99}).json()
    assert [unit["unit"] for unit in own["units"]] == [unit for unit in search.units if unit.startswith(f"{layer}:")]


def test_an_image_has_its_probabilities_and_neighbours(client, recording, network, images):
    page = client.get("/api/images/7").json()
    expected = ico.predict(network, images[[7]])[0]
    for entry in page["probabilities"]:
        assert entry["probability"] == pytest.approx(expected[entry["index"]], abs=1e-5)
    vectors = recording.vectors("penultimate")
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    distances = np.linalg.norm(vectors - vectors[7], axis=1)
    nearest = [row for row in np.argsort(distances).tolist() if row != 7][:8]
    assert [neighbour["number"] for neighbour in page["neighbours"]] == nearest
    assert len(page["point"]) == 2


def test_a_picture_is_what_the_network_sees(client, network, images):
    shown = np.asarray(Image.open(io.BytesIO(client.get("/api/images/7/picture.png").content)))
    np.testing.assert_array_equal(shown, network.preprocessing.shown(images[7]))
    small = Image.open(io.BytesIO(client.get("/api/images/7/picture.png", params={"side": 24}).content))
    assert small.size == (24, 24)


def test_a_picture_of_another_explorer_at_this_port_is_not_shown(client, network, images, store, rules):
    """Its address is the same, and the browser has it: it has to ask, and is sent it again only where it may be another."""
    address = "/api/images/7/picture.png"
    first = client.get(address)
    assert "no-cache" in first.headers["cache-control"] and "max-age" not in first.headers["cache-control"]
    known = {"if-none-match": first.headers["etag"]}
    again = client.get(address, headers=known)
    assert again.status_code == 304 and not again.content
    with browse(open_session(network, images, store=store), rules) as other:
        assert other.get(address, headers=known).status_code == 200


def test_activation_maps(client, network, images):
    page = client.get("/api/images/7/maps/relu2", params={"limit": 3}).json()
    sheet = ico.activation_maps(network, images[[7]], "relu2")
    values = np.frombuffer(base64.b64decode(page["values"]), np.uint8).reshape(3, page["rows"], page["columns"])
    for number in range(3):
        low, high = page["low"][number], page["high"][number]
        np.testing.assert_allclose(
            low + values[number] / 255 * (high - low), sheet.maps[number], atol=(high - low) / 500 + 1e-6
        )


def test_optimised_pictures_of_the_store(client, store, network):
    page = client.get("/api/layers/conv4").json()
    assert page["units"] == []  # what was recorded is behind the ReLU
    pictures = client.get("/api/units/relu4:0").json()["optimized"]
    assert pictures == []
    folder = next((store / "optimize").iterdir())
    shown = client.get(f"/api/pictures/{folder.name}/0.png")
    result = ico.load_result(folder)
    assert isinstance(result, ico.Visualization)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(shown.content))), result.bytes_of(0))
    assert client.get("/api/pictures/..%2F..%2Fstore/0.png").status_code == 404
    assert client.get(f"/api/pictures/{folder.name}/7.png").status_code == 404


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"q": "bison-00"}, lambda recording, row: "bison-00" in recording.ids[row]),
        ({"label": "lynx"}, lambda recording, row: recording.labels[row] == "lynx"),
        ({"prediction": "lynx"}, lambda recording, row: recording.predictions[row] == 0),
        ({"mistakes": 1}, lambda recording, row: recording.predictions[row] != recording.targets[row]),
    ],
)
def test_searching_images(client, recording, asked, expected):
    search = client.get("/api/search", params={**asked, "limit": 100}).json()
    rows = [row for row in range(len(recording)) if expected(recording, row)]
    assert [image["number"] for image in search["images"]] == rows
    assert search["total"] == len(rows)
    part = client.get("/api/search", params={**asked, "from": 2, "limit": 3}).json()
    assert [image["number"] for image in part["images"]] == rows[2:5]


def test_the_map(client, recording):
    page = client.get("/api/map").json()
    assert page["numbers"] == list(range(len(recording)))
    points = np.frombuffer(client.get("/api/map/points").content, "<u2").reshape(-1, 2)
    assert points.shape == (len(recording), 2) and points.max() == 65535
    neighbours = np.frombuffer(client.get("/api/map/neighbours").content, "<u4").reshape(len(recording), -1)
    assert neighbours.shape[1] == page["neighbours"]
    assert client.get("/api/atlas/0").content.startswith(b"\xff\xd8")
    assert client.get("/api/atlas/9").status_code == 400


def test_a_selection(client, recording):
    chosen = np.flatnonzero(recording.targets == 0)
    page = client.post("/api/selection", json={"images": chosen.tolist()}).json()
    assert page["count"] == len(chosen)
    assert page["labels"] == [{"name": "lynx", "index": 0, "probability": 1.0}]
    assert page["wrong"] == int((recording.predictions[chosen] != 0).sum())
    best = page["units"][0]
    unit = recording.units.index(best["unit"])
    assert best["auc"] == pytest.approx(naive_area(recording.responses[:, unit], recording.targets == 0))
    assert client.post("/api/selection", json={"images": [9999]}).status_code == 400


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/api/images/9999", 404),
        ("/api/images/-1", 404),
        ("/api/images/..%2F..%2Fetc", 404),
        ("/api/units/nothing:1", 404),
        ("/api/layers/nothing", 404),
        ("/api/network/7", 400),
        ("/api/between/relu4:0?low=x&high=1", 400),
        ("/api/images/3/maps/nothing", 404),
        ("/api/nothing", 404),
        ("/nothing.js", 404),
    ],
)
def test_what_is_not_there_is_said(client, address, status):
    answer = client.get(address)
    assert answer.status_code == status
    assert answer.json()["message"]


def test_what_is_asked_is_described(client):
    paths = client.get("/api/openapi.json").json()["paths"]
    assert "/api/patch" in paths and "/api/units/{unit}" in paths


def test_a_dropped_photograph_lies_where_the_same_image_lies(client, network, images, recording):
    """As a PNG, whose pixels are those of the recorded image."""
    buffer = io.BytesIO()
    Image.fromarray(images[7].pixels).save(buffer, "PNG")
    dropped = client.post("/api/uploads", content=buffer.getvalue()).json()
    recorded = client.get("/api/images/7").json()
    assert dropped["neighbours"][0]["number"] == 7
    assert dropped["neighbours"][0]["distance"] == pytest.approx(0, abs=1e-3)
    assert dropped["point"] == pytest.approx(recorded["point"], abs=1e-3)
    assert dropped["prediction"] == recorded["prediction"]
    assert dropped["id"] == dropped["name"]


def test_a_dropped_photograph_is_called_as_its_file_was(client, picture):
    name = client.post("/api/uploads", params={"title": "my cat\x1b.jpg"}, content=picture).json()["name"]
    assert client.get(f"/api/images/{name}").json()["id"] == r"my cat\x1b.jpg"
    assert client.post("/api/uploads", params={"title": "x" * 401}, content=picture).status_code == 400
