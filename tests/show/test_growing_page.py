"""The page that stands where a report will be, while it is made."""

import numpy as np
import pytest

from iconoscope.language import in_language, term
from iconoscope.show.growing_page import GrowingPage, Step


def test_it_says_what_is_done_and_what_is_to_come(tmp_path):
    page = GrowingPage(tmp_path / "report.html", title="Cars", lead="", steps=[Step("ask"), Step("write", "map.html")])
    page.done("All answers are right.", caption="The first", pictures=[np.zeros((4, 4, 3), np.uint8)])
    text = page.path.read_text(encoding="utf-8")
    assert "1 of 2 steps are done" in text and "All answers are right." in text and "The first" in text
    assert 'http-equiv="refresh"' in text and "map.html" not in text


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_one_that_is_not_finished_says_so_and_is_asked_for_no_more(tmp_path, error):
    steps = [Step("ask"), Step("write")]
    with pytest.raises(error), GrowingPage(tmp_path / "report.html", title="Cars", lead="", steps=steps) as page:
        page.done()
        raise error
    text = page.path.read_text(encoding="utf-8")
    assert "The report was not finished" in text and 'http-equiv="refresh"' not in text


def test_nothing_is_written_before_the_first_step(tmp_path):
    with pytest.raises(ValueError), GrowingPage(tmp_path / "report.html", title="", lead="", steps=[Step("ask")]):
        raise ValueError
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize(
    ("english", "spanish"),
    [
        ("blurred by 0.5 to 0.25 px after every step", "desenfocada de 0,5 a 0,25 px tras cada paso"),
        ("blurred by 0.5 px after every 4 steps", "desenfocada 0,5 px cada 4 pasos"),
        (
            "occlusion with a patch of 24x24 kept, all else filled with mean",
            "oclusión: solo queda un parche de 24x24, lo demás relleno mean",
        ),
    ],
)
def test_what_blur_and_kept_patches_say_of_themselves_is_in_spanish(english, spanish):
    with in_language("es"):
        assert term(english) == spanish
