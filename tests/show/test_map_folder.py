"""A map as a folder: its files against the map, and its page in a real browser."""

import dataclasses
import functools
import gzip
import http.server
import io
import json
import re
import threading
from contextlib import contextmanager
from urllib.parse import parse_qs, urlparse

import numpy as np
import pytest
from PIL import Image

import iconoscope as ico
from iconoscope.errors import QuestionError, StoreError
from iconoscope.progress import listen
from iconoscope.results import ImageMap, Question
from iconoscope.results.atlas import pack_thumbnails
from iconoscope.show import map_page
from iconoscope.show.map_quadtree import quadtree

COUNT, SIDE, TWINS = 2000, 32, 300
VIEWPORT = {"width": 900, "height": 600}
CLASSES = ("red </script>", "green frog", "blue")


def colour_of(row):
    """A colour that no other of the images has, and that survives being a JPEG twice."""
    return np.array([row % 16, row // 16 % 16, row // 256 % 16]) * 15 + 8


@pytest.fixture(scope="module")
def image_map():
    rng = np.random.default_rng(0)
    points = (rng.normal(size=(COUNT, 2)) * rng.gamma(1, 1, (COUNT, 1))).astype(np.float32)
    points[-TWINS:] = points[0]  # the network answers them alike to the last bit
    thumbnails = (np.broadcast_to(colour_of(row).astype(np.uint8), (SIDE, SIDE, 3)) for row in range(COUNT))
    atlas, ends = pack_thumbnails(thumbnails, COUNT, SIDE)
    targets = np.arange(COUNT) % 3
    return ImageMap(
        question=Question(technique="map", network="net", weights="w", subject=f"{COUNT} images", pixels="p"),
        points=points,
        ids=np.array([f"/home/somebody/image-{row:04d}" for row in range(COUNT)]),
        labels=np.array(CLASSES)[targets],
        targets=targets,
        predictions=np.where(np.arange(COUNT) % 10 == 0, (targets + 1) % 3, targets),
        classes=CLASSES,
        method="tsne",
        vectors="penultimate",
        metric="cosine",
        neighbours=((np.arange(COUNT)[:, None] + np.arange(1, 9)) % COUNT).astype(np.int32),
        trustworthiness=0.9,
        trusted_k=15,
        same_class_vectors=None,
        same_class_map=None,
        atlas=atlas,
        atlas_ends=ends,
        side=SIDE,
    )


@pytest.fixture(scope="module")
def folder(image_map, tmp_path_factory):
    return ico.report(image_map, tmp_path_factory.mktemp("maps") / "map").parent


def test_the_files_hold_every_image_once_with_all_that_is_said_of_it(image_map, folder):
    tree = quadtree(image_map.points)
    data = (folder / "points" / "0.bin").read_bytes()
    assert len(data) == 13 * COUNT
    rows = np.frombuffer(data, "<u4", COUNT)
    assert sorted(rows.tolist()) == list(range(COUNT))
    assert (np.frombuffer(data, "<i2", COUNT, 8 * COUNT) == image_map.targets[rows]).all()
    assert (np.frombuffer(data, "<i2", COUNT, 10 * COUNT) == image_map.predictions[rows]).all()
    assert np.array_equal(np.frombuffer(data, "u1", COUNT, 12 * COUNT), tree.depths)
    within = np.frombuffer(data, "<u2", 2 * COUNT, 4 * COUNT).reshape(-1, 2) / 65535
    tiles = tree.tile_of_places()
    places = (np.stack([tree.columns, tree.lines], 1)[tiles] + within) / (2.0 ** tree.levels[tiles])[:, None]
    assert (np.abs(places - tree.places) * (2.0 ** tree.levels[tiles])[:, None]).max() < 1e-5
    ids = json.loads(gzip.decompress((folder / "ids" / "0.bin").read_bytes()))
    assert ids == [f"image-{row:04d}" for row in rows]
    near = np.frombuffer((folder / "near" / "0.bin").read_bytes(), "<u4").reshape(COUNT, 8)
    assert np.array_equal(rows[near], image_map.neighbours[rows])
    assert {path.name for path in (folder / "tiles").iterdir()} == {f"{tile}.jpg" for tile in range(len(tree))}
    for tile in range(len(tree)):
        sheet = np.asarray(Image.open(folder / "tiles" / f"{tile}.jpg")).astype(int)
        for cell, row in enumerate(rows[tree.firsts[tile] : tree.firsts[tile + 1]]):
            top, left = cell // 16 * SIDE, cell % 16 * SIDE
            assert np.abs(sheet[top + 8 : top + 24, left + 8 : left + 24] - colour_of(row)).mean() < 4


def test_how_much_it_will_be_is_said_before(image_map, tmp_path):
    said = []

    @contextmanager
    def listener(description, total):
        said.append(description)
        yield lambda steps, words="": None

    with listen(listener):
        page = ico.report(image_map, tmp_path / "map")
    files = [path for path in page.parent.rglob("*") if path.is_file()]
    planned = re.search(r"writing ([\d,]+) files, about ([\d,]+) MB", "\n".join(said))
    assert planned
    assert int(planned[1].replace(",", "")) == len(files)
    assert int(planned[2]) == pytest.approx(sum(path.stat().st_size for path in files) / 1e6, abs=1)


def test_a_map_too_large_for_a_page_becomes_a_folder_of_its_name(image_map, tmp_path, monkeypatch):
    monkeypatch.setattr(map_page, "LARGEST", COUNT - 1)
    assert image_map.save(tmp_path / "large.html") == tmp_path / "large" / "index.html"
    assert image_map.save(tmp_path / "large.html").is_file()  # once more, over the same
    monkeypatch.setattr(map_page, "LARGEST", COUNT)
    assert image_map.save(tmp_path / "small.html") == tmp_path / "small.html"


@pytest.mark.parametrize("name", ["map", "map.html"])
def test_a_map_with_points_that_are_nowhere_is_not_written(image_map, tmp_path, name):
    points = image_map.points.copy()
    points[7] = np.nan
    with pytest.raises(QuestionError, match=f"1 of the {COUNT:,} points"):
        ico.report(dataclasses.replace(image_map, points=points), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_something_else_is_left_alone(image_map, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter").write_text("mine")
    with pytest.raises(StoreError, match="holds something else than a map") as refused:
        ico.report(image_map, tmp_path / "mine")
    assert "Name a folder" in refused.value.hint
    with pytest.raises(StoreError, match="it is a file"):
        ico.report(image_map, tmp_path / "mine" / "letter")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["letter"]


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format, *args):
        pass


@pytest.fixture(scope="module")
def address(folder):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def tab(browser):
    opened_page, troubles = browser.new_page(viewport=VIEWPORT), []
    opened_page.on("pageerror", lambda error: troubles.append(str(error)))
    opened_page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
    yield opened_page, troubles
    opened_page.close()


@pytest.fixture
def page(tab, address):
    """The page as at first, in one tab for all tests."""
    opened_page, troubles = tab
    troubles.clear()
    opened_page.mouse.move(800, 590)
    opened(opened_page, address)
    yield opened_page
    assert troubles == []


def opened(page, address):
    page.goto("about:blank")  # an address that differs in its end alone loads nothing
    page.goto(address)
    page.wait_for_selector("body[data-ready=yes]", state="attached", timeout=60_000)
    settled(page)


def settled(page):
    """Wait until nothing is fetched and the address is written, which comes 150 ms after the last movement."""
    page.evaluate("""async () => {
        for (let since = performance.now(); performance.now() - since < 200; ) {
            await new Promise(requestAnimationFrame);
            if (!map.folder.isSettled) since = performance.now();
        }
    }""")


def screen(page):
    return np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB")).astype(int)


def look_for(page, text):
    page.fill("#find", text)
    page.press("#find", "Enter")
    settled(page)


@pytest.mark.parametrize("row", [1234, COUNT - 7])  # the last has hundreds at its place
def test_any_image_is_looked_for_drawn_picked_and_found_again_by_its_address(page, browser, address, row):
    look_for(page, f"image-{row:04d}")
    assert page.inner_text("#id") == f"image-{row:04d}"
    x, y = page.evaluate("map.page.board.screen.position(map.page.board.view.picked)")
    page.mouse.move(800, 590)
    page.click("#close")
    assert page.is_hidden("#picked")
    settled(page)
    drawn = screen(page)[int(y) - 3 : int(y) + 4, int(x) - 3 : int(x) + 4].reshape(-1, 3)
    assert np.abs(drawn.mean(0) - colour_of(row)).max() < 8
    page.mouse.click(x, y)
    page.wait_for_timeout(500)
    assert page.inner_text("#id") == f"image-{row:04d}"
    assert page.inner_text("#label") == CLASSES[row % 3]
    near = [button.get_attribute("title") for button in page.query_selector_all("#near button")]
    assert near == [f"image-{(row + step) % COUNT:04d}" for step in range(1, 9)]
    link = page.url
    page.mouse.move(800, 590)  # what is pointed at has a label over it
    settled(page)
    other = browser.new_page(viewport=VIEWPORT)
    opened(other, link)
    assert other.inner_text("#id") == f"image-{row:04d}"
    assert np.abs(screen(page)[:540, :560] - screen(other)[:540, :560]).mean() < 1
    # Written anew the image may lie elsewhere: the id decides.
    query = parse_qs(urlparse(link).fragment)
    opened(other, f"{address}?again#image={query['image'][0]}&at=3")
    other.wait_for_selector("#picked:not([hidden])")
    assert other.inner_text("#id") == f"image-{row:04d}"
    other.close()


def test_images_are_looked_for_by_label_prediction_and_mistake(page):
    seen = set()
    for _ in range(3):
        look_for(page, "wrong label:frog prediction:blue")
        row = int(page.inner_text("#id")[-4:])
        assert row % 10 == 0
        assert row % 3 == 1
        seen.add(row)
    assert len(seen) == 3
    page.fill("#find", "label:violet")
    page.press("#find", "Enter")
    page.wait_for_timeout(200)
    assert page.evaluate("document.querySelector('#find').validationMessage")


def test_zooming_out_shows_images_and_no_two_overlap_much(page):
    assert "grid" not in page.inner_text("#controls")  # which a folder has not
    shown = int(page.inner_text("#shown").split()[1].replace(",", ""))
    assert 50 < shown < 1500
    extent = page.evaluate("map.page.board.screen.extent")
    assert 18 <= extent <= 48
    for _ in range(12):  # wholly in, over the images that share a place
        page.keyboard.press("+")
    settled(page)
    assert page.evaluate("map.page.board.calls") < 120


def test_classes_switched_off_bring_others_closer(page):
    for number in (0, 2):
        page.click(f"#legend button >> nth={number}")
    page.check("#only")
    settled(page)
    picked = page.evaluate("[...Array(map.folder.data.count).keys()].filter((one) => map.page.board.visible(one))")
    assert len(picked) == len([row for row in range(COUNT) if row % 3 == 1 and row % 10 == 0])
    assert page.evaluate("map.folder.tiles.extra") == 2


def test_a_page_that_is_opened_as_a_file_says_what_to_do(browser, folder):
    page = browser.new_page()
    page.goto((folder / "index.html").as_uri())
    page.wait_for_selector("#trouble:not([hidden])")
    assert "python -m http.server" in page.inner_text("#trouble")
    page.close()


def test_a_sheet_that_is_missing_is_said_and_the_map_stays(browser, address, folder):
    page = browser.new_page(viewport=VIEWPORT)
    page.route("**/tiles/0.jpg", lambda route: route.fulfill(status=404))
    opened(page, address)
    page.wait_for_selector("#trouble:not([hidden])")
    assert "tiles/0.jpg: 404" in page.inner_text("#trouble")
    page.focus("#map")
    page.keyboard.press("+")
    assert page.inner_text("#shown").endswith(f"of {COUNT:,}")
    page.close()


def test_files_that_were_cut_are_fetched_again_and_named_where_they_stay_so(browser, address, folder):
    page = browser.new_page(viewport=VIEWPORT)
    asked = []

    def cut(route):
        name = urlparse(route.request.url).path[1:]
        asked.append(name)
        whole = name.startswith("points") and asked.count(name) > 1
        content = (folder / name).read_bytes()
        route.fulfill(body=content if whole else content[:100])

    for name in ("points", "ids", "near"):
        page.route(f"**/{name}/0.bin", cut)
    opened(page, address)
    assert asked.count("points/0.bin") == 2
    page.fill("#find", "image-0001")
    page.press("#find", "Enter")
    page.wait_for_function("document.querySelector('#trouble').textContent.includes('ids/0.bin')", timeout=30_000)
    page.unroute("**/ids/0.bin")
    look_for(page, "image-0001")
    assert page.inner_text("#id") == "image-0001"
    said = f"near/0.bin: 100 bytes instead of {32 * COUNT:,}"
    page.wait_for_function(f"document.querySelector('#trouble').textContent.includes('{said}')", timeout=30_000)
    page.close()


def test_a_phone_sees_images(browser, address):
    page = browser.new_page(viewport={"width": 390, "height": 844}, has_touch=True)
    opened(page, address)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert int(page.inner_text("#shown").split()[1]) > 30
    page.close()
