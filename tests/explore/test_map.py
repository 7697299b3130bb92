"""The map where the store has none."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import iconoscope as ico
from explore.browsing import browse, events
from explore.chromium import WIDE, wait_until
from iconoscope.explorer import map_page, open_session
from iconoscope.explorer.serving import serving
from iconoscope.progress import advancing


@pytest.mark.parametrize("read_only", [False, True])
def test_a_map_that_all_parts_are_asked_of_at_once_is_made_once(
    network, images, tmp_path, rules, monkeypatch, read_only
):
    ico.record(network, images[:12], store=tmp_path / "run", workers=0)
    made = []

    def make(recording, **settings):
        made.append(settings)
        return ico.map_images(recording, "pca", **settings)

    monkeypatch.setattr(map_page, "map_images", make)
    session = open_session(network, images[:12], store=tmp_path / "run", read_only=read_only)
    with browse(session, rules) as client, ThreadPoolExecutor() as pool:
        answers = pool.map(client.get, [f"/api/{part}" for part in ("map", "map/points", "map/neighbours", "atlas/0")])
        assert [answer.status_code for answer in answers] == [200] * 4
    assert len(made) == 1
    assert (ico.load_recording(tmp_path / "run").folder.parents[1] / "map").is_dir() is not read_only


def test_a_map_that_is_made_says_how_far_it_is_and_one_that_is_there_is_there_at_once(network, images, tmp_path, rules):
    ico.record(network, images[:12], store=tmp_path / "run", workers=0)
    with browse(open_session(network, images[:12], store=tmp_path / "run"), rules) as client:
        steps = events(client.post("/api/map/make"))
        assert {"looking for neighbours", "t-SNE"} <= {step["task"] for step in steps}
        assert all(step["done"] <= step["total"] for step in steps if step["total"])
        assert steps[-1] == {"task": "", "done": 12, "total": 12, "ended": True}
        assert events(client.post("/api/map/make")) == steps[-1:]
        assert client.get("/api/map").json()["count"] == 12


def test_a_map_that_is_stopped_is_not_made_until_it_is_asked_for_again(browser, network, images, tmp_path, monkeypatch):
    ico.record(network, images[:12], store=tmp_path / "run", workers=0)
    session = open_session(network, images[:12], store=tmp_path / "run")
    go_on, stopped = threading.Event(), []

    def make(recording, **settings):
        with advancing("t-SNE", 4) as advance:
            advance(1)
            while not go_on.wait(0.02):
                try:
                    advance(0)
                except KeyboardInterrupt:
                    stopped.append(True)
                    raise
        return ico.map_images(recording, "pca", **settings)

    monkeypatch.setattr(map_page, "map_images", make)
    page = browser.new_page(viewport=WIDE)
    page.set_default_timeout(30_000)
    with serving(session) as rules:
        page.goto(rules.address)
        page.goto(f"{rules.address.split('?')[0]}#/map")
        page.get_by_text("25%").wait_for()
        page.get_by_role("button", name="Stop").click()
        wait_until(lambda: bool(stopped))
        go_on.set()
        assert session.subjects[0].image_map is None
        page.get_by_role("button", name="Make the map").click()
        page.wait_for_selector(".stage-map[data-ready=yes]")
        assert len(session.subjects[0].mapped) == 12 and len(stopped) == 1
    page.close()
