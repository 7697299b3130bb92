"""The explorer's map in a real browser: what is drawn around is what lies inside."""

import shutil
from pathlib import Path

import numpy as np

import iconoscope as ico
from explore.chromium import WIDE, wait_until
from iconoscope.explorer import open_session
from iconoscope.explorer.serving import serving


def map_places(explored, number=0):
    image_map = explored.subjects[number].mapped
    low, high = image_map.points.min(0), image_map.points.max(0)
    span = (high - low).max()
    return (image_map.points - (low + high) / 2) / span + 0.5, image_map.ids


def opened_map(opened, settings=""):
    page = opened(f"#/map{settings}")
    page.wait_for_selector(".stage-map[data-ready=yes]", timeout=30_000)
    return page


def on_screen(page, places, stage=".stage-map"):
    """Where places of the whole map lie on the screen."""
    box = page.locator(stage).bounding_box()
    side = 0.95 * min(box["width"], box["height"])
    middle = np.array([box["x"] + box["width"] / 2, box["y"] + box["height"] / 2])
    return (places - 0.5) * side + middle


def distances(points, start, end):
    """How far points lie to the right of a line, pixels."""
    (along_x, along_y), (x, y) = (end - start) / np.linalg.norm(end - start), (points - start).T
    return along_x * y - along_y * x


def selected(page):
    page.wait_for_selector(".selection")
    with page.expect_download() as download:
        page.get_by_role("button", name="Save the list of ids").click()
    return set(Path(download.value.path()).read_text(encoding="utf-8").split())


def test_a_lasso_takes_the_points_inside_of_it(opened, explored):
    page = opened_map(opened)
    places, ids = map_places(explored)
    seen = on_screen(page, places)
    # A triangle around a corner of the map; no point lies so near to its sides that rounding decides.
    corners = on_screen(page, np.array([[-0.02, -0.02], [1.02, -0.02], [-0.02, 0.9]]))
    page.get_by_role("button", name="lasso").click()
    page.mouse.move(*corners[0])
    page.mouse.down()
    for corner in corners[1:]:
        page.mouse.move(*corner, steps=12)
    page.mouse.up()
    (a, b, c) = corners
    beside = [distances(seen, start, end) for start, end in ((a, b), (b, c), (c, a))]
    assert np.abs(beside).min() > 0.5
    inside = (np.array(beside) > 0).all(0)
    assert 0 < inside.sum() < len(ids)
    assert selected(page) == set(ids[inside].tolist())
    page.wait_for_selector(".selection .ranking a")  # the units that tell them
    page.mouse.move(5, 5)
    # The line is gone with the button: a canvas with nothing on it is not shown, since it might show an older frame.
    wait_until(lambda: page.locator(".stage-map canvas").nth(1).is_hidden())
    assert selected(opened_map(opened, "?" + page.url.split("?")[1])) == set(ids[inside].tolist())


def test_a_rectangle_and_a_search_choose_images(opened, explored, images):
    page = opened_map(opened)
    places, ids = map_places(explored)
    page.get_by_role("button", name="rectangle").click()
    seen, (first, last) = on_screen(page, places), on_screen(page, np.array([[0.2, 0.3], [0.9, 0.8]]))
    page.mouse.move(*first)
    page.mouse.down()
    page.mouse.move(*last, steps=5)
    page.mouse.up()
    inside = ((seen > first) & (seen < last)).all(1)
    assert selected(page) == set(ids[inside].tolist())
    page.keyboard.press("Escape")
    page.wait_for_selector(".selection", state="detached")
    page.locator(".stage-map canvas").first.press("Enter")  # whatever lies in the middle, the nearest is chosen
    nearest = ids[np.hypot(*(places - 0.5).T).argmin()]
    page.locator(".picked dd a", has_text=str(nearest)).wait_for()
    page.keyboard.press("Escape")
    find = page.get_by_role("searchbox", name="Find")
    find.fill("lynx")
    page.evaluate("history.replaceState(null, '', '#/map?size=0.5'), dispatchEvent(new PopStateEvent('popstate'))")
    page.wait_for_timeout(50)
    assert find.input_value() == "lynx"  # what is typed outlasts a change of the address
    find.press("Enter")
    image_map = explored.subjects[0].mapped
    lynx = image_map.classes.index("lynx")
    expected = ids[(image_map.targets == lynx) | (image_map.predictions == lynx)]
    assert selected(page) == set(expected.tolist())


def test_what_is_chosen_on_one_of_two_maps_is_chosen_on_the_other(browser, network, images, store, tmp_path):
    shutil.copytree(store, tmp_path / "run")
    other = ico.load_network("cars", device="cpu")
    ico.map_images(ico.record(other, images, store=tmp_path / "run", workers=0), "pca", store=tmp_path / "run")
    session = open_session(network, images, store=tmp_path / "run", compare=other)
    page = browser.new_page(viewport=WIDE)
    page.set_default_timeout(30_000)
    with serving(session) as rules:
        page.goto(rules.address)
        page.goto(f"{rules.address.split('?')[0]}#/map")
        page.get_by_role("button", name="Beside each other").click()
        for number in (0, 1):
            page.wait_for_selector(f".stage-map[data-network='{number}'][data-ready=yes]")
        places, ids = map_places(session, 1)
        right = ".stage-map[data-network='1']"
        seen, (first, last) = (
            on_screen(page, part, right) for part in (places, np.array([[-0.02, -0.02], [0.6, 1.02]]))
        )
        page.get_by_role("button", name="rectangle").click()
        page.mouse.move(*first)
        page.mouse.down()
        page.mouse.move(*last, steps=5)
        page.mouse.up()
        inside = set(ids[((seen > first) & (seen < last)).all(1)].tolist())
        assert 0 < len(inside) < len(ids)
        wait_until(lambda: page.locator(".selection").count() == 2)
        for panel in page.locator(".selection").all():
            assert int(panel.get_attribute("data-count")) == len(inside)
            with page.expect_download() as download:
                panel.get_by_role("button", name="Save the list of ids").click()
            assert set(Path(download.value.path()).read_text(encoding="utf-8").split()) == inside
        # The address brings it back, and what is moved or coloured on one is where one expects it.
        page.reload()
        wait_until(lambda: page.locator(f".selection[data-count='{len(inside)}']").count() == 2)
        page.locator(f"{right} canvas").first.focus()
        page.keyboard.press("+")
        wait_until(lambda: "z2=" in page.evaluate("location.hash"))
        assert "&z=" not in page.evaluate("location.hash")
        page.get_by_role("button", name="prediction").click()
        wait_until(lambda: "colour=prediction" in page.evaluate("location.hash"))
        page.keyboard.press("Escape")
        wait_until(lambda: page.locator(".selection").count() == 0)
        page.goto("about:blank")
    page.close()
