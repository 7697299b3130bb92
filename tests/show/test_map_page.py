"""The page of a map in a real browser: what is drawn, what is picked, what a link brings back."""

import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import iconoscope as ico
from iconoscope.results import ImageMap, Question
from iconoscope.results.atlas import pack_thumbnails
from iconoscope.show.map_page import map_page

COUNT, SIDE = 3000, 64
CLASSES = ("red </script>", "green", "blue")


def colour_of(place):
    """A colour that no other of the images has, and that survives being a JPEG."""
    return np.array([place % 16, place // 16 % 16, place // 256 % 16]) * 15 + 8


@pytest.fixture(scope="module")
def found():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(COUNT, 2)).astype(np.float32)
    thumbnails = (np.broadcast_to(colour_of(place).astype(np.uint8), (SIDE, SIDE, 3)) for place in range(COUNT))
    data, ends = pack_thumbnails(thumbnails, COUNT, SIDE)
    near = np.argsort(np.linalg.norm(points[:, None] - points[None], axis=2), 1)[:, 1:9]
    targets = np.arange(COUNT) % 3
    predictions = np.where(np.arange(COUNT) % 10 == 0, (targets + 1) % 3, targets)
    side = int(np.ceil(np.sqrt(COUNT)))
    return ImageMap(
        question=Question(technique="map", network="net", weights="w", subject="3000 images", pixels="p"),
        points=points,
        ids=np.array([f"image-{place:04d}" for place in range(COUNT)]),
        labels=np.array(CLASSES)[targets],
        targets=targets,
        predictions=predictions,
        classes=CLASSES,
        method="tsne",
        vectors="penultimate",
        metric="cosine",
        neighbours=near.astype(np.int32),
        trustworthiness=0.9,
        trusted_k=15,
        same_class_vectors=None,
        same_class_map=None,
        atlas=data,
        atlas_ends=ends,
        side=SIDE,
        cells=np.stack(np.divmod(np.arange(COUNT), side), 1),
        shape=(side, side),
    )


@pytest.fixture(scope="module")
def address(found, tmp_path_factory):
    return map_page(found, tmp_path_factory.mktemp("page") / "map.html").as_uri()


@pytest.fixture
def page(browser, address):
    seen = browser.new_page(viewport={"width": 1200, "height": 800})
    seen.troubles = []
    seen.on("pageerror", lambda error: seen.troubles.append(str(error)))
    seen.on("console", lambda said: seen.troubles.append(said.text) if said.type == "error" else None)
    opened(seen, address)
    yield seen
    assert seen.troubles == []
    seen.close()


def opened(page, address):
    page.goto(address)
    page.wait_for_selector("body[data-ready=yes]", state="attached", timeout=60_000)
    page.wait_for_timeout(300)


def seen_by(page):
    page.mouse.move(1100, 780)  # what is pointed at has a label over it
    page.wait_for_timeout(200)
    return np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB")).astype(int)


def place_of(colour):
    """Which image has this colour; None if none has."""
    steps = (np.asarray(colour) - 8) / 15
    if np.abs(steps - steps.round()).max() > 0.34:
        return None
    low, middle, high = steps.round().astype(int).tolist()
    place = low + 16 * middle + 256 * high
    return place if 0 <= place < COUNT else None


def test_what_is_picked_is_the_image_that_is_drawn_there(page, found):
    page.mouse.move(450, 400)
    for _ in range(3):
        page.mouse.wheel(0, -300)
    page.wait_for_timeout(300)
    drawn = seen_by(page)
    rng = np.random.default_rng(0)
    checked = 0
    for _ in range(400):
        x, y = int(rng.integers(20, 820)), int(rng.integers(20, 740))
        # Inside of a picture, not on a frame: one colour all around.
        around = drawn[y - 2 : y + 3, x - 2 : x + 3].reshape(-1, 3)
        place = place_of(around.mean(0)) if np.ptp(around, axis=0).max() <= 6 else None
        if place is None:
            continue
        page.mouse.click(x, y)
        assert page.inner_text("#id") == found.ids[place], (x, y)
        assert page.inner_text("#label") == found.labels[place]
        assert page.inner_text("#prediction") == CLASSES[found.predictions[place]]
        wrong = found.targets[place] != found.predictions[place]
        assert page.get_attribute("#prediction", "class") == ("wrong" if wrong else "right")
        near = [button.get_attribute("title") for button in page.query_selector_all("#near button")]
        assert near == found.ids[found.neighbours[place]].tolist()
        checked += 1
        if checked == 25:
            break
    assert checked == 25


def test_where_nothing_is_drawn_nothing_is_picked(page):
    page.mouse.click(8, 8)
    assert page.is_hidden("#picked")


def wait_for_count(page, shown):
    page.wait_for_function(
        "text => document.querySelector('#shown').innerText === text", arg=f"showing {shown:,} of 3,000"
    )


def test_classes_are_switched_off_and_what_is_shown_is_counted(page, found):
    wait_for_count(page, 3000)
    page.click("#legend button >> nth=1")
    wait_for_count(page, 2000)
    page.check("#only")
    wait_for_count(page, int(((found.targets != 1) & (found.targets != found.predictions)).sum()))
    page.click("#none")
    wait_for_count(page, 0)
    page.wait_for_timeout(200)  # until it is drawn
    drawn = seen_by(page)[:740, :820]
    assert np.ptp(drawn.reshape(-1, 3), axis=0).max() == 0  # an empty map


def test_a_link_brings_back_the_view(page, browser, address):
    page.click("[data-value=prediction]")
    page.click("#legend button >> nth=0")
    page.mouse.move(450, 400)
    for _ in range(4):
        page.mouse.wheel(0, -300)
    page.fill("#find", "image-1234")
    page.press("#find", "Enter")
    page.wait_for_function("location.hash.includes('image=')")
    link = page.url
    assert "image=image-1234" in link
    other = browser.new_page(viewport={"width": 1200, "height": 800})
    opened(other, link)
    assert other.inner_text("#id") == "image-1234"
    assert other.inner_text("#shown") == page.inner_text("#shown")
    assert np.abs(seen_by(page)[:, :860] - seen_by(other)[:, :860]).mean() < 0.5
    other.close()


def test_keys_move_zoom_and_change_what_is_drawn(page):
    page.wait_for_timeout(500)
    before = seen_by(page)
    page.focus("#map")
    page.keyboard.press("d")
    page.wait_for_timeout(200)
    dots = seen_by(page)
    assert np.abs(before - dots).mean() > 1
    assert page.get_attribute("[data-value=dots]", "aria-pressed") == "true"
    page.keyboard.press("d")
    page.keyboard.press("+")
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(400)
    assert re.search(r"z=1\.33", page.url)
    page.keyboard.press("0")
    page.wait_for_timeout(400)
    inner = slice(20, 730), slice(20, 830)  # without the line around what has the focus
    assert np.abs(before[inner] - seen_by(page)[inner]).mean() < 0.1
    page.keyboard.press("g")
    page.wait_for_timeout(300)
    page.keyboard.press("Enter")
    assert page.is_visible("#picked")
    picked = page.inner_text("#id")
    page.keyboard.press("n")
    assert page.inner_text("#id") != picked
    page.keyboard.press("Escape")
    assert page.is_hidden("#picked")


def test_on_the_grid_every_image_has_its_place(page, found):
    page.keyboard.press("g")
    for _ in range(3):
        page.mouse.move(450, 400)
        page.mouse.wheel(0, -300)
    page.wait_for_timeout(300)
    page.mouse.click(450, 400)
    first = int(page.inner_text("#id").partition("-")[2])
    page.mouse.click(450 + 70, 400)
    second = int(page.inner_text("#id").partition("-")[2])
    assert 1 <= second - first <= 4


def test_a_phone_sees_map_and_controls(browser, address):
    page = browser.new_page(viewport={"width": 390, "height": 844}, has_touch=True)
    opened(page, address)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.inner_text("#shown") == "showing 3,000 of 3,000"
    box = page.locator("#stage").bounding_box()
    assert box["height"] > 400
    page.touchscreen.tap(box["width"] / 2, box["height"] / 2)
    assert page.is_visible("#picked")
    page.close()


def test_names_cannot_leave_the_data(address, found):
    text = Path(address.removeprefix("file://")).read_text()
    assert "red </script>" not in text
    assert text.count("</script>") == text.count("<script")
    assert "http://" not in text.replace("http://www.w3.org", "")
    assert "https://" not in text


def test_the_page_is_found_by_its_ending(found, tmp_path):
    path = ico.report(found, tmp_path / "deep" / "map.html", title="A <map>")
    assert "<h1>A &lt;map&gt;</h1>" in path.read_text()
