"""Labels that are written otherwise than the network writes its classes, or that are no class of it."""

import numpy as np
import pytest

import iconoscope as ico
from explore.browsing import browse
from iconoscope.explorer import open_session

pytestmark = pytest.mark.filterwarnings("ignore::iconoscope.errors.IconoscopeWarning")

LABELS = ["LYNX", "Bison", "horse", "1", "0", None]
"""Two classes in other letters, no class, and two by their numbers."""


@pytest.fixture(scope="module")
def labelled(images):
    return ico.load_images(np.stack([image.pixels for image in images[:6]]), labels=LABELS)


def expected(network, labelled):
    answers = np.argmax(ico.predict(network, labelled), 1).tolist()
    return [
        target if target is None else target != answer
        for target, answer in zip((0, 1, None, 1, 0, None), answers, strict=True)
    ]


def test_an_image_is_wrong_by_what_its_label_stands_for(network, labelled, tmp_path, rules):
    wrong = expected(network, labelled)
    with browse(open_session(network, labelled, store=tmp_path / "run"), rules) as client:
        for _ in range(2):  # before they are recorded, and after
            assert [client.get(f"/api/images/{number}").json()["wrong"] for number in range(6)] == wrong
            client.post("/api/record")
        cards = client.get("/api/search").json()["images"]
        assert [card["wrong"] for card in cards] == wrong
        mistakes = client.get("/api/search", params={"mistakes": 1}).json()["images"]
        assert [card["number"] for card in mistakes] == [number for number in range(6) if wrong[number]]
        for answer in client.get("/api/units/relu4:0").json()["most"]:
            assert answer["wrong"] == wrong[answer["number"]]
        for neighbour in client.get("/api/images/0").json()["neighbours"]:
            assert neighbour["wrong"] == wrong[neighbour["number"]]
