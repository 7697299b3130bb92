"""The command as it is typed, and what it can be given: a store alone, a second network, titles of classes."""

import asyncio
import gc
import http.cookiejar
import json
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
import warnings

import numpy as np
import pytest
import torch
from fastapi import Response
from safetensors.torch import save_file

import iconoscope as ico
from explore.browsing import browse
from iconoscope.cli import main
from iconoscope.explorer import open_session
from iconoscope.explorer import serving as serving_module
from iconoscope.explorer.serving import listen, serving

WARNING = "ignore::iconoscope.errors.IconoscopeWarning"


def read(address):
    """Open the printed address as a browser does, and then ask for the session."""
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
    base = address.partition("?")[0]
    try:
        opener.open(address).read()
    except urllib.error.HTTPError as error:  # where the front end has not been built
        assert error.code == 404
    return json.loads(opener.open(f"{base}api/session").read())


def test_the_command_prints_an_address_answers_and_ends_with_ctrl_c(store):
    arguments = ["explore", "--network", "cars-honest", "--device", "cpu", "--store", str(store), "--no-browser"]
    command = [sys.executable, "-m", "iconoscope", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None and process.stderr is not None
            address = re.search(r"http://127\.0\.0\.1:\d+/\?token=\S+", process.stdout.readline())
            assert address is not None
            session = read(address[0])
            assert [network["name"] for network in session["networks"]] == ["cars-honest"]
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0
            assert "The explorer has ended." in process.stdout.read()
            assert "Traceback" not in process.stderr.read()
        finally:
            process.kill()


def test_in_a_notebook_it_goes_on_in_the_background(store, network, capsys):
    async def cell():
        ico.explore(network, store=store, port=0, browser=False)

    asyncio.run(cell())
    address = re.search(r"http://\S+", capsys.readouterr().out)
    assert address is not None and read(address[0])["networks"][0]["name"] == "cars-honest"


def test_a_port_that_is_taken_is_said(store, network):
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(ico.errors.QuestionError, match="cannot listen"),
    ):
        ico.explore(network, store=store, port=taken.getsockname()[1], browser=False)


def test_the_usual_port_is_waited_for_while_the_explorer_before_ends(monkeypatch):
    with listen("127.0.0.1", 0) as before:
        port = before.getsockname()[1]
        monkeypatch.setattr(serving_module, "PORT", port)
        ending = threading.Timer(0.3, before.close)
        ending.start()
        with listen("127.0.0.1", None) as now:
            assert now.getsockname()[1] == port
        ending.join()


def test_another_port_than_the_usual_is_said(monkeypatch):
    with listen("127.0.0.1", 0) as before:
        port = before.getsockname()[1]
        monkeypatch.setattr(serving_module, "PORT", port)
        monkeypatch.setattr(serving_module, "_PATIENCE", 0)
        with (
            pytest.warns(ico.errors.IconoscopeWarning, match=f"Port {port} is taken"),
            listen("127.0.0.1", None) as now,
        ):
            assert now.getsockname()[1] > port


@pytest.mark.parametrize("port", [-1, 70000])
def test_a_port_that_is_none_is_said(store, network, port):
    with pytest.raises(ico.errors.QuestionError, match="cannot listen"):
        ico.explore(network, store=store, port=port, browser=False)


def test_options_of_a_network_that_is_not_named_are_refused(capsys, store):
    assert main(["explore", "--store", str(store), "--checkpoint", "x.safetensors"]) == 2
    assert "Give --network too." in capsys.readouterr().err


def test_neither_a_network_nor_a_recording_is_said(tmp_path):
    with pytest.raises(ico.errors.StoreError, match="no recording"):
        open_session(store=tmp_path / "nothing")


