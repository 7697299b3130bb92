"""A record of the store that is damaged takes nothing from its page but itself, is named there, and stops no export."""

import json
import shutil

import pytest

import iconoscope as ico
from explore.browsing import browse
from iconoscope.explorer import open_session
from iconoscope.explorer.export import SITE, plan_export

PAGES = {
    "audit": ("network/0", "layers"),
    "concepts": ("concepts?layer=relu3", "commands"),
    "atlas": ("activation-atlas", "commands"),
    "occlude": ("images/2/heat", "maps"),
    "optimize": ("units/relu4:0", "most"),
    "map": ("map", "ids"),
}
"""The page on which a technique's records stand, and what of it stays where one is damaged."""


@pytest.fixture(scope="module")
def whole(store, network, images, tmp_path_factory):
    """A store with a record of every technique that pages show beside other things."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    shutil.copytree(store, folder)
    ico.concepts(network, images, "relu3", "lynx", count=2, resamples=0, steps=0, store=folder)
    ico.activation_atlas(network, images[:24], "relu3", grids=(2,), least=2, steps=1, method="pca", store=folder)
    shutil.rmtree(folder / "optimize")
    ico.optimize(network, "relu4:0", steps=1, store=folder)
    for patch in (48, 64):
        ico.occlude(network, images[2], patch=patch, stride=48, store=folder)
    # An audit takes half a minute; of one that cannot be read nobody sees what it was.
    shutil.copytree(next((folder / "occlude").iterdir()), folder / "audit" / "0123456789abcdef")
    return folder


def damage(record, part):
    if part == "index":
        path = record / "result.json"
        path.write_text(path.read_text(encoding="utf-8")[:-40], encoding="utf-8")
        return
    path = next(record.glob("*.npz"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


@pytest.fixture
def damaged(whole, tmp_path):
    """A function that damages the latest record of a technique in a copy of the store; gives the copy and the record's name."""

    def of(technique, part):
        folder = tmp_path / "run"
        shutil.copytree(whole, folder)
        record = sorted((folder / technique).iterdir())[0]
        damage(record, part)
        return folder, f"{technique}/{record.name}"

    return of


@pytest.mark.parametrize("part", ["index", "arrays"])
@pytest.mark.parametrize("technique", PAGES)
def test_the_rest_of_the_page_is_there_and_the_record_is_named(network, images, rules, damaged, technique, part):
    folder, name = damaged(technique, part)
    with browse(open_session(network, images, store=folder), rules) as client:
        for page, (address, stays) in PAGES.items():
            answer = client.get(f"/api/{address}")
            assert answer.status_code == 200 and answer.json()[stays], page
            told = answer.json()["damaged"]
            assert [each["record"] for each in told] == ([name] if page == technique else []), page
            for each in told:
                assert "Delete the folder" in each["hint"] and str(folder) not in json.dumps(each)


def test_of_two_maps_that_which_can_be_read_is_shown(network, images, rules, damaged):
    folder, _ = damaged("occlude", "arrays")
    with browse(open_session(network, images, store=folder), rules) as client:
        assert len(client.get("/api/images/2/heat").json()["maps"]) == 1


def test_a_record_that_was_made_again_is_not_named_any_more(network, images, rules, damaged):
    folder, name = damaged("concepts", "arrays")
    with browse(open_session(network, images, store=folder), rules) as client:
        assert client.get("/api/concepts?layer=relu3").json()["damaged"]
        shutil.rmtree(folder / name)
        ico.concepts(network, images, "relu3", "lynx", count=2, resamples=0, steps=0, store=folder)
        page = client.get("/api/concepts?layer=relu3").json()
    assert len(page["classes"]) == 1 and page["damaged"] == []


@pytest.mark.skipif(not (SITE / "index.html").is_file(), reason="the front end has not been built")
def test_an_export_goes_on_and_says_what_it_lacks(network, images, tmp_path, whole):
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    records = [sorted((folder / technique).iterdir())[0] for technique in PAGES]
    for record in records:
        damage(record, "arrays")
    session = open_session(network, images, store=folder)
    plan = plan_export(session)
    assert all(f"{record.parent.name}/{record.name}" in plan.summary() for record in records)
    site = plan.write(tmp_path / "site")
    session.close()
    assert "concepts/" in (site / "data" / "concepts_layer_relu3.js").read_text(encoding="utf-8")
    assert '"maps":[{' in (site / "data" / "images_0_heat.js").read_text(encoding="utf-8").replace(" ", "")
