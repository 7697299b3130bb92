"""A real browser, where there is one."""

import os
import shutil

import pytest

CHROMIUM = next(
    (place for name in ("chromium", "chromium-browser", "google-chrome") if (place := shutil.which(name))), None
)


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("there is no chromium here")
    flags = "--no-sandbox --disable-background-networking --use-gl=angle --use-angle=swiftshader --enable-unsafe-swiftshader"
    flags += " --use-fake-device-for-media-stream --use-fake-ui-for-media-stream"  # a camera that films a test picture
    os.environ.setdefault("XDG_RUNTIME_DIR", "/tmp")
    with playwright.sync_playwright() as running:
        opened = running.chromium.launch(executable_path=CHROMIUM, args=flags.split())
        yield opened
        opened.close()
