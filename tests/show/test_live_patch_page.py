"""The patch in a real browser: mouse, finger and keys, and the bars against the numbers of the result."""

import re
from dataclasses import replace

import numpy as np
import pytest

import iconoscope as ico
from specimens import audited, occlusion

NASTY = '</script><img src=x onerror="document.title=1">'
STAGE = ".stage"


def larger(seed=0):
    """Six classes with names that break pages, on a picture of 40 x 60 pixels; the last row and column of patches are cut."""
    generator = np.random.default_rng(seed)
    made = occlusion(seed, subject=f"{NASTY} {seed}.jpg")
    return replace(
        made,
        top=np.arange(0, 40, 6),
        left=np.arange(0, 60, 7),
        patch=(12, 14),
        clean=generator.dirichlet(np.ones(6)).astype(np.float32),
        occluded=generator.dirichlet(np.ones(6), (7, 9)).astype(np.float32),
        target=2,
        names=("a", NASTY, "the asked", "\U0001f98a", 'with "quotes"', "c & d"),
        picture=generator.integers(0, 256, (40, 60, 3), dtype=np.uint8),
    )


RESULTS = [larger(0), larger(1)]


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    return ico.report(RESULTS, tmp_path_factory.mktemp("page") / "page.html").as_uri()


@pytest.fixture
def opened(browser):
    """A function that opens an address in a window of its own; whatever a page complains of fails the test."""
    troubles, contexts = [], []

    def open_page(address, **settings):
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **settings})
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("console", lambda said: troubles.append(said.text) if said.type == "error" else None)
        page.on(
            "request", lambda asked: troubles.append(asked.url) if asked.url[:5] not in ("file:", "data:") else None
        )
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert troubles == []


def host(page, number=0):
    return page.locator(".iconoscope-live").nth(number)


def bars(page, number=0):
    """What is read beside the photograph: the values of the classes by their names, under the patch and without it."""
    rows = host(page, number).locator(".bars li:not(.empty)").all()
    read = [(row.locator(".name"), row.locator(".value"), row.locator("small")) for row in rows]
    return {
        name.inner_text(): (float(value.inner_text()), float(was.inner_text().split()[-1])) for name, value, was in read
    }


def agree(found, result, cell, shown=()):
    """The bars are the first five classes at a cell, None for no patch, and the class that was asked about, or is `shown`."""
    answers = result.clean if cell is None else result.occluded[cell]
    ranked = np.argsort(-answers, kind="stable")[:5].tolist()
    expected = [*ranked, *(index for index in (result.target, *shown) if index not in ranked)]
    assert list(found) == [result.names[index] for index in expected]
    for index, (value, clean) in zip(expected, found.values(), strict=True):
        assert value == pytest.approx(float(answers[index]), abs=6e-4)
        assert clean == pytest.approx(float(result.clean[index]), abs=6e-4)


def nearest(result, y, x):
    """The cell of the patch whose middle is nearest to a pixel."""
    cell = []
    for place, starts, side, length in zip((y, x), (result.top, result.left), result.patch, (40, 60), strict=True):
        middles = (starts + np.minimum(starts + side, length)) / 2
        cell.append(int(np.abs(middles - place).argmin()))
    return tuple(cell)


def test_the_mouse_moves_the_patch_and_the_bars_are_the_results(opened, address):
    page = opened(address)
    for number, result in enumerate(RESULTS):
        agree(bars(page, number), result, result.minimum)  # at first it lies where it matters most
    generator = np.random.default_rng(3)
    for number, result in enumerate(RESULTS):
        host(page, number).locator(STAGE).scroll_into_view_if_needed()
        box = host(page, number).locator(STAGE).bounding_box()
        for y, x in generator.random((12, 2)) * (40, 60):
            page.mouse.move(box["x"] + x / 60 * box["width"], box["y"] + y / 40 * box["height"])
            cell = nearest(result, y, x)
            agree(bars(page, number), result, cell)
            assert host(page, number).locator(STAGE).bounding_box() == box  # the page does not jump under the pointer
            row, column = result.top[cell[0]], result.left[cell[1]]
            bottom, right = min(row + 12, 40) - 1, min(column + 14, 60) - 1
            assert (
                f"Rows {row} to {bottom}, columns {column} to {right}"
                in host(page, number).locator(".place").inner_text()
            )
            patch = host(page, number).locator(".patch").bounding_box()
            assert patch["x"] - box["x"] == pytest.approx(column / 60 * box["width"], abs=1)
            assert patch["y"] - box["y"] == pytest.approx(row / 40 * box["height"], abs=1)
            assert patch["width"] == pytest.approx((right + 1 - column) / 60 * box["width"], abs=1)
            assert patch["height"] == pytest.approx((bottom + 1 - row) / 40 * box["height"], abs=1)