def test_a_store_alone_is_shown_and_asks_nothing(store, rules):
    with browse(open_session(store=store), rules) as client:
        session = client.get("/api/session").json()
        assert session["asks"] is False and session["images"] == 60 and session["map"]
        assert client.get("/api/network/0").json()["accuracy"] is not None
        assert client.get("/api/units/relu4:0").json()["most"]
        assert client.get("/api/images/3").json()["probabilities"]
        # The images were never files: their thumbnails on the map stand for them.
        assert client.get("/api/images/3/picture.png").status_code == 200
        question = {"image": "3", "top": 0, "left": 0, "height": 8, "width": 8, "fill": "mean", "view": "a"}
        answer = client.post("/api/patch", json=question)
        assert answer.status_code == 400 and "--network" in answer.json()["hint"]


def test_a_network_without_a_recording_says_how_to_make_one(network, images, tmp_path, rules):
    with browse(open_session(network, images[:4], store=tmp_path / "run"), rules) as client:
        assert client.get("/api/session").json()["images"] == 4
        page = client.get("/api/network/0").json()
        assert page["accuracy"] is None and not any(layer["recorded"] for layer in page["layers"])
        assert client.get("/api/images/3").json()["label"] == images[3].label
        answer = client.get("/api/units/relu4:0")
        assert answer.status_code == 404 and "iconoscope record" in answer.json()["hint"]


@pytest.fixture(scope="module")
def several(network, images, tmp_path_factory):
    """A store in which first all images were recorded, then some of them, as an audit does, and then others."""
    folder = tmp_path_factory.mktemp("several") / "run"
    for rows in (slice(30), slice(10), slice(40, 50)):
        ico.record(network, images[rows], store=folder, workers=0)
    return folder


@pytest.mark.parametrize("with_network", [True, False])
def test_of_several_recordings_that_of_the_given_images_is_shown(network, images, several, with_network):
    asked = network if with_network else None
    for rows in (slice(30), slice(10), slice(40, 50)):
        session = open_session(asked, images[rows], store=several)
        assert session.subjects[0].recorded.ids == images[rows].ids


def test_without_one_of_all_given_images_the_largest_is_shown_and_that_is_said(network, images, several, rules):
    with pytest.warns(ico.errors.IconoscopeWarning, match=r"Of the 35 images 30 were recorded"):
        session = open_session(network, images[:35], store=several)
    assert session.subjects[0].recorded.ids == images[:30].ids
    with browse(session, rules) as client:
        shown = client.get("/api/session").json()
        assert (shown["images"], shown["given"]) == (30, 35)


def test_where_no_images_are_given_a_larger_recording_is_said(network, several):
    with pytest.warns(ico.errors.IconoscopeWarning, match="recorded last.*recording of 30"):
        session = open_session(network, store=several)
    assert session.count == 10


def ask_both(client):
    question = {"image": "3", "top": 9, "left": 9, "height": 30, "width": 30, "fill": "mean", "view": "a"}
    return [client.post("/api/patch", json={**question, "network": number}).json() for number in (0, 1)]


def test_two_networks_stand_beside_each_other(network, images, store, rules):
    with browse(open_session(network, images, store=store, compare="shortcut=cars"), rules) as client:
        assert [entry["name"] for entry in client.get("/api/session").json()["networks"]] == ["cars-honest", "shortcut"]
        covered = network.preprocessing.shown(images[3]).copy()
        covered[9:39, 9:39] = np.round(covered.mean((0, 1)))
        networks = (network, ico.load_network("cars", device="cpu"))
        for answer, asked in zip(ask_both(client), networks, strict=True):
            np.testing.assert_allclose(answer["probabilities"], ico.predict(asked, covered)[0], atol=0.02)
        assert client.get("/api/images/3", params={"network": 1}).status_code == 200


