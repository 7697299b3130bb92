"""An explorer that was exported, opened from the disk: it shows what the recording has, and asks nobody."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from explore.chromium import bars, wait_until
from iconoscope.explorer.export import plan_export


@pytest.fixture(scope="module")
def folder(explored, tmp_path_factory):
    place = tmp_path_factory.mktemp("export") / "site"
    # The browser's own loop runs in this thread.
    with ThreadPoolExecutor(1) as other:
        return other.submit(lambda: plan_export(explored).write(place)).result()


@pytest.fixture
def page(browser, folder):
    troubles = []
    page = browser.new_page(viewport={"width": 1280, "height": 900}, locale="en-US")
    page.set_default_timeout(30_000)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("console", lambda said: troubles.append(said.text) if said.type == "error" else None)
    page.on(
        "request", lambda asked: None if asked.url[:5] in ("file:", "data:", "blob:") else troubles.append(asked.url)
    )
    yield page
    page.close()
    assert troubles == []


def test_every_page_opens_from_the_disk(page, folder, explored):
    home, recording = (folder / "index.html").as_uri(), explored.subjects[0].recorded
    page.goto(f"{home}#/network")
    page.locator(".large", has_text="of 60 labelled images").wait_for()
    page.locator(".layers a").first.click()
    page.wait_for_selector(".tiles")
    assert page.locator(".tile").count() == len([unit for unit in recording.units if unit.startswith("relu1:")])
    page.locator(".tile a").nth(3).click()
    page.wait_for_selector(".spectrum")
    page.goto(f"{home}#/image/7")
    page.locator(".bars").wait_for()
    shown = bars(page)
    assert next(iter(shown)) == recording.classes[int(recording.predictions[7])]
    assert sum(shown.values()) == pytest.approx(1, abs=1e-3)
    assert page.locator(".stage").get_attribute("role") == "img"  # nothing follows the mouse where no network is asked
    assert page.locator(".stage img").evaluate("(image) => image.naturalWidth") == 96
    page.get_by_text("there is no patch to move, and there are no maps").wait_for()
    page.goto(f"{home}#/network?class=lynx")
    page.locator(".ranking li").first.wait_for()


def test_a_search_and_a_selection_need_no_server(page, folder, explored):
    home, recording = (folder / "index.html").as_uri(), explored.subjects[0].recorded
    lynx = recording.classes.index("lynx")
    page.goto(f"{home}#/images?label=lynx")
    wait_until(lambda: page.locator("main .image-link").count() == int((np.asarray(recording.targets) == lynx).sum()))
    page.goto(f"{home}#/map?find=lynx")
    page.wait_for_selector(".stage-map[data-ready=yes]")
    page.locator(".selection .ranking").wait_for()
    chosen = (np.asarray(recording.targets) == lynx) | (np.asarray(recording.predictions) == lynx)
    assert page.locator(".selection").get_attribute("data-count") == str(int(chosen.sum()))
