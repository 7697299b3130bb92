"""The explorer as a folder: every answer is the server's own, and how much it is was said before."""

import asyncio
import base64
import json
import re
from contextlib import contextmanager

import numpy as np
import pytest

import iconoscope as ico
from iconoscope.cli import main
from iconoscope.explorer import open_session
from iconoscope.explorer.export import SITE, plan_export, script_name
from iconoscope.progress import listen

CALL = re.compile(r"^iconoscopeData\((\"(?:[^\"\\]|\\.)*\"), (.*)\);$")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Files of the front end, where it has not been built."""
    if not (SITE / "index.html").is_file():
        pytest.skip("the front end has not been built")
    return SITE


@pytest.fixture(scope="module")
def exported(network, images, store, tmp_path_factory, site):
    ico.occlude(network, images[2], patch=48, stride=48, store=store)
    session = open_session(network, images, store=store)
    plan = plan_export(session)
    folder = plan.write(tmp_path_factory.mktemp("export") / "site")
    session.close()
    return plan, folder


def read(folder):
    """Load all scripts as a browser does."""
    answers = {}
    for script in (folder / "data").iterdir():
        for line in script.read_text(encoding="utf-8").splitlines():
            call = CALL.match(line)
            assert call is not None, line[:80]
            key = json.loads(call[1])
            assert script.name == script_name(key)
            answers[key] = json.loads(call[2])
    return answers


def test_one_line_says_how_long_it_took(session, tmp_path, site):
    heard = []

    @contextmanager
    def listener(description, total):
        done = []
        yield lambda steps, words="": done.append(steps)
        heard.append((description, total, sum(done)))

    plan = plan_export(session)
    with listen(listener):
        plan.write(tmp_path / "site")
    addresses = sum(len(kind.addresses) for kind in plan.kinds)
    assert heard == [("writing answers", addresses, addresses)]


def test_it_says_before_how_much_it_will_be(exported):
    plan, folder = exported
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert plan.files == len(files)
    assert plan.megabytes == pytest.approx(sum(path.stat().st_size for path in files) / 1e6, rel=0.03)


def test_every_answer_is_the_servers(exported, client):
    answers = read(exported[1])
    for key in ("network/0?lang=es", "layers/relu4", "units/relu4%3A3", "units/logit%3Abison", "images/7", "map"):
        assert answers[key] == client.get(f"/api/{key}").json(), key
    assert answers["session"]["asks"] is False and answers["session"]["read_only"] is True
    assert len(answers["search"]["images"]) == 60
    assert len(answers["find?class=bison"]["units"]) > 24
    assert base64.b64decode(answers["map/points"]) == client.get("/api/map/points").content
    assert base64.b64decode(answers["atlas/0"]).startswith(b"\xff\xd8")


def test_occlusions_of_the_store_are_in_it(exported, network, images):
    answers = read(exported[1])
    assert [key for key in answers if key.endswith("/heat")] == ["images/2/heat"]
    (heat,) = answers["images/2/heat"]["maps"]
    occlusion = ico.occlude(network, images[2], patch=48, stride=48)
    np.testing.assert_allclose(heat["drop"], occlusion.drop, atol=1e-5)
    assert heat["unit"] == occlusion.question.unit and heat["fill"] == "mean"


def test_pictures_are_files_at_their_addresses(exported, client):
    _, folder = exported
    for number in (0, 59):
        path = folder / "api" / "images" / str(number) / "picture.png"
        assert path.read_bytes() == client.get(f"/api/images/{number}/picture.png").content
    assert list((folder / "api" / "pictures").glob("*/0.png"))


def test_nothing_in_it_names_this_disk(exported, store):
    for path in exported[1].rglob("*.js"):
        if path.parent.name == "data":
            assert str(store.parent) not in path.read_text(encoding="utf-8")


def test_a_page_says_that_it_is_an_export(exported):
    assert "<html data-export" in (exported[1] / "index.html").read_text(encoding="utf-8")


def test_a_folder_with_something_in_it_is_left_alone(store, tmp_path, site):
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    session = open_session(store=store)
    with pytest.raises(ico.errors.StoreError, match="something in it"):
        plan_export(session).write(tmp_path)
    session.close()
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_the_command_exports_a_store_alone(store, tmp_path, capsys, site):
    """Without the network and without the images: their thumbnails on the map stand for them."""
    folder = tmp_path / "site"
    assert main(["explore", "--store", str(store), "--export", str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"The export will be [\d,]+ files, about [\d.,]+ MB\.", lines[0])
    assert lines[1] == f"Open {folder.resolve() / 'index.html'}"
    assert (folder / "api" / "images" / "5" / "picture.png").is_file()


def test_a_notebook_exports_too(store, tmp_path, site):
    async def cell():
        ico.explore(store=store, export=tmp_path / "site")

    asyncio.run(cell())
    assert (tmp_path / "site" / "data" / "session.js").is_file()


def test_names_that_differ_in_capitals_alone_share_a_script():
    assert script_name("units/logit%3ACat") == script_name("units/logit%3Acat")
    assert len(script_name("units/" + "x" * 500)) < 120


def test_a_map_that_was_not_made_yet_is_part_of_it(network, images, tmp_path, site):
    ico.record(network, images[:12], store=tmp_path / "run", workers=0)
    session = open_session(network, images[:12], store=tmp_path / "run")
    plan = plan_export(session)
    answers = read(plan.write(tmp_path / "site"))
    session.close()
    assert answers["session"]["map"] is True and plan.summary().endswith("MB.")
    assert len(answers["map"]["numbers"]) == 12 and answers["map/points"] and answers["atlas/0"]


def test_where_there_can_be_no_map_it_is_said_before_and_no_link_leads_there(network, images, tmp_path, site):
    recorded = images[:12]
    ico.record(network, recorded, store=tmp_path / "run", workers=0)
    session = open_session(store=tmp_path / "run")
    plan = plan_export(session)
    answers = read(plan.write(tmp_path / "site"))
    session.close()
    assert "without a map: The images of this recording are not at hand" in plan.summary()
    assert answers["session"]["map"] is False and "map" not in answers
    assert answers["network/0?lang=en"]["parameters"] is None  # nobody knows


def test_of_too_few_images_no_link_leads_to_a_map(network, images, tmp_path):
    for count, shown in ((3, False), (4, True)):
        ico.record(network, images[:count], store=tmp_path / "run", workers=0)
        subject = open_session(network, images[:count], store=tmp_path / "run").subjects[0]
        assert subject.can_have_map is shown