def test_the_same_network_with_other_weights(network, images, store, rules, tmp_path, monkeypatch):
    weights = {name: value.clone() for name, value in network.module.state_dict().items()}
    weights["head.bias"][1] += 100
    save_file(weights, tmp_path / "after.safetensors")
    before = network.digest()
    compare = f"after={tmp_path / 'after.safetensors'}"
    with browse(open_session(network, images, store=store, compare=compare), rules) as client:
        assert [entry["name"] for entry in client.get("/api/session").json()["networks"]] == ["cars-honest", "after"]
        assert ask_both(client)[1]["probabilities"][1] == pytest.approx(1)
        commands = client.get("/api/network/1").json()["commands"]
        assert "checkpoint='after.safetensors'" in commands["python"].splitlines()[1]
        monkeypatch.chdir(
            tmp_path
        )  # and of classes and preprocessing what the built-in file says, and this one does not
        names = {}
        exec("\n".join(commands["python"].splitlines()[:2]), names)
        assert names["net"].digest() != before and names["net"].classes == network.classes
        assert main(shlex.split(commands["shell"])[1:]) == 0
    assert network.digest() == before


@pytest.mark.filterwarnings(WARNING)
def test_a_recording_of_other_images_is_left_out_of_a_comparison(network, images, store, tmp_path):
    second = ico.load_network("cars", device="cpu")
    session = open_session(network, images, store=store, compare=second)
    assert session.subjects[1].recording is None
    ico.record(second, images[:8], store=tmp_path / "run", workers=0)
    with pytest.raises(ico.errors.QuestionError, match="only recordings of other images"):
        open_session(network, images, store=store, compare=str(tmp_path / "run"))


def test_two_stores_stand_beside_each_other_by_the_images_that_both_have(network, images, tmp_path):
    for folder, name, parts in (("one", "cars-honest", (images, images[:9])), ("two", "cars", (images[:12], images))):
        for part in parts:  # the latest of the first are nine, of the second all
            ico.record(ico.load_network(name, device="cpu"), part, store=tmp_path / folder, layers=["conv1"], workers=0)
    session = open_session(store=tmp_path / "one", compare=f"other={tmp_path / 'two'}")
    assert [len(subject.recorded) for subject in session.subjects] == [60, 60]
    assert session.subjects[1].name == "other"
    with pytest.raises(ico.errors.QuestionError, match="only recordings of other images"):
        ico.record(network, images[:5], store=tmp_path / "three", layers=["conv1"], workers=0)
        open_session(store=tmp_path / "three", compare=str(tmp_path / "two"))


def test_a_second_network_stands_there_by_the_images_of_the_first_that_are_not_at_hand(network, images, tmp_path):
    second = ico.load_network("cars", device="cpu")
    for asked, part in ((network, slice(0, 9)), (second, slice(0, 9)), (second, slice(9, 14))):
        ico.record(asked, images[part], store=tmp_path, workers=0, layers="relu4", k=4)
    session = open_session(network, store=tmp_path, compare=second)
    assert [len(subject.recording) for subject in session.subjects if subject.recording is not None] == [9, 9]


def test_networks_of_other_classes_cannot_stand_beside_each_other(network, images, store):
    with pytest.raises(ico.errors.QuestionError, match="other classes"):
        open_session(network, images, store=store, compare="cifar10")


def test_images_that_two_networks_answer_differently(network, images, store, rules, tmp_path):
    second = ico.record(ico.load_network("cars", device="cpu"), images, store=tmp_path / "run", workers=0)
    first = ico.load_recording(store)
    with browse(open_session(network, images, store=store, compare=str(tmp_path / "run")), rules) as client:
        for number, (own, other) in enumerate([(first, second), (second, first)]):
            search = client.get("/api/search", params={"differ": True, "network": number, "limit": 99}).json()
            rows = np.flatnonzero(own.predictions != other.predictions)
            assert search["total"] == len(rows) > 0
            assert [card["number"] for card in search["images"]] == rows.tolist()
            assert [card["other"] for card in search["images"]] == [
                other.classes[other.predictions[row]] for row in rows
            ]
    with browse(open_session(network, images, store=store), rules) as client:
        assert client.get("/api/search", params={"differ": True}).json()["total"] == 0
        assert client.get("/api/search").json()["images"][0]["other"] == ""


