"""What is asked of a copy of the network in another thread while the audit asks what decides."""

import threading

import pytest
import torch

import iconoscope as ico
from iconoscope.auditing import meanwhile as asked_meanwhile
from iconoscope.auditing.audit import QUICK, _certain_questions
from iconoscope.auditing.meanwhile import asking_meanwhile
from iconoscope.auditing.occlusion_evidence import occlude_sample
from iconoscope.auditing.sample import load_sample
from iconoscope.progress import track
from iconoscope.store import Store


@pytest.fixture
def network():
    return ico.load_network("cars-honest", device="cpu")


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)


def test_a_copy_is_asked_in_another_thread_and_is_called_and_answers_as_the_network_does(network, two_threads):
    seen = []

    def ask(asked):
        seen.append((threading.current_thread() is threading.main_thread(), torch.get_num_threads(), asked))

    with asking_meanwhile(network, [ask, ask]) as meanwhile:
        assert meanwhile is not None and torch.get_num_threads() == 1
        meanwhile.wait()
    assert [each[:2] for each in seen] == [(False, 1)] * 2
    copy = seen[0][2]
    assert copy.module is not network.module and copy.digest() == network.digest() and copy.name == network.name
    weights = zip(copy.module.parameters(), network.module.parameters(), strict=True)
    assert not any(one.data_ptr() == other.data_ptr() for one, other in weights)
    picture = ico.demo_images(1, seed=1)
    assert (ico.predict(copy, picture) == ico.predict(network, picture)).all()


def test_what_goes_wrong_there_is_left_to_the_audit(network, two_threads, recwarn):
    with asking_meanwhile(network, [lambda _: 1 / 0]) as meanwhile:
        assert meanwhile is not None
        meanwhile.wait()
    assert not [warning for warning in recwarn if "thread" in str(warning.message).lower()]


def test_it_ends_with_the_block_at_its_next_step(network, two_threads):
    begun, steps = threading.Event(), []

    def ask(_):
        for step in track(range(10_000), "steps"):
            steps.append(step)
            begun.set()
            threading.Event().wait(0.001)

    with pytest.raises(KeyboardInterrupt), asking_meanwhile(network, [ask]):
        begun.wait(10)
        raise KeyboardInterrupt
    assert 0 < len(steps) < 10_000 and "audit, meanwhile" not in [thread.name for thread in threading.enumerate()]


def test_there_is_none_of_one_thread_of_large_networks_and_of_what_cannot_be_copied(network, two_threads, monkeypatch):
    def ask(_):
        pytest.fail("nothing was to be asked")

    with asking_meanwhile(network, []) as meanwhile:
        assert meanwhile is None
    monkeypatch.setattr(asked_meanwhile, "LARGEST", 1000)
    with asking_meanwhile(network, [ask]) as meanwhile:
        assert meanwhile is None
    monkeypatch.undo()
    network.module.lock = threading.Lock()  # as a user's module may hold one
    with asking_meanwhile(network, [ask]) as meanwhile:
        assert meanwhile is None
    del network.module.lock
    torch.set_num_threads(1)
    with asking_meanwhile(network, [ask]) as meanwhile:
        assert meanwhile is None
    torch.set_num_threads(2)


def test_what_is_certain_is_found_in_the_end_whatever_the_order_of_the_classes(network, tmp_path, monkeypatch):
    effort = QUICK._replace(covered=4, steps=1)
    photographs = ico.demo_images(12, seed=3)
    recording = ico.record(network, photographs, store=tmp_path / "run")
    sample = load_sample(network, recording, photographs, most=12, seed=0)
    store = Store(tmp_path / "work")
    cover, make = _certain_questions(network, sample, effort, seed=0, store=store)
    cover(network)
    make(network)
    monkeypatch.setattr("iconoscope.occlusion.sliding_patch.PatchQuestion._scan", lambda *_: pytest.fail("asked again"))
    monkeypatch.setattr("iconoscope.optimization.synthesis.Synthesis.make", lambda *_: pytest.fail("made again"))
    asked = {"most": effort.covered, "patches": effort.patches_on(sample), "store": store}
    evidence, _ = occlude_sample(network, sample, (1, 0), **asked)
    assert sorted(sample.evidence.predicted[evidence.rows].tolist()) == [0, 0, 1, 1]
    units = ["logit:bison", "logit:lynx"]
    assert list(ico.optimize(network, units, steps=1, seed=0, store=store).units) == units
    # Where it depends on what decides which classes have pictures, nothing is certain.
    assert _certain_questions(network, sample, effort._replace(classes=1), seed=0, store=store) == ()
