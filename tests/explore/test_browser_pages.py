"""Every page of the explorer in a real browser, at the widths of a desk and of a telephone."""

from pathlib import Path

import pytest

from explore.chromium import NARROW, WIDE

AXE = Path(__file__).parents[2] / "web/node_modules/axe-core/axe.min.js"

PAGES = {
    "network": "#/network",
    "layer": "#/layer/relu4",
    "unit": "#/unit/relu4:1?low=0&high=1",
    "image": "#/image/2?patch=40,40,24,24&heat=drop&layer=relu4",
    "images": "#/images?label=lynx",
    "map": "#/map?find=lynx",
}


@pytest.mark.parametrize("name", PAGES)
def test_every_page_fits_both_widths_and_can_be_read_by_all(opened, name):
    for viewport, scheme in ((WIDE, "light"), (NARROW, "dark")):
        page = opened(PAGES[name], viewport=viewport, color_scheme=scheme)
        page.wait_for_selector("main h1")
        page.wait_for_load_state("networkidle")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), viewport
        if AXE.is_file():
            page.evaluate(AXE.read_text(encoding="utf-8"))
            found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")["violations"]
            grave = [
                (each["id"], [node["html"][:200] for node in each["nodes"]][:3])
                for each in found
                if each["impact"] in ("serious", "critical")
            ]
            assert grave == []


@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
def test_notices_are_seen_whole_over_every_page_and_go_with_it(opened, viewport):
    page = opened("#/network", viewport=viewport)
    bottom = page.evaluate("document.querySelector('header.top').getBoundingClientRect().bottom")
    page.evaluate("() => { navigator.mediaDevices.getUserMedia = () => Promise.reject(new Error('there is none')); }")
    page.get_by_role("button", name="Camera").click()
    notice = page.locator(".floating")
    notice.wait_for()
    page.evaluate("scrollTo(0, 300)")
    place = notice.bounding_box()
    assert place["x"] >= 0 and place["x"] + place["width"] <= viewport["width"]
    assert place["y"] > bottom and place["y"] + place["height"] <= viewport["height"]
    page.evaluate(
        "() => { const files = new DataTransfer(); files.items.add(new File(['a'], 'a.png'));"
        " document.dispatchEvent(new DragEvent('dragover', { dataTransfer: files })); }"
    )
    over = page.locator(".drop").bounding_box()
    assert over["width"] > viewport["width"] - 40 and over["height"] > viewport["height"] - 40
    page.get_by_role("link", name="Images", exact=True).click()
    notice.wait_for(state="detached")
