"""Recording in the explorer: watched, and then there for all pages."""

import time

import numpy as np
import PIL.Image
import pytest

import iconoscope as ico
from explore.browsing import browse, events
from iconoscope.explorer import open_session


def test_what_is_recorded_is_there_at_once_and_is_what_record_gives(network, images, tmp_path, rules):
    with browse(open_session(network, images[:12], store=tmp_path / "run"), rules) as client:
        assert client.get("/api/units/relu4:0").status_code == 404
        progress = events(client.post("/api/record"))
        assert progress[-1] == {"task": "", "done": 12, "total": 12, "ended": True}
        assert all(step["done"] <= step["total"] or not step["total"] for step in progress)
        assert client.get("/api/network/0").json()["accuracy"] is not None
        most = client.get("/api/units/relu4:0").json()["most"]
    recording = ico.load_recording(tmp_path / "run", images=images[:12])
    own = ico.record(network, images[:12], store=tmp_path / "other", workers=0)
    np.testing.assert_array_equal(recording.responses, own.responses)
    assert most[0]["number"] == int(own.responses[:, own.units.index("relu4:0")].argmax())


def test_an_explorer_that_only_reads_records_nothing(network, images, tmp_path, rules):
    with browse(open_session(network, images[:4], store=tmp_path / "run", read_only=True), rules) as client:
        assert client.post("/api/record").status_code == 403
    assert not (tmp_path / "run").exists()


def test_without_images_there_is_nothing_to_record(network, tmp_path, rules):
    with browse(open_session(network, store=tmp_path / "run"), rules) as client:
        answer = client.post("/api/record")
        assert answer.status_code == 400 and "--images" in answer.json()["hint"]


def test_what_goes_wrong_comes_as_an_event(network, images, tmp_path, rules, monkeypatch):
    def fail(*positional, **named):
        raise ico.errors.StoreError("/home/me/run cannot be written.")

    monkeypatch.setattr("iconoscope.explorer.live_recording.record", fail)
    with browse(open_session(network, images[:4], store=tmp_path / "run"), rules) as client:
        answer = client.post("/api/record")
        assert "event: problem" in answer.text
        assert events(answer)[-1]["message"] == "run cannot be written."
        assert client.get("/api/session").status_code == 200


@pytest.mark.filterwarnings("ignore::iconoscope.errors.IconoscopeWarning")
def test_numbers_that_mean_other_images_afterwards_are_answered_anew(network, images, tmp_path, rules):
    """An image that cannot be used is no part of the recording, and all behind it have other numbers."""
    for number in range(4):
        PIL.Image.fromarray(images[number].pixels).save(tmp_path / f"{number}.png")
    (tmp_path / "0.png").write_bytes(b"nonsense")
    session = open_session(
        network, ico.load_images([tmp_path / f"{number}.png" for number in range(4)]), store=tmp_path / "run"
    )
    question = {"image": "1", "top": 0, "left": 0, "height": 30, "width": 30, "fill": "mean", "view": "a"}
    with browse(session, rules) as client:
        before = client.post("/api/patch", json=question).json()["probabilities"]
        mark = client.get("/api/images/1/picture.png").headers["etag"]
        client.post("/api/record")
        assert client.get("/api/session").json()["images"] == 3
        assert client.get("/api/images/1").json()["id"] == session.subjects[0].recorded.ids[1]
        assert client.get("/api/images/1/picture.png", headers={"if-none-match": mark}).status_code == 200
        after = client.post("/api/patch", json=question).json()["probabilities"]
        moved = client.post("/api/patch", json={**question, "image": "0"}).json()["probabilities"]
    assert moved == before != after


@pytest.mark.filterwarnings("ignore::iconoscope.errors.IconoscopeWarning")
def test_a_recording_of_a_second_network_is_left_out_where_its_rows_are_other_images(network, images, tmp_path, rules):
    """Before the first is recorded, and when its recording lacks an image."""
    second = ico.load_network("cars", device="cpu")
    ico.record(second, images[4:8], store=tmp_path / "run", workers=0)
    assert open_session(network, images[:8], store=tmp_path / "run", compare=second).subjects[1].recording is None
    session = open_session(network, images[4:8], store=tmp_path / "run", compare=second)
    assert session.subjects[1].recording is not None
    session.images = images[4:7]
    with browse(session, rules) as client:
        client.post("/api/record")
        assert session.subjects[0].recorded.ids == tuple(images[4:7].ids)
        assert session.subjects[1].recording is None


