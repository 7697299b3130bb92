"""An explorer that a real browser has opened; what is said of it in tests stands in the files that import these."""

import time

import pytest

from iconoscope.explorer import open_session
from iconoscope.explorer.serving import serving
from show.conftest import browser

__all__ = ["NARROW", "WIDE", "address", "bars", "browser", "explored", "opened", "wait_until"]

WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def explored(network, images, store):
    """What is explored."""
    return open_session(network, images, store=store)


@pytest.fixture(scope="module")
def address(explored):
    with serving(explored) as rules:
        yield rules.address


@pytest.fixture
def opened(browser, address):
    """A function that opens a page of the explorer in a browser of its own; whatever the page complains of fails the test."""
    troubles, contexts = [], []
    home = address.split("?")[0]

    def open_page(place, **settings):
        context = browser.new_context(**{"viewport": WIDE, "locale": "en-US", "accept_downloads": True, **settings})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("console", lambda said: troubles.append(said.text) if said.type in ("error", "warning") else None)
        page.on(
            "request",
            lambda asked: None if asked.url.startswith((home, "data:", "blob:")) else troubles.append(asked.url),
        )
        page.goto(address)
        page.wait_for_selector("header.top")
        page.goto(home + place)
        return page

    yield open_page
    for context in contexts:
        context.close()
    # WebGL drawn by the processor says so.
    complaints = [text for text in troubles if "GPU stall" not in text and "swiftshader" not in text.lower()]
    assert not complaints, "\n".join(complaints)


def wait_until(holds, seconds=40):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)


def bars(page):
    """The values of the bars by their classes, from the first down, all of one moment."""
    return page.evaluate(
        "Object.fromEntries([...document.querySelectorAll('.bars li:not(.room)')]"
        ".map((row) => [row.dataset.class, Number(row.dataset.value)]))"
    )