def test_a_finger_moves_the_patch_on_a_telephone(opened, address):
    page = opened(address, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    stage = host(page).locator(STAGE)
    stage.scroll_into_view_if_needed()
    box = stage.bounding_box()
    assert box["width"] > 300
    page.touchscreen.tap(box["x"] + 10 / 60 * box["width"], box["y"] + 30 / 40 * box["height"])
    agree(bars(page), RESULTS[0], nearest(RESULTS[0], 30, 10))
    session = page.context.new_cdp_session(page)
    before = page.evaluate("scrollY")

    def touch(kind, *points):
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y} for x, y in points]})

    touch("touchStart", (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2))
    for y, x in ((20, 45), (10, 50), (5, 55)):
        touch("touchMove", (box["x"] + x / 60 * box["width"], box["y"] + y / 40 * box["height"]))
    page.wait_for_timeout(100)
    agree(bars(page), RESULTS[0], nearest(RESULTS[0], 5, 55))
    touch("touchEnd")
    assert page.evaluate("scrollY") == before  # the finger moved the patch and not the page


def test_keys_move_it_by_one_step(opened, address):
    page, result = opened(address), RESULTS[0]
    stage = host(page).locator(STAGE)
    stage.focus()
    row, column = result.minimum
    agree(bars(page), result, (row, column))
    before = page.evaluate("scrollY")
    for key, down, across in (
        [("ArrowUp", -1, 0)] * 8 + [("ArrowLeft", 0, -1)] * 10 + [("ArrowDown", 1, 0), ("ArrowRight", 0, 1)]
    ):
        page.keyboard.press(key)
        row, column = min(max(row + down, 0), 6), min(max(column + across, 0), 8)
        agree(bars(page), result, (row, column))
    assert (row, column) == (1, 1) and page.evaluate("scrollY") == before
    page.keyboard.press("Escape")
    agree(bars(page), result, None)
    assert host(page).locator(".patch").is_hidden()
    page.keyboard.press("Home")
    agree(bars(page), result, result.minimum)
    agree(bars(page, 1), RESULTS[1], RESULTS[1].minimum)  # the other was not touched
    page.keyboard.press("Tab")
    assert host(page).locator(".strongest").evaluate("(button) => button.matches(':focus-visible')")
    page.keyboard.press("Shift+Tab")
    assert stage.evaluate("(stage) => getComputedStyle(stage).outlineStyle") == "solid"


def test_another_class_has_its_own_map_and_minimum(opened, address):
    page, result = opened(address), RESULTS[0]
    before = host(page).locator("canvas").evaluate("(canvas) => canvas.toDataURL()")
    host(page).locator(".classes").select_option(label="c & d")
    assert host(page).locator("canvas").evaluate("(canvas) => canvas.toDataURL()") != before
    host(page).locator(".strongest").click()
    lowest = np.unravel_index(int(result.occluded[..., 5].argmin()), (7, 9))
    found = bars(page)
    assert found["c & d"][0] == pytest.approx(float(result.occluded[..., 5].min()), abs=6e-4)
    agree(found, result, lowest, shown=(5,))
    box, mark = (host(page).locator(each).bounding_box() for each in (STAGE, ".mark"))
    middle = (result.left[lowest[1]] + min(result.left[lowest[1]] + 14, 60)) / 2
    assert mark["x"] + mark["width"] / 2 - box["x"] == pytest.approx(middle / 60 * box["width"], abs=2)


