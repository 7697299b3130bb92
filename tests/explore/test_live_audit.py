"""The audit of chosen images: said before what can be judged, watched, ended, and the same as `audit` makes."""

import json
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

import iconoscope as ico
from explore.browsing import browse
from explore.test_live_recording import events
from iconoscope.explorer import live_audit, open_session

pytestmark = pytest.mark.filterwarnings("ignore::iconoscope.errors.IconoscopeWarning")


def test_what_can_be_judged_and_what_is_mistaken_is_counted(client, recording):
    rows = np.arange(0, 60, 2)
    page = client.post("/api/selection", json={"images": rows.tolist()}).json()
    answers = {name: int((recording.predictions[rows] == index).sum()) for index, name in enumerate(recording.classes)}
    assert page["audit"]["judged"] == [] and page["audit"]["least"] == 30
    assert {each["name"]: each["count"] for each in page["audit"]["few"]} == {
        name: count for name, count in answers.items() if count
    }
    mistakes = {
        (recording.classes[recording.targets[row]], recording.classes[recording.predictions[row]])
        for row in rows
        if recording.targets[row] != recording.predictions[row]
    }
    assert {(each["label"], each["prediction"]) for each in page["mistakes"]} == mistakes
    assert sum(each["count"] for each in page["mistakes"]) == page["wrong"]


def test_too_few_are_refused_before_anything_is_asked(client, monkeypatch):
    monkeypatch.setattr(live_audit, "record", lambda *_, **__: pytest.fail("it asked"))
    answer = client.post("/api/selection/audit", json={"images": list(range(20))})
    assert answer.status_code == 400 and "too few" in answer.json()["message"] and "30" in answer.json()["hint"]
    assert client.post("/api/selection/audit", json={"images": [60]}).status_code == 400


@pytest.fixture(scope="module")
def telling(tmp_path_factory):
    """The network that goes by the background, and images of which a selection is enough."""
    network, images = ico.load_network("cars", device="cpu"), ico.demo_images(84, backgrounds="telling", seed=1)
    folder = tmp_path_factory.mktemp("telling") / "run"
    ico.record(network, images, store=folder, workers=0)
    return network, images, folder


def test_what_one_class_alone_lacks_are_images_that_are_answered_otherwise(telling, rules, monkeypatch):
    network, images, folder = telling
    session = open_session(network, images, store=folder)
    recording = session.subjects[0].recorded
    predictions = recording.predictions
    most = int(np.bincount(predictions).argmax())
    rows = np.flatnonzero(predictions == most)[:40].tolist()
    others = np.flatnonzero(predictions != most)[:12].tolist()
    monkeypatch.setattr(live_audit, "record", lambda *_, **__: pytest.fail("it asked"))
    with browse(session, rules) as client:
        alone, mixed = (client.post("/api/selection", json={"images": each}).json() for each in (rows, rows + others))
        refused = client.post("/api/selection/audit", json={"images": rows})
    name = recording.classes[most]
    for page, lacking in ((alone, 30), (mixed, 18)):
        assert page["audit"]["one_sided"] == {"name": name, "count": 40}
        assert page["audit"]["others_lacking"] == lacking and page["audit"]["judged"] == []
    assert alone["audit"]["few"] == [] and len(mixed["audit"]["few"]) == 1
    assert refused.status_code == 400 and "otherwise than " + name in refused.json()["message"]
    assert "30" in refused.json()["hint"]


def test_the_audit_asks_about_the_classes_that_can_be_judged_alone(telling, rules, monkeypatch):
    network, images, folder = telling
    asked, kept = [], live_audit.audit_outlook

    def noticed(network, chosen, **settings):
        asked.append(settings["only"])
        raise ico.errors.QuestionError("That is all that was to be seen.")

    monkeypatch.setattr(live_audit, "audit", noticed)
    monkeypatch.setattr(
        live_audit, "audit_outlook", lambda *given: replace(kept(*given), judged=kept(*given).judged[:1])
    )
    session = open_session(network, images, store=folder)
    with browse(session, rules) as client:
        client.post("/api/selection/audit", json={"images": list(range(82))})
    assert asked == [[kept(session.subjects[0], np.arange(82)).judged[0].name]]


@pytest.mark.slow
def test_the_audit_of_a_selection_is_that_of_these_images_and_no_part_of_the_store(telling, rules):
    network, images, folder = telling
    before = sorted(folder.rglob("*"))
    rows = list(range(2, 82))
    with browse(open_session(network, images, store=folder, read_only=True), rules) as client:
        steps = events(client.post("/api/selection/audit?lang=es", json={"images": rows}))
        summary = steps[-1]["audit"]
        assert all(step["audit"] is None for step in steps[:-1]) and steps[:-1]
        report = client.get(f"/api/{summary['page']}")
    assert sorted(folder.rglob("*")) == before
    own = ico.audit(network, images[rows], quick=True)
    assert summary["overall"]["word"] == own.word == "shortcut"
    assert {verdict["name"]: verdict["word"] for verdict in summary["classes"]} == {
        name: finding.conclusion.word for name, finding in own.findings("es").items()
    }
    assert [verdict["text"] for verdict in summary["classes"]] == [
        finding.verdict for finding in own.findings("es").values()
    ]
    assert "These are 80 images that were chosen by hand from 84" in report.text
    assert report.status_code == 200 and "sandbox" in report.headers["content-security-policy"]


def test_who_goes_away_ends_the_audit(telling, rules, monkeypatch):
    network, images, folder = telling
    ended, watchers = threading.Event(), []
    kept, make = live_audit.audit, live_audit.Watcher

    def watched(*given):
        watchers.append(make(*given))
        return watchers[-1]

    def noticed(*given, **settings):
        watchers[-1].stopped.set()  # as the stream does when nobody reads it
        try:
            return kept(*given, **settings)
        except KeyboardInterrupt:
            ended.set()
            raise

    monkeypatch.setattr(live_audit, "Watcher", watched)
    monkeypatch.setattr(live_audit, "audit", noticed)
    session = open_session(network, images, store=folder)
    with browse(session, rules) as client:
        begun = time.monotonic()
        answer = client.post("/api/selection/audit", json={"images": list(range(84))})
        assert ended.wait(20) and time.monotonic() - begun < 20
    assert not session.audits
    assert all(json.loads(line[5:]).get("audit") is None for line in answer.text.splitlines() if line[:5] == "data:")
