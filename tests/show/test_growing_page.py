"""The page that is at the place of a report until the report is there."""

import numpy as np
import pytest

from iconoscope.demo import journey
from iconoscope.show.growing_page import GrowingPage, Step


def test_it_says_what_is_done_and_what_is_to_come(tmp_path):
    steps = [Step("Draw cars"), Step("Map <them>", "map.html"), Step("Audit cars", "audit.html")]
    page = GrowingPage(tmp_path / "report.html", title="Two makes", lead="Which?", steps=steps)
    page.done(caption="a lynx", pictures=[np.full((8, 8, 3), 200, np.uint8)])
    first = page.path.read_text(encoding="utf-8")
    assert 'http-equiv="refresh"' in first and "1 of 3 steps" in first and "a lynx" in first
    # What is not there yet is no link.
    assert "Map &lt;them&gt;" in first and "href" not in first
    page.done("Of 9 units none.")
    second = page.path.read_text(encoding="utf-8")
    assert 'href="map.html"' in second and "audit.html" not in second
    assert "Of 9 units none." in second and "a lynx" in second and "2 of 3 steps" in second


def test_the_demo_has_something_to_look_at_before_a_network_is_asked(tmp_path, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(journey, "load_network", stop)
    with pytest.raises(KeyboardInterrupt):
        journey.demo(out=tmp_path, count=8)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "1 of 8 steps" in page and page.count("<img") == 4 and journey.TITLE in page
