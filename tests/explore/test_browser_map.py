"""The explorer's map in a real browser: what is drawn around is what lies inside."""

from pathlib import Path

import numpy as np


def map_places(explored):
    image_map = explored.subjects[0].mapped
    low, high = image_map.points.min(0), image_map.points.max(0)
    span = (high - low).max()
    return (image_map.points - (low + high) / 2) / span + 0.5, image_map.ids


def opened_map(opened, settings=""):
    page = opened(f"#/map{settings}")
    page.wait_for_selector(".stage-map[data-ready=yes]", timeout=30_000)
    return page


def on_screen(page, places):
    """Where places of the whole map lie on the screen."""
    box = page.locator(".stage-map").bounding_box()
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
    page.get_by_role("searchbox", name="Find").fill("lynx")
    page.get_by_role("searchbox", name="Find").press("Enter")
    image_map = explored.subjects[0].mapped
    lynx = image_map.classes.index("lynx")
    expected = ids[(image_map.targets == lynx) | (image_map.predictions == lynx)]
    assert selected(page) == set(expected.tolist())
