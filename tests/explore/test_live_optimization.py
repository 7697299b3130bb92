"""A picture that is watched while it grows ends as `optimize` makes it."""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

import iconoscope as ico
from explore.browsing import browse
from iconoscope.explorer import open_session
from iconoscope.explorer.live_optimization import PRIORS, LiveOptimization, usual_steps
from iconoscope.optimization.latent_parameterization import style_with_prior
from iconoscope.optimization.style import STYLES, read_style


@pytest.fixture
def eager(monkeypatch):
    """Frames at every step, however fast they come."""
    monkeypatch.setattr("iconoscope.explorer.live_optimization._PAUSE", 0.0)


def watch(client, **question):
    events = []
    with client.stream("POST", "/api/optimizations", json=question) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        for line in answer.iter_lines():
            name, _, value = line.partition(": ")
            if name == "data":
                events.append(json.loads(value))
    return events


def pixels(address):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))))


@pytest.mark.parametrize(
    "settings",
    [{"seed": 11}, {"seed": 12, "style": "frequency"}, {"seed": 13, "style": "robust", "start": "grey"}],
    ids=["default", "charged", "colour"],
)
def test_the_last_frame_is_what_optimize_makes_bit_for_bit(client, network, eager, settings):
    events = watch(client, unit="conv4:3", steps=12, **settings)
    assert [event["step"] for event in events] == [*range(11), 12]
    assert [event["ended"] for event in events] == [False] * 11 + [True]
    result = ico.optimize(network, "conv4:3", steps=12, **settings)
    np.testing.assert_array_equal(pixels(events[-1]["picture"]), result.bytes_of(0))
    np.testing.assert_array_equal(pixels(events[-1]["gradient"]), result.gradient_picture(0))
    assert events[-1]["activation"] == float(result.activation[0])
    assert [event["activation"] for event in events[:-1]] == pytest.approx(result.objective[0, :11].tolist())
    probabilities = ico.predict(network, result.images)
    for entry in events[-1]["probabilities"]:
        assert entry["probability"] == pytest.approx(probabilities[0, entry["index"]], abs=0.02)  # the picture rounded


def test_without_a_number_of_steps_it_is_the_picture_that_optimize_makes_by_itself(client, network):
    last = watch(client, unit="conv4:3")[-1]
    result = ico.optimize(network, "conv4:3")
    np.testing.assert_array_equal(pixels(last["picture"]), result.bytes_of(0))
    assert (
        last["steps"]
        == result.objective.shape[1]
        == client.get("/api/session").json()["networks"][0]["steps"]["default"]
    )
    assert "steps" not in last["commands"]["python"]


@pytest.mark.parametrize("size", [(32, 32), (224, 224)])
def test_the_usual_steps_are_those_of_the_styles_that_optimize_reads(size):
    usual = usual_steps(size)
    assert all(usual[name] == read_style(name).steps_for(size) for name in STYLES)
    assert all(usual[name] == style_with_prior(name, "default").steps_for(size) for name in PRIORS)


def test_it_begins_as_a_photograph(client, network, images, eager):
    events = watch(client, unit="logit:bison", steps=3, start="image:5", style="none")
    first = pixels(events[0]["picture"]).astype(int)
    assert np.abs(first - network.preprocessing.shown(images[5])).max() <= 3
    result = ico.optimize(network, "logit:bison", steps=3, start=images[5], style="none")
    np.testing.assert_array_equal(pixels(events[-1]["picture"]), result.bytes_of(0))


def test_it_is_kept_under_its_question(client, store, eager):
    key = watch(client, unit="conv4:5", steps=3)[-1]["key"]
    assert (store / "optimize" / key).is_dir()
    assert (
        f"pictures/{key}/0.png" in client.get("/api/units/conv4:5").text
        or client.get(f"/api/pictures/{key}/0.png").status_code == 200
    )


def test_what_is_kept_is_there_at_once(client):
    watch(client, unit="conv4:6", steps=3)
    assert len(watch(client, unit="conv4:6", steps=3)) == 1


def test_an_explorer_that_only_reads_makes_pictures_and_keeps_none(network, images, store, rules):
    with browse(open_session(network, images, store=store, read_only=True), rules) as client:
        before = sorted((store / "optimize").iterdir())
        last = watch(client, unit="conv4:7", steps=3)[-1]
        assert last["ended"] and last["key"] == ""
        assert sorted((store / "optimize").iterdir()) == before


def test_stopping_ends_it_with_what_has_been_reached(client, monkeypatch, eager):
    see = LiveOptimization.see

    def stop_at_five(self, growing):
        see(self, growing)
        if growing.step == 5:
            client.delete(f"/api/optimizations/{self.number}")

    monkeypatch.setattr(LiveOptimization, "see", stop_at_five)
    events = watch(client, unit="conv4:8", steps=400)
    assert events[-1]["ended"] and events[-1]["key"] == ""
    assert events[-1]["step"] < 400


def test_stopping_what_has_ended_is_no_error(client):
    assert client.delete("/api/optimizations/999").status_code == 204


@pytest.mark.parametrize(
    "wrong", [{"unit": "conv99:1"}, {"unit": "logit:cat"}, {"steps": 0}, {"steps": 10**6}, {"start": "image:999"}]
)
def test_what_makes_no_sense_is_said_before_anything_is_made(client, wrong):
    answer = client.post("/api/optimizations", json={"unit": "conv4:1", **wrong})
    assert answer.status_code in (400, 404)


def test_what_goes_wrong_meanwhile_comes_as_an_event(client, monkeypatch):
    def fail(*positional, **named):
        raise ico.errors.NetworkError("It broke at /home/me/net.py.")

    monkeypatch.setattr("iconoscope.explorer.live_optimization.optimize", fail)
    (event,) = watch(client, unit="conv4:1", steps=3)
    assert event["message"] == "It broke at net.py."
