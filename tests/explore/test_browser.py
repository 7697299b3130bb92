"""The explorer in a real browser, held against the numbers of the package."""

import base64
import io
import shutil

import numpy as np
import pytest
from PIL import Image

import iconoscope as ico
from explore.chromium import NARROW, WIDE, bars, wait_until
from iconoscope.explorer import open_session
from iconoscope.explorer.serving import serving


def place_on(page, selector, y, x):
    """Where a share of an element lies on the screen."""
    box = page.locator(selector).bounding_box()
    return box["x"] + x * box["width"], box["y"] + y * box["height"]


def covered_answers(network, image, top, left, side):
    """The probabilities of a picture with black in a square, which is painted without the package."""
    picture = network.preprocessing.shown(image).copy()
    picture[max(top, 0) : max(top + side, 0), max(left, 0) : max(left + side, 0)] = 0
    return ico.predict(network, [picture])[0]


def agree(page, network, answers):
    """The bars are these probabilities, the highest first."""
    first = network.classes[int(np.argmax(answers))]

    def do_agree():
        shown = bars(page)
        near = all(abs(value - answers[network.classes.index(name)]) < 1e-4 for name, value in shown.items())
        return near and next(iter(shown), "") == first

    wait_until(do_agree)


def test_the_patch_follows_the_mouse_and_the_bars_are_the_networks(opened, network, images):
    page = opened("#/image/3?fill=black&side=31")
    page.locator(".stage").wait_for()
    page.locator(".stage").scroll_into_view_if_needed()
    height, width = network.preprocessing.size
    for y, x in [*np.random.default_rng(0).integers(0, 96, (6, 2)).tolist(), (1, 1), (94, 94)]:
        page.mouse.move(*place_on(page, ".stage", (y + 0.25) / height, (x + 0.25) / width))
        top, left = (int(np.floor(middle + 0.25 - 31 / 2 + 0.5)) for middle in (y, x))
        agree(page, network, covered_answers(network, images[3], top, left, 31))


def test_where_there_is_no_line_each_patch_is_asked_by_a_request(browser, address, network, images):
    page = browser.new_page(viewport=WIDE)
    page.set_default_timeout(30_000)
    page.route_web_socket("**/api/patches", lambda line: line.close())
    page.goto(address)
    page.goto(f"{address.split('?')[0]}#/image/3?fill=black&side=31")
    page.locator(".stage").wait_for()
    page.locator(".stage").scroll_into_view_if_needed()
    with page.expect_request("**/api/patch"):
        page.mouse.move(*place_on(page, ".stage", 30.25 / 96, 60.25 / 96))
    agree(page, network, covered_answers(network, images[3], 15, 45, 31))
    page.close()


def test_arrow_keys_move_the_patch_and_a_link_brings_it_back(opened, network, images):
    page = opened("#/image/3?fill=black&side=40")
    stage = page.locator(".stage")
    stage.focus()
    page.keyboard.press("ArrowDown")  # the first key puts it in the middle
    for key in ["ArrowUp"] * 5 + ["Shift+ArrowLeft"]:
        page.keyboard.press(key)
    answers = covered_answers(network, images[3], 48 - 20 - 5, 48 - 20 - 40, 40)
    agree(page, network, answers)
    wait_until(lambda: "patch=43,8,40,40" in page.evaluate("location.hash"))
    other = opened("#" + page.url.split("#")[1])
    agree(other, network, answers)
    other.locator(".stage").focus()
    other.keyboard.press("Escape")
    agree(other, network, ico.predict(network, [network.preprocessing.shown(images[3])])[0])


def test_a_heat_map_is_coarse_first_and_then_finer(opened):
    page = opened("#/image/5?side=48&heat=drop")
    page.wait_for_selector("canvas.heat", timeout=30_000)
    wait_until(lambda: "finer" not in page.locator(".legend small").inner_text(), 30)
    assert page.locator(".legend small").inner_text() == "9 \u00d7 9 places"  # of 48 pixels on 96, in steps of 6
    drawn = page.locator("canvas.heat").evaluate(
        "(canvas) => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height)"
        ".data.some((part, index) => index % 4 === 3 && part > 40)"
    )
    assert drawn


@pytest.mark.parametrize("name", ["lynx", "bison"])
def test_the_legend_of_a_heat_map_is_its_largest_change(opened, name):
    page = opened("#/network")
    answers = []
    page.on("response", lambda answer: answers.append(answer) if "/api/heat" in answer.url else None)
    page.goto(f"{page.url.split('#')[0]}#/image/5?side=48&heat=drop&heat-of={name}")
    page.wait_for_selector("canvas.heat", timeout=60_000)
    wait_until(lambda: "finer" not in page.locator(".legend small").inner_text(), 60)
    ends = [float(said.split("by ")[1]) for said in page.locator(".legend > span").all_inner_texts()]
    assert ends == pytest.approx([np.abs(answers[-1].json()["drop"]).max()] * 2, rel=5e-3)
    # A patch of half the picture keeps its middle a quarter away from the border, where no map is.
    page.get_by_text("along the border").wait_for()