def test_one_image_has_no_neighbours(network, images, tmp_path, rules):
    ico.record(network, images[:1], store=tmp_path / "run", workers=0)
    with browse(open_session(network, images[:1], store=tmp_path / "run"), rules) as client:
        page = client.get("/api/images/0")
        assert page.status_code == 200 and page.json()["neighbours"] == []
        question = {"image": "0", "patch": 48, "stride": 48, "fill": "mean", "view": "a"}
        answer = client.post("/api/distance", json=question)
        assert answer.status_code == 200 and answer.json()["neighbour_distance"] == 0
        for address in ("units/relu4:0", "units/logit:lynx", "layers/relu4", "network/0", "search"):
            assert client.get(f"/api/{address}").status_code == 200, address
        assert client.get("/api/map").status_code == 400
        assert client.post("/api/selection", json={"images": [0]}).status_code == 200


def test_what_is_gone_of_a_recording_is_said_and_can_be_recorded_again(network, images, tmp_path, rules):
    ico.record(network, images[:8], store=tmp_path / "run", workers=0, shard=4)
    next(tmp_path.glob("run/record/*/rows-*.parquet")).unlink()
    with pytest.raises(ico.errors.StoreError, match="1 of its 2 shards"):
        open_session(store=tmp_path / "run")
    session = open_session(network, images[:8], store=tmp_path / "run")
    assert session.recording is None
    with browse(session, rules) as client:
        assert client.get("/api/layers/relu4").status_code == 200
        client.post("/api/record")
        assert client.get("/api/session").json()["images"] == 8 and client.get("/api/units/relu4:0").status_code == 200


def test_one_more_layer_is_recorded_beside_the_others_and_the_map_stays(
    network, images, tmp_path, rules, monkeypatch, picture
):
    recording = ico.record(network, images[:12], store=tmp_path / "run", workers=0)
    ico.map_images(recording, "pca", store=tmp_path / "run")
    session = open_session(network, images[:12], store=tmp_path / "run")
    with browse(session, rules) as client:
        points = client.get("/api/map/points").content
        dropped = client.post("/api/uploads", content=picture).json()
        assert client.get("/api/layers/conv2").json()["units"] == []
        assert events(client.post("/api/record?layer=conv2"))[-1]["ended"]
        units = client.get("/api/layers/conv2").json()["units"]
        with monkeypatch.context() as patched:
            patched.setattr("iconoscope.explorer.map_page.map_images", lambda *_, **__: pytest.fail("made anew"))
            assert client.get("/api/map/points").content == points
        assert client.post("/api/record?layer=conv9").status_code == 404
        # A photograph is placed among the images of the map that was carried over, and one of before is still there.
        assert client.get(f"/api/images/{dropped['name']}").json()["point"] == dropped["point"]
        again = client.post("/api/uploads", content=picture)
        assert again.status_code == 200 and again.json()["point"] == dropped["point"] != []
    anew = open_session(network, images[:12], store=tmp_path / "run").subjects[0]
    assert anew.image_map is not None and anew.image_map.question.settings["recording"] == anew.recorded.question.key
    layers = [layer.name for layer in recording.layers]
    assert sorted(layer.name for layer in session.subjects[0].recorded.layers) == sorted(["conv2", *layers])
    own = ico.record(network, images[:12], ["conv2"], store=tmp_path / "other", workers=0)
    np.testing.assert_allclose(
        [unit["maximum"] for unit in units], own.responses.max(0)[: len(units)], rtol=1e-6, atol=1e-6
    )


def test_what_waits_for_something_else_says_so(network, images, tmp_path, rules):
    session = open_session(network, images[:4], store=tmp_path / "run")
    with browse(session, rules) as client:
        assert not session.studio.is_busy
        session.studio.submit(lambda: time.sleep(1))
        steps = events(client.post("/api/record"))
        assert steps[0]["task"] == "waits" and steps[-1]["ended"]


def test_an_explorer_that_only_reads_records_no_layer(network, images, store, rules):
    with browse(open_session(network, images, store=store, read_only=True), rules) as client:
        answer = client.post("/api/record?layer=conv2")
    assert answer.status_code == 403 and answer.json()["kind"] == "refused"
