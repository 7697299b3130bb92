"""A patch anywhere, and maps of all places, against `occlude` and against the network asked by hand."""

import http.client
import json
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import iconoscope as ico
from iconoscope.explorer import open_session
from iconoscope.explorer.serving import serving
from iconoscope.progress import track

QUESTION = {"image": "5", "top": 0, "left": 0, "height": 24, "width": 24, "fill": "mean", "view": "a"}


def ask(client, **changes):
    return client.post("/api/patch", json={**QUESTION, **changes})


@pytest.fixture
def line(client, rules):
    headers = {"host": f"127.0.0.1:{rules.port}", "cookie": f"{rules.cookie}={rules.token}"}
    with client.websocket_connect("/api/patches", headers=headers) as line:
        yield line


def test_a_line_gives_the_same_answers_one_after_the_other(client, line):
    for top in (0, 13, 60):
        line.send_json({**QUESTION, "top": top})
        milliseconds, *probabilities = np.frombuffer(line.receive_bytes(), "<f4")
        assert milliseconds > 0
        np.testing.assert_allclose(probabilities, ask(client, top=top).json()["probabilities"], atol=1e-6)


def test_what_a_line_cannot_answer_is_said_and_the_next_question_is_answered(line, monkeypatch, caplog):
    wrong = [{"fill": "plaid"}, {"height": "tall"}, {"image": "60"}, {"network": 1}]
    for change, named in zip(wrong, ("plaid", "height", "60", "network 1"), strict=True):
        line.send_json({**QUESTION, **change})
        problem = line.receive_json()
        assert named in problem["message"] and problem["hint"]
    for nothing in ("", "{", "[" * 100_000):
        line.send_text(nothing)
        assert line.receive_json()["kind"] == "question"
    line.send_bytes(b"\xff")
    assert line.receive_json()["kind"] == "question"
    with monkeypatch.context() as patched:
        patched.setattr("iconoscope.explorer.session.Session.patch", lambda *_: 1 / 0)
        line.send_json(QUESTION)
        assert line.receive_json()["kind"] == "damaged"
        assert "division by zero" in caplog.text
    line.send_json(QUESTION)
    assert len(line.receive_bytes()) == 4 * 3


@pytest.mark.parametrize("fill", ["mean", "zero", "black", "patch-mean", "blur", "noise", "0.5"])
def test_a_patch_is_answered_as_occlude_answers_it(client, network, images, fill):
    occlusion = ico.occlude(network, images[5], patch=24, stride=36, fill=fill, method="dense")
    for row, top in enumerate(occlusion.top.tolist()):
        for column, left in enumerate(occlusion.left.tolist()):
            answer = ask(client, top=top, left=left, fill=fill).json()
            np.testing.assert_allclose(answer["probabilities"], occlusion.occluded[row, column], atol=2e-6)


def test_between_the_pixels_the_nearest_counts(client):
    assert (
        ask(client, top=10.4, left=20.6).json()["probabilities"] == ask(client, top=10, left=21).json()["probabilities"]
    )


def test_beside_the_image_nothing_is_covered(client, network, images):
    clean = ico.predict(network, images[[5]])[0]
    for place in ({"top": -24}, {"left": 96}, {"top": 500, "left": -500}):
        np.testing.assert_allclose(ask(client, **place).json()["probabilities"], clean, atol=2e-6)


def test_over_the_border_it_is_cut(client, network, images):
    picture = network.preprocessing.shown(images[5]).copy()
    half = ask(client, top=-12, left=-6, fill="black").json()["probabilities"]
    picture[:12, :18] = 0
    np.testing.assert_allclose(half, ico.predict(network, picture)[0], atol=2e-6)


@pytest.mark.parametrize("wrong", [{"height": 0}, {"width": 97}, {"fill": "plaid"}, {"image": "60"}, {"network": 1}])
def test_a_patch_that_makes_no_sense_is_said(client, wrong):
    answer = ask(client, **wrong)
    assert answer.status_code in (400, 404)
    assert answer.json()["hint"]


def test_a_map_of_all_places_is_that_of_occlude(client, network, images):
    question = {"image": "5", "unit": "prob:bison", "patch": 24, "stride": 12, "fill": "mean", "view": "a"}
    answer = client.post("/api/heat", json=question).json()
    occlusion = ico.occlude(network, images[5], "prob:bison", patch=24, stride=12)
    assert (answer["top"], answer["left"]) == (occlusion.top.tolist(), occlusion.left.tolist())
    np.testing.assert_allclose(answer["drop"], occlusion.drop, atol=1e-5)
    assert "--patch 24 --stride 12" in answer["commands"]["shell"] or answer["commands"]["shell"] == ""
    assert "ico.occlude(net, images[5], 'prob:bison', patch=24" in answer["commands"]["python"]