def test_the_patch_leaves_with_the_mouse_but_a_click_holds_it(opened):
    page = opened("#/image/3?fill=black&side=30")
    page.locator(".stage").wait_for()
    page.mouse.move(*place_on(page, ".stage", 0.5, 0.5))
    page.locator(".stage .patch").wait_for()
    page.mouse.move(1000, 5)
    page.locator(".stage .patch").wait_for(state="detached")
    page.mouse.click(*place_on(page, ".stage", 0.25, 0.5))
    wait_until(lambda: "patch=24,48,30,30" in page.evaluate("location.hash"))
    page.mouse.move(*place_on(page, ".stage", 0.75, 0.5))
    page.mouse.move(1000, 5)
    wait_until(lambda: page.locator(".stage .patch").evaluate("(patch) => patch.style.top") == "9.375%")
    assert "patch=24,48,30,30" in page.evaluate("location.hash")


def test_an_interval_of_the_spectrum_shows_the_images_whose_answers_lie_there(opened, explored):
    page = opened("#/unit/relu4:3")
    page.wait_for_selector(".spectrum svg")
    page.locator(".spectrum svg").scroll_into_view_if_needed()
    page.mouse.move(*place_on(page, ".spectrum svg", 0.5, 0.4))
    page.mouse.down()
    page.mouse.move(*place_on(page, ".spectrum svg", 0.5, 0.75), steps=4)
    page.mouse.up()
    wait_until(lambda: "low=" in page.evaluate("location.hash"))
    recording = explored.subjects[0].recorded
    answers = np.asarray(recording.responses[:, recording.units.index("relu4:3")], np.float64)
    settings = dict(part.split("=") for part in page.url.split("?")[-1].split("&"))
    between = ((answers >= float(settings["low"])) & (answers <= float(settings["high"]))).sum()
    page.get_by_text(f"{between} images", exact=True).wait_for()
    assert 0 < between < len(answers)


def test_the_back_button_goes_the_same_way_back(opened):
    page = opened("#/network")
    page.locator(".layers a").last.click()
    page.wait_for_selector(".tiles")
    page.get_by_role("button", name="selectivity").click()
    order = page.locator(".tile b").all_inner_texts()
    page.locator(".tile a").first.click()
    page.wait_for_selector("h1:has-text(':')")
    page.locator(".image-link").first.click()
    page.wait_for_selector(".stage")
    page.go_back()
    page.wait_for_selector(".spectrum")
    page.go_back()
    page.wait_for_selector(".tiles")
    assert page.locator(".tile b").all_inner_texts() == order
    page.go_back()
    page.wait_for_selector(".layers")


def test_a_picture_grown_live_ends_as_optimize_makes_it(opened, network):
    page = opened("#/unit/relu3:2?steps=32&seed=5")
    page.get_by_role("button", name="Grow", exact=True).click()
    page.wait_for_selector("img.growing[data-ended=yes]", timeout=60_000)
    grown = page.locator("img.growing").get_attribute("src")
    picture = np.array(Image.open(io.BytesIO(base64.b64decode(grown.split(",")[1]))).convert("RGB"))
    made = ico.optimize(network, "relu3:2", steps=32, seed=5).images[0]
    assert np.array_equal(picture, (made * 255).round().astype(np.uint8))
    page.locator(".links a", has_text="relu3").click()
    page.get_by_role(
        "heading", name="relu3", exact=True
    ).wait_for()  # the page of the unit has the picture too, and no key for it
    kept = page.locator(".tile img[src*='pictures/']")
    kept.wait_for()
    page.keyboard.press("o")
    kept.wait_for(state="detached")


def test_an_image_is_turned_into_a_class_at_once_and_one_looks_back(opened, network, explored):
    index = int(np.argmax(np.asarray(explored.subjects[0].recorded.predictions) == 0))
    page = opened(f"#/image/{index}")
    page.get_by_label("Turn it into").select_option(network.classes[1])
    assert "#/image/" in page.url  # arrow keys choose one class after the other
    page.get_by_role("button", name="Grow", exact=True).click()
    page.wait_for_selector("img.growing")
    photograph = page.get_by_alt_text("The image that it starts from").last
    for seen in (photograph, page.locator("img.growing")):
        assert seen.evaluate("(picture) => picture.getBoundingClientRect().bottom < innerHeight")
    page.wait_for_selector("img.growing[data-ended=yes]", timeout=60_000)
    assert "grow=" not in page.url
    page.set_viewport_size(NARROW)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.set_viewport_size(WIDE)
    # It stands among the unit's pictures without a reload.
    page.locator(".optimized figcaption", has_text=f"began from {explored.image(str(index)).id}").wait_for()
    turned = page.get_by_role("button", name=f", {network.classes[1]}").first
    step = int(turned.inner_text().split(",")[0].removeprefix("step "))
    turned.click()
    assert page.locator("img.growing").get_attribute("data-step") == str(step)
    page.get_by_label("Look back").press("End")
    page.wait_for_selector("img.growing[data-ended=yes]")