def test_the_map_is_drawn_where_the_answers_are(opened, address):
    """The colour of every cell says the share of the change that the strongest red stands for."""
    page, result = opened(address), RESULTS[0]
    change = result.occluded[..., 2] - result.clean[2]
    full = max(float(result.clean[2]), 0.05, float(change.max()))
    canvas = host(page).locator("canvas")
    scale = canvas.evaluate("(canvas) => canvas.width") / 60
    for row in range(7):
        for column in range(9):
            y = (result.top[row] + min(result.top[row] + 12, 40)) / 2
            x = (result.left[column] + min(result.left[column] + 14, 60)) / 2
            red, _, blue, alpha = canvas.evaluate(
                "(canvas, [x, y]) => [...canvas.getContext('2d').getImageData(x, y, 1, 1).data]",
                [int(x * scale), int(y * scale)],
            )
            drawn = (alpha / 255 / 0.85) ** 2
            assert drawn == pytest.approx(min(abs(float(change[row, column])) / full, 1), abs=0.02)
            if alpha > 20:
                assert (red > blue) == (change[row, column] < 0)
    host(page).locator(".shows").select_option("1")
    top, low = (np.unravel_index(pick(result.occluded[..., 2]), (7, 9)) for pick in (np.argmax, np.argmin))
    brightness = []
    for row, column in (low, top):
        y, x = (result.top[row] + 6) * scale, (result.left[column] + 6) * scale
        pixel = canvas.evaluate(
            "(canvas, [x, y]) => [...canvas.getContext('2d').getImageData(x, y, 1, 1).data]", [int(x), int(y)]
        )
        brightness.append(sum(pixel[:3]))
        assert pixel[3] == 255
    assert brightness[0] < brightness[1]  # dark is low


def test_the_map_fades(opened, address):
    page = opened(address)
    fader, heat = host(page).locator("input[type=range]"), host(page).locator("canvas")
    for share in (0, 0.5, 1):
        fader.fill(str(int(100 * share)))
        assert float(heat.evaluate("(canvas) => getComputedStyle(canvas).opacity")) == share


def test_a_screen_reader_is_told_the_figures_when_the_patch_rests(opened, address):
    page, result = opened(address), RESULTS[0]
    stage, status = host(page).locator(STAGE), host(page).locator("[role=status]")
    assert status.get_attribute("aria-live") == "polite"
    assert "Arrow keys" in stage.get_attribute("aria-label")
    stage.focus()
    for _ in range(9):
        page.keyboard.press("ArrowUp")
        page.keyboard.press("ArrowLeft")
    page.wait_for_timeout(400)
    told = status.text_content()
    first = int(result.occluded[0, 0].argmax())
    assert "Rows 0 to 11, columns 0 to 13 are covered." in told
    assert (
        f"{result.names[first]} {result.occluded[0, 0, first]:.3f}, without the patch {result.clean[first]:.3f}" in told
    )
    assert ("It still says" if first == result.clean.argmax() else "Now it says") in told


def test_motion_is_left_out_where_it_is_not_wished(opened, address):
    for wish, moved in (("no-preference", "0.1s"), ("reduce", "0s")):
        page = opened(address, reduced_motion=wish)
        bar = host(page).locator(".track .under").first
        assert bar.evaluate("(bar) => getComputedStyle(bar).transitionDuration").split(",")[0] == moved


def test_names_are_texts_and_the_page_runs_no_script_but_ours(opened, address):
    page = opened(address)
    assert page.title() != "1" and host(page).locator("img[src=x]").count() == 0
    assert NASTY in bars(page)
    policy = page.locator("meta[http-equiv=Content-Security-Policy]").get_attribute("content")
    assert policy.startswith("default-src 'none'") and "unsafe-inline' ; script" not in policy
    assert re.search(r"script-src 'sha256-[^']+'$", policy)