def test_titles_of_classes(network, images, store, rules, tmp_path):
    table = tmp_path / "titles.csv"
    table.write_text("class,título\nbison,bisonte\n", encoding="utf-8")
    with browse(open_session(network, images, store=store, titles=table), rules) as client:
        titles = client.get("/api/session").json()["class_titles"]
        assert titles == {"en": ["lynx", "bison"], "es": ["lynx", "bisonte"]}
    for rows, wrong in (("lynx,lince\ncat,gato\n", "cat"), ("lynks,lince\nbison,bisonte\n", "lynks")):
        table.write_text(rows, encoding="utf-8")
        with pytest.raises(ico.errors.UnitError, match=wrong):
            open_session(network, images, store=store, titles=table)


def test_answers_are_sent_at_once():
    """What is small waits for nothing else to be sent with it: asyncio sees to that for sockets whose protocol is named."""
    with listen("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP


def test_no_connection_stays_when_a_server_ends(network, images, store, monkeypatch):
    """Not even one whose browser no longer reads what it is sent."""
    monkeypatch.setattr("iconoscope.explorer.server._site_file", lambda name: Response(bytes(2**25)))
    with warnings.catch_warnings(record=True) as left, socket.socket() as client:
        warnings.simplefilter("always")
        with serving(open_session(network, images, store=store)) as rules:
            client.connect(("127.0.0.1", rules.port))
            cookie = f"{rules.cookie}={rules.token}"
            client.sendall(f"GET /app.js HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {cookie}\r\n\r\n".encode())
            assert client.recv(12) == b"HTTP/1.1 200"
        gc.collect()
    assert not [warning.message for warning in left if issubclass(warning.category, ResourceWarning)]


def test_a_second_network_of_which_there_is_a_store_alone(network, images, store, rules, tmp_path):
    ico.record(ico.load_network("cars", device="cpu"), images, store=tmp_path / "run", workers=0)
    with browse(open_session(network, images, store=store, compare=f"before={tmp_path / 'run'}"), rules) as client:
        assert [entry["name"] for entry in client.get("/api/session").json()["networks"]] == ["cars-honest", "before"]
        first, second = (client.get("/api/units/relu4:0", params={"network": number}).json() for number in (0, 1))
        assert first["most"] != second["most"]
        question = {"image": "3", "top": 0, "left": 0, "height": 8, "width": 8, "fill": "mean", "view": "a"}
        answer = client.post("/api/patch", json={**question, "network": 1})
        assert answer.status_code == 400 and "not at hand" in answer.json()["message"]


@pytest.mark.parametrize("compare", ["{}", "tuned={}", "tuned=once={}"])
def test_weights_whose_path_has_an_equals_sign(network, store, tmp_path, compare):
    path = tmp_path / "lr=0.1" / "best.pt"
    path.parent.mkdir()
    torch.save(network.module.state_dict(), path)
    second = open_session(network, store=store, compare=compare.format(path)).subjects[1]
    assert second.name == (compare.rpartition("=")[0] or "best.pt")
    assert second.network is not None and second.network.loaded_by["checkpoint"] == str(path)


def test_weights_that_are_not_there_are_said_whole(network, store):
    with pytest.raises(ico.errors.IconoscopeError, match=r"runs/lr=0\.1/best\.pt"):
        open_session(network, store=store, compare="runs/lr=0.1/best.pt")


@pytest.mark.filterwarnings("error::iconoscope.errors.IconoscopeWarning")
def test_a_store_of_another_network_alone_is_said(network, images, several, tmp_path):
    other = ico.load_network("cars", device="cpu")
    sentence = r"This store has cars-honest; of cars nothing is recorded"
    with pytest.warns(ico.errors.IconoscopeWarning, match=sentence + r"\.$"):
        open_session(other, images[:10], store=several).close()
    with pytest.warns(ico.errors.IconoscopeWarning, match=sentence + ", and nothing can be"):
        open_session(other, images[:10], store=several, read_only=True).close()
    open_session(other, images[:10], store=tmp_path / "empty").close()