def test_units_of_a_layer_stand_as_they_were_chosen_with_areas_that_were_held_out(opened, recording):
    page = opened("#/layer/relu4?class=lynx")
    page.wait_for_selector(".tiles")
    page.get_by_text("Sorted by how well they tell lynx").wait_for()
    search = ico.find_units(recording, recording.targets == recording.names.index("lynx"), name="lynx")
    of_layer = [row for row, unit in enumerate(search.units.tolist()) if unit.startswith("relu4:")]
    shown = [float(text) for text in page.locator(".tile .caption small").all_inner_texts()]
    assert shown == pytest.approx(search.auc_held_out[of_layer].tolist(), abs=0.0051) and len(shown) == 64
    assert shown != pytest.approx(search.auc[of_layer].tolist(), abs=0.0051)
    page.get_by_text("images that were held out").wait_for()


def test_a_line_that_is_not_open_yet_is_closed_once_it_is(opened):
    page = opened("#/network")
    page.evaluate("""() => {
        window.lines = []
        window.WebSocket = class {
            static CONNECTING = 0
            static OPEN = 1
            readyState = 0
            closedIn = null
            constructor() { window.lines.push(this) }
            close() { this.closedIn ??= this.readyState }
        }
    }""")
    page.evaluate("location.hash = '#/image/1'")
    page.wait_for_selector(".stage")
    page.evaluate("location.hash = '#/network'")
    page.wait_for_selector(".stage", state="detached")
    assert page.evaluate("lines.map((line) => line.closedIn)") == [None]
    page.evaluate("lines[0].readyState = 1, lines[0].onopen()")
    assert page.evaluate("lines.map((line) => line.closedIn)") == [1]


def test_a_photograph_of_ones_own_is_asked(opened, picture, tmp_path):
    (tmp_path / "mine.jpg").write_bytes(picture)
    page = opened("#/network")
    page.set_input_files("input[type=file]", tmp_path / "mine.jpg")
    page.wait_for_selector(".stage")
    assert "#/image/upload-" in page.url
    assert page.title().startswith("mine.jpg")  # in the tab too, and not the name that addresses it
    assert sum(bars(page).values()) == pytest.approx(1, abs=1e-3)


def test_a_photograph_that_the_camera_takes_is_asked_like_others(opened, network, explored):
    page = opened("#/network", permissions=["camera"])
    page.get_by_role("button", name="Camera").click()
    wait_until(lambda: page.evaluate("document.querySelector('video')?.videoWidth > 0"))
    page.get_by_role("button", name="Take it").click()
    page.wait_for_selector(".stage")
    assert page.locator("dialog").count() == 0
    photograph = explored.image(page.url.rpartition("#/image/")[2].partition("?")[0])
    assert (
        photograph.id.startswith("upload-")
        and min(photograph.pixels.shape[:2]) > 100
        and np.ptp(photograph.pixels) > 100
    )
    agree(page, network, ico.predict(network, [photograph.pixels])[0])


def test_the_language_is_switched_and_kept(opened):
    page = opened("#/unit/relu4:3")
    page.get_by_role("button", name="es", exact=True).click()
    page.get_by_role("heading", name="A qué responde más").wait_for()
    assert page.evaluate("document.documentElement.lang") == "es"
    page.reload()
    page.get_by_role("heading", name="A qué responde más").wait_for()


def test_an_unknown_unit_is_answered_in_words(browser, address):
    page = browser.new_page()
    page.goto(address)
    page.goto(address.split("?")[0] + "#/unit/conv9:1")
    page.get_by_role("alert").wait_for()
    assert "conv9" in page.get_by_role("alert").inner_text()
    page.close()


def test_two_tabs_ask_of_their_own(opened, network, images):
    pages = [opened(f"#/image/{number}?fill=black&side=31") for number in (3, 4)]
    for page in pages:
        page.locator(".stage").wait_for()
    for _ in range(3):
        for page in pages:
            page.bring_to_front()
            page.mouse.move(*place_on(page, ".stage", 0.5, 0.5))
            page.mouse.move(*place_on(page, ".stage", 30.25 / 96, 60.25 / 96))
    for page, number in zip(pages, (3, 4), strict=True):
        agree(page, network, covered_answers(network, images[number], 15, 45, 31))