def test_without_scripts_the_pictures_are_there(opened, address):
    page = opened(address, java_script_enabled=False)
    pictures = host(page).locator("img")
    assert pictures.count() == 3 and all(picture.is_visible() for picture in pictures.all())
    assert "Without JavaScript" in page.locator("noscript").first.inner_text()


def test_several_patches_and_fills_are_chosen_from(opened, tmp_path):
    first = larger()
    second = replace(
        first,
        patch=(10, 10),
        occluded=first.occluded[::-1].copy(),
        question=replace(first.question, settings={"fill": "blur"}),
    )
    page = opened(ico.report(ico.OcclusionSeries((first, second)), tmp_path / "page.html", lang="es").as_uri())
    assert host(page).locator(".iconoscope-live").count() == 0 and host(page).count() == 1
    host(page).locator(".variants").select_option("1")
    assert (
        "10x10" in host(page).locator(".facts").inner_text()
        and "desenfocada" in host(page).locator(".facts").inner_text()
    )
    values = host(page).locator(".value").all_inner_texts()
    row, column = second.minimum
    assert values[0] == f"{second.occluded[row, column].max():.3f}".replace(".", ",")
    assert page.locator("html").get_attribute("lang") == "es"


def test_one_that_is_damaged_stays_still_and_the_others_live(browser, tmp_path):
    file = ico.report(RESULTS, tmp_path / "page.html")
    text = file.read_text(encoding="utf-8")
    packed = re.search(r'"values": "([^"]+)"', text)
    assert packed
    file.write_text(text.replace(packed[1], packed[1][:40], 1), encoding="utf-8")
    page = browser.new_page()
    page.goto(file.as_uri())
    assert page.locator("[data-live=no] img").first.is_visible()
    agree(bars(page, 1), RESULTS[1], RESULTS[1].minimum)
    page.close()


def test_results_in_a_notebook_wake_together(opened, tmp_path):
    faces = "".join(f"<div>{result._repr_html_()}</div>" for result in RESULTS)  # each brings the script
    (tmp_path / "notebook.html").write_text(f"<!doctype html><meta charset=utf-8>{faces}", encoding="utf-8")
    page = opened((tmp_path / "notebook.html").as_uri())
    for number, result in enumerate(RESULTS):
        agree(bars(page, number), result, result.minimum)
        assert page.locator("figcaption").nth(number).inner_text() == result.summary()
        picture = host(page, number).locator(".stage img")
        assert picture.evaluate("(image) => [image.naturalHeight, image.naturalWidth]") == [40, 60]


def test_the_page_of_a_store_has_it(opened, tmp_path):
    store = ico.Store(tmp_path / "run")
    for result in RESULTS:
        store.put(result)
    page = opened(ico.report(store, tmp_path / "report.html").as_uri())
    found = sorted(bars(page, number)["the asked"] for number in range(2))
    lowest = sorted((float(each.map.min()), float(each.clean[2])) for each in RESULTS)
    assert np.abs(np.array(found) - np.array(lowest)).max() < 6e-4


def test_the_page_of_an_audit_has_what_covering_a_place_costs(opened, tmp_path):
    audit = audited()
    drops = np.zeros((1, 2, 9, 12), np.float16)
    drops[0, 0, 3, 5], drops[0, 0, 3, 6] = 0.5, -0.25
    shown = replace(audit, illustrations=replace(audit.illustrations, drops=drops))
    page = opened(ico.report(shown, tmp_path / "audit.html").as_uri())
    assert page.locator(".iconoscope-live").count() == 1  # where covering costs nothing there is nothing to feel
    value, place = host(page).locator(".value"), host(page).locator(".place")
    assert value.inner_text() == "0.500" and "row 3, column 5" in place.inner_text()
    host(page).locator(STAGE).focus()
    page.keyboard.press("ArrowRight")
    assert value.inner_text() == "-0.250"
    assert "4x4 pixels" in host(page).locator(".facts").inner_text()
    assert host(page).locator(".bars li:not(.empty)").count() == 1 and not host(page).locator(".answer").is_visible()