def test_how_far_a_vector_moves(client, network, images, recording):
    """Against the vectors that are recorded of the covered pictures themselves."""
    question = {"image": "5", "patch": 48, "stride": 48, "fill": "black", "view": "a"}
    answer = client.post("/api/distance", json=question).json()
    assert (answer["top"], answer["left"]) == ([0, 48], [0, 48])
    picture = network.preprocessing.shown(images[5])
    covered = np.repeat(picture[None], 4, 0)
    for number, (top, left) in enumerate(((0, 0), (0, 48), (48, 0), (48, 48))):
        covered[number, top : top + 48, left : left + 48] = 0
    with tempfile.TemporaryDirectory() as folder:
        moved = ico.record(network, covered, store=f"{folder}/run", workers=0).vectors("penultimate")
        moved = moved / np.linalg.norm(moved, axis=1, keepdims=True)
    clean = recording.vectors("penultimate")
    clean = clean / np.linalg.norm(clean, axis=1, keepdims=True)
    np.testing.assert_allclose(np.ravel(answer["distance"]), np.linalg.norm(moved - clean[5], axis=1), atol=1e-4)
    nearest = np.sort(np.linalg.norm(clean - clean[5], axis=1))[1:9]
    assert answer["neighbour_distance"] == pytest.approx(nearest.mean(), rel=1e-3)


@pytest.mark.parametrize("place", ["NaN", "Infinity", "1e999", '"left"'])
def test_a_place_that_is_no_number_is_said(client, place):
    text = '{"image": "5", "top": %s, "left": 0, "height": 8, "width": 8, "fill": "mean", "view": "a"}' % place  # noqa: UP031
    answer = client.post("/api/patch", content=text, headers={"content-type": "application/json"})
    assert answer.status_code == 400 and answer.json()["kind"] == "question"


def test_a_patch_is_answered_while_a_long_map_is_made_and_the_map_is_whole(client, session, network, images):
    """The map is interrupted between two batches and begins again."""
    with ThreadPoolExecutor() as pool:
        question = {"image": "5", "unit": "prob:bison", "patch": 8, "stride": 2, "fill": "mean", "view": "map"}
        long = pool.submit(client.post, "/api/heat", json=question)
        while session.worker._current is None or session.worker._current.view != "map":
            time.sleep(0.001)
        began = time.perf_counter()
        assert ask(client, top=3).status_code == 200
        waited = time.perf_counter() - began
        heat = long.result(60).json()
    occlusion = ico.occlude(network, images[5], "prob:bison", patch=8, stride=2)
    np.testing.assert_allclose(heat["drop"], occlusion.drop, atol=1e-5)
    assert waited < 5


def test_the_mean_map_of_chosen_images(client, network, images):
    chosen = [3, 8, 11]
    question = {"images": [11, 3, 8, 3], "patch": 48, "stride": 24, "fill": "mean", "view": "a"}
    answer = client.post("/api/selection/heat", json=question).json()
    own = ico.occlude(network, images[chosen], patch=48, stride=24, mean=True)
    np.testing.assert_allclose(answer["mean"], own.mean[0], atol=1e-6)
    assert answer["count"] == 3 and answer["size"] == [96, 96]
    assert "images[[3, 8, 11]]" in answer["commands"]["python"]
    assert client.post("/api/selection/heat", json={**question, "images": []}).status_code == 400


def test_others_may_ask_the_network_as_soon_as_the_patch_rests(client, network, images):
    """In a program of their own, in which the explorer is one thread."""
    assert ask(client).status_code == 200
    began = time.perf_counter()
    ico.predict(network, images[:1])
    assert time.perf_counter() - began < 3


@pytest.mark.parametrize("address", ["heat", "selection/heat"])
def test_a_map_whose_browser_has_left_is_computed_no_further(network, images, tmp_path, monkeypatch, address):
    begun, ended = threading.Event(), threading.Event()

    def endless(*_, **__):
        try:
            for _ in track(range(10_000), "covering"):
                begun.set()
                time.sleep(0.01)
        finally:
            ended.set()

    monkeypatch.setattr("iconoscope.explorer.patch_questions.occlude", endless)
    question = {
        "image": "5",
        "images": [1, 2],
        "unit": "prob:bison",
        "patch": 24,
        "stride": 1,
        "fill": "mean",
        "view": "a",
    }
    session = open_session(network, images, store=tmp_path / "run")
    with serving(session) as rules:
        connection = http.client.HTTPConnection("127.0.0.1", rules.port)
        headers = {"cookie": f"{rules.cookie}={rules.token}", "content-type": "application/json"}
        connection.request("POST", f"/api/{address}", json.dumps(question), headers)
        assert begun.wait(10) and not ended.is_set()
        connection.close()
        assert ended.wait(10)
        assert session.ask(lambda: "free").result(10) == "free"
