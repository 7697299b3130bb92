"""The map where the store has none."""

from concurrent.futures import ThreadPoolExecutor

import pytest

import iconoscope as ico
from explore.browsing import browse
from iconoscope.explorer import map_page, open_session


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
