"""How one goes from page to page: where one was is found again, and the keyboard is led along."""

import iconoscope as ico
from explore.chromium import NARROW, WIDE, wait_until
from iconoscope.explorer import open_session
from iconoscope.explorer.serving import serving


def focused(page, what="tagName"):
    return page.evaluate(f"document.activeElement.{what}")


def test_the_back_button_and_a_reload_lead_to_where_one_was(opened):
    page = opened("#/layer/relu4")
    page.wait_for_selector(".tile:nth-of-type(60)")
    place = page.evaluate("scrollTo(0, 900), scrollY")
    wait_until(lambda: page.evaluate("history.state?.y") == place > 400)
    seen = page.locator(".tile").nth(40).locator("a").first
    seen.evaluate("(link) => link.click()")
    page.wait_for_selector(".spectrum")
    assert page.evaluate("scrollY") == 0
    page.go_back()
    wait_until(lambda: page.evaluate("scrollY") == place)
    page.get_by_role("button", name="selectivity").evaluate("(button) => button.click()")  # the same page still
    page.reload()
    wait_until(lambda: page.evaluate("scrollY") == place)


def test_the_focus_goes_to_the_page_that_was_opened(opened):
    page = opened("#/network")
    page.wait_for_selector(".layers a")
    page.keyboard.press("Tab")
    assert focused(page, "textContent") == "Skip to the page"
    page.keyboard.press("Enter")
    assert focused(page) == "MAIN"
    page.locator(".layers li:not(.unrecorded) a").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector(".tiles")
    assert focused(page) == "MAIN"
    page.goto(page.url.split("#")[0] + "#/image/3")
    page.locator("[data-again=next]").focus()
    for number in (4, 5):
        page.keyboard.press("Enter")
        wait_until(lambda number=number: f"#/image/{number}" in page.url)
        wait_until(lambda: focused(page, "dataset.again") == "next")


def test_another_language_leaves_what_is_being_done(opened):
    page = opened("#/unit/relu3:2?steps=2")
    page.get_by_role("button", name="Grow", exact=True).click()
    page.wait_for_selector("img.growing[data-ended=yes]", timeout=60_000)
    page.get_by_role("button", name="es", exact=True).click()
    page.get_by_role("heading", name="Haz crecer su imagen").wait_for()
    assert page.locator("img.growing").count() == 1


def test_what_cannot_be_copied_is_shown(opened):
    page = opened("#/unit/relu3:2")
    page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error('no')) }")
    page.get_by_role("button", name="Copy Python").first.click()
    page.get_by_text("import iconoscope as ico").first.wait_for()


def test_a_notice_is_closed_by_escape(browser, address, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno more of it")
    page = browser.new_page()
    page.goto(address)
    page.set_input_files("input[type=file]", tmp_path / "broken.png")
    page.locator(".floating [role=alert]").wait_for()
    page.keyboard.press("Escape")
    page.locator(".floating").wait_for(state="detached")
    page.close()


def test_of_a_network_that_was_only_recorded_nothing_is_asked(browser, network, images, store, tmp_path):
    other = ico.load_network("cars", device="cpu")
    ico.record(other, images, store=tmp_path / "other", workers=0)
    page = browser.new_page(viewport=NARROW)
    page.set_default_timeout(30_000)
    failed = []
    page.on("response", lambda answer: failed.append(answer.url) if answer.status >= 400 else None)
    with serving(open_session(network, images, store=store, compare=f"other={tmp_path / 'other'}")) as rules:
        page.goto(rules.address)
        home = rules.address.split("?")[0]
        page.goto(f"{home}#/image/3?patch=40,50,31,31")
        page.get_by_text("The network answered in").wait_for()
        page.get_by_text("none under a patch").wait_for()
        page.goto(f"{home}#/unit/relu4:3?beside=1")
        first, second = (page.locator(f".column:nth-of-type({number})") for number in (1, 2))
        second.locator(".spectrum").wait_for()
        first.get_by_role("button", name="Grow", exact=True).wait_for()
        assert second.get_by_role("button", name="Grow", exact=True).count() == 0
        second.get_by_text("None is in the store.", exact=True).wait_for()
        page.goto(f"{home}#/image/3?network=1&heat=drop")
        page.get_by_text("none under a patch").wait_for()
        assert page.get_by_label("Turn it into").count() == 0 and page.locator(".heat-controls").count() == 0
        page.goto("about:blank")
    stores = open_session(store=store, compare=f"other={tmp_path / 'other'}")
    with serving(stores) as rules:  # neither is at hand: still both are seen
        page.goto(rules.address)
        page.goto(f"{rules.address.split('?')[0]}#/image/3")
        page.wait_for_selector(".answers section:nth-of-type(2) .bars li")
        shown = page.locator(".answers .bars li:first-child .value").all_inner_texts()
        assert shown == [f"{subject.recorded.vectors('probabilities')[3].max():.3f}" for subject in stores.subjects]
        page.goto("about:blank")
    assert not failed
    page.close()


def test_long_names_with_signs_stay_in_their_places(browser, network, images, store, tmp_path):
    (tmp_path / "titles.csv").write_text(f'class,title\nbison,"<b>&""{"a" * 74}"\nlynx,{"long words " * 7}\n')
    with serving(open_session(network, images, store=store, titles=tmp_path / "titles.csv")) as rules:
        page = browser.new_context(locale="es-ES").new_page()
        page.goto(rules.address)
        for size in (WIDE, NARROW):
            page.set_viewport_size(size)
            for place, shown in (
                ("network", ".confusion"),
                ("images", ".images a"),
                ("image/3", ".bars"),
                ("layer/relu4", ".tiles"),
            ):
                page.goto(f"{rules.address.split('?')[0]}#/{place}")
                page.wait_for_selector(shown)
                assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (place, size)
        page.goto(f"{rules.address.split('?')[0]}#/network")
        assert page.locator(".confusion thead").bounding_box()["height"] < 200
        assert page.locator(".confusion b").count() == 0  # a name is no markup
        page.context.close()


def test_an_address_that_names_nothing_there_is_offers_nothing_that_fails(browser, address):
    page = browser.new_page()
    page.goto(address)
    home = address.split("?")[0]
    page.goto(f"{home}#/unit/relu4:99999")
    page.get_by_role("alert").wait_for()
    page.get_by_text("has no channel 99999").wait_for()
    assert page.get_by_role("button", name="Grow", exact=True).count() == 0
    page.goto(f"{home}#/images?label=elephant")
    page.get_by_text("0 images").wait_for()
    assert page.locator("label", has_text="Label").locator("select").input_value() == "elephant"
    page.close()


def test_an_answer_to_a_photograph_takes_nobody_away_from_another_page(opened, picture, tmp_path):
    (tmp_path / "mine.jpg").write_bytes(picture)
    page = opened("#/network")
    held = []

    def hold(route):
        held.append(route)

    page.route("**/api/uploads*", hold)
    page.set_input_files("input[type=file]", tmp_path / "mine.jpg")
    page.get_by_text("asked about your photograph").wait_for()
    page.evaluate("location.hash = '#/images'")
    page.wait_for_selector(".images a")
    held[0].continue_()
    page.get_by_role("link", name="mine.jpg is answered").click()
    page.wait_for_selector(".stage")