def test_a_server_that_ended_is_said_and_the_next_one_is_asked(browser, network, images, store):
    page = browser.new_page()
    page.set_default_timeout(30_000)
    with serving(open_session(network, images, store=store)) as first:
        page.goto(first.address)
        page.goto(f"{first.address.split('?')[0]}#/image/3?side=20")
        page.locator(".stage").wait_for()
        page.mouse.move(*place_on(page, ".stage", 0.5, 0.5))
        page.locator(".timing").wait_for()
    page.mouse.move(*place_on(page, ".stage", 0.6, 0.6))
    page.get_by_text("The server does not answer.").wait_for()
    page.goto(f"{first.address.split('?')[0]}#/layer/relu2")
    page.get_by_text("The server does not answer.").wait_for()
    with serving(open_session(network, images, store=store), port=first.port) as second:
        page.goto(second.address)
        page.wait_for_selector(".layers")
        page.goto(f"{second.address.split('?')[0]}#/layer/relu2")
        page.wait_for_selector(".tiles")
    page.close()


def test_two_networks_answer_under_one_patch_and_stand_beside_each_other(browser, network, images, store):
    other = ico.load_network("cars", device="cpu")
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(30_000)
    with serving(open_session(network, images, store=store, compare=other)) as rules:
        address = rules.address
        page.goto(address)
        page.goto(f"{address.split('?')[0]}#/image/3?fill=black&side=31&patch=40,50,31,31")
        page.wait_for_selector(".answers section:nth-of-type(2) .bars li")
        both = [covered_answers(each, images[3], 25, 35, 31) for each in (network, other)]

        def do_agree():
            return page.evaluate(
                """(both) => [...document.querySelectorAll('.answers section:has(.timing)')].length === 2 &&
                both.every((answers, at) => Object.entries(answers).every(([name, value]) => Math.abs(Number(
                document.querySelectorAll('.answers section:has(.timing)')[at].querySelector(`[data-class=${name}]`)
                .dataset.value) - value) < 1e-4))""",
                [dict(zip(network.classes, map(float, answers), strict=True)) for answers in both],
            )

        wait_until(do_agree)
        page.goto(f"{address.split('?')[0]}#/network?beside=1")
        page.wait_for_selector(".column:nth-of-type(2) h1")
        assert page.locator(".column h1").all_inner_texts() == ["cars-honest", "cars"]
        page.locator(".column .layers li:not(.unrecorded) a").first.click()
        page.wait_for_selector(".tiles")
        assert "beside=1" in page.evaluate("location.hash")
        # Of the second nothing was recorded, which its side says in words.
        page.locator(".tile a").first.click()
        page.locator(".column:nth-of-type(2)").get_by_role("alert").wait_for()
        page.goto("about:blank")
    page.close()


def test_a_unit_that_was_not_recorded_can_be_grown_all_the_same(browser, address):
    page = browser.new_page()
    page.set_default_timeout(30_000)
    page.goto(address)
    page.goto(f"{address.split('?')[0]}#/layer/conv1")
    page.get_by_role("link", name="3", exact=True).click()
    page.get_by_role("alert").wait_for()
    page.get_by_label("Steps").select_option("32")
    page.get_by_role("button", name="Grow", exact=True).click()
    page.wait_for_selector("img.growing[data-ended=yes]", timeout=60_000)
    page.close()


def test_the_second_of_two_networks_is_recorded_and_its_links_are_its_own(browser, network, images, store, tmp_path):
    shutil.copytree(store, tmp_path / "run")
    other = ico.load_network("cars", device="cpu")
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(30_000)
    session = open_session(network, images, store=tmp_path / "run", compare=other)
    with serving(session) as rules:
        address = rules.address
        page.goto(address)
        page.goto(f"{address.split('?')[0]}#/network?beside=1")
        right = page.locator(".column:nth-of-type(2)")
        with page.expect_request("**/api/record*") as asked:
            right.get_by_role("button", name="Record now").click()
        assert asked.value.url.endswith("?network=1")
        right.locator(".confusion a").first.wait_for(timeout=60_000)
        for column, number in ((page.locator(".column:nth-of-type(1)"), "0"), (right, "1")):
            links = column.locator(".confusion a").evaluate_all(
                "(links) => links.map((link) => link.getAttribute('href'))"
            )
            assert {"1" if "network=1" in link else "0" for link in links} == {number}
        right.locator(".confusion a").first.click()
        page.get_by_text("As cars answers.").wait_for()
        page.get_by_label("The two networks differ").check()
        answers = [np.asarray(subject.recorded.predictions) for subject in session.subjects]
        differing = int((answers[0] != answers[1]).sum())
        page.goto(f"{address.split('?')[0]}#/images?differ=1")
        page.get_by_text(f"{differing} image", exact=False).first.wait_for()
        page.goto("about:blank")
    page.close()
