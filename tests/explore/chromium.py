"""An explorer that a real browser has opened; what is said of it in tests stands in the files that import these."""

import socket
import threading
import time
from contextlib import contextmanager

import pytest

from iconoscope.explorer import open_session
from iconoscope.explorer.security import AccessRules
from iconoscope.explorer.server import create_app
from show.conftest import browser

__all__ = ["NARROW", "WIDE", "address", "bars", "browser", "explored", "opened", "serving", "wait_until"]

WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def explored(network, images, store):
    """What is explored."""
    return open_session(network, images, store=store)


@contextmanager
def serving(session, port=0):
    """The address of a server that runs in a thread of its own."""
    import uvicorn

    # Only where a socket says that it is TCP does asyncio send small answers at once.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen()
        rules = AccessRules("127.0.0.1", listener.getsockname()[1])
        server = uvicorn.Server(
            uvicorn.Config(
                create_app(session, rules), log_level="critical", access_log=False, timeout_graceful_shutdown=5
            )
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield rules.address
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def address(explored):
    with serving(explored) as address:
        yield address


@pytest.fixture
def opened(browser, address):
    """A function that opens a page of the explorer in a browser of its own; whatever the page complains of fails the test."""
    troubles, contexts = [], []
    home = address.split("?")[0]

    def open_page(place, **settings):
        context = browser.new_context(**{"viewport": WIDE, "locale": "en-US", "accept_downloads": True, **settings})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(8000)
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
    assert [
        trouble for trouble in troubles if "GPU stall" not in trouble and "swiftshader" not in trouble.lower()
    ] == []


def wait_until(holds, seconds=10):
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
