"""The queue of questions: the newest of a view counts, what is urgent goes first, and nothing is lost."""

import threading
import time
from contextlib import contextmanager

import pytest

from iconoscope.errors import QuestionError
from iconoscope.explorer.worker import ReplacedError, Worker
from iconoscope.progress import track


@pytest.fixture
def worker():
    worker = Worker()
    yield worker
    worker.close()


class Gate:
    """A question that says when it has begun, and goes on when it is let."""

    def __init__(self):
        self.begun, self.open = threading.Event(), threading.Event()

    def __call__(self):
        self.begun.set()
        assert self.open.wait(10)
        return "opened"


def test_a_newer_question_takes_the_place_of_one_that_waits(worker):
    gate = Gate()
    first = worker.submit(gate)
    assert gate.begun.wait(10)
    answers = [worker.submit(lambda number=number: number, view="patch") for number in range(3)]
    other = worker.submit(lambda: "other", view="map")
    gate.open.set()
    assert first.result(10) == "opened"
    for older in answers[:2]:
        with pytest.raises(ReplacedError):
            older.result(10)
    assert (answers[2].result(10), other.result(10)) == (2, "other")


def test_questions_without_a_view_replace_none(worker):
    gate = Gate()
    worker.submit(gate)
    answers = [worker.submit(lambda number=number: number) for number in range(3)]
    gate.open.set()
    assert [answer.result(10) for answer in answers] == [0, 1, 2]


def test_an_urgent_question_goes_first(worker):
    gate, order = Gate(), []
    worker.submit(gate)
    slow = worker.submit(lambda: order.append("in turn"))
    urgent = worker.submit(lambda: order.append("at once"), urgency="at once")
    gate.open.set()
    for answer in (slow, urgent):
        answer.result(10)
    assert order == ["at once", "in turn"]


def batches(begun, go_on, done):
    """A long question, of which each batch is reported."""
    for number in track(range(3), "batches"):
        begun.set()
        assert go_on.wait(10)
        done.append(number)
    return "all"


def test_an_urgent_question_interrupts_a_long_one_between_two_batches_which_begins_again(worker):
    begun, go_on, done = threading.Event(), threading.Event(), []
    long = worker.submit(lambda: batches(begun, go_on, done), view="heat")
    assert begun.wait(10)
    urgent = worker.submit(lambda: list(done), view="patch", urgency="at once")
    go_on.set()
    assert urgent.result(10) == [0]
    assert long.result(10) == "all"
    assert done == [0, 0, 1, 2]


def test_a_newer_question_ends_the_one_that_is_asked(worker):
    begun, go_on, done = threading.Event(), threading.Event(), []
    older = worker.submit(lambda: batches(begun, go_on, done), view="heat")
    assert begun.wait(10)
    newer = worker.submit(lambda: "newer", view="heat")
    go_on.set()
    with pytest.raises(ReplacedError):
        older.result(10)
    assert newer.result(10) == "newer"
    assert done == [0]


def test_a_long_question_begins_again_only_when_no_urgent_one_comes_any_more(worker, monkeypatch):
    """Else every urgent one would wait for its first batch: of a patch that is dragged each step."""
    monkeypatch.setattr("iconoscope.explorer.worker._QUIET", 1.5)  # more than a busy machine sleeps too long
    begun, go_on, done = threading.Event(), threading.Event(), []
    long = worker.submit(lambda: batches(begun, go_on, done), view="heat")
    assert begun.wait(10)
    go_on.set()
    for _ in range(20):
        worker.submit(lambda: None, view="patch", urgency="at once").result(10)
        time.sleep(0.02)
    assert len(done) <= 3 and not long.done()
    assert long.result(10) == "all"


def test_a_question_for_which_nobody_waits_any_more_is_not_asked_and_the_thread_goes_on(worker):
    gate, asked = Gate(), []
    first = worker.submit(gate)
    assert gate.begun.wait(10)
    left = [worker.submit(lambda: asked.append(1), view=view) for view in ("", "heat")]
    assert all(future.cancel() for future in left)
    newer = worker.submit(lambda: "newer", view="heat")
    assert not first.cancel()  # it is being asked
    gate.open.set()
    assert newer.result(10) == "newer" and first.result(10) == "opened"
    assert asked == []


def test_closing_passes_over_what_nobody_waits_for():
    worker, gate = Worker(), Gate()
    worker.submit(gate)
    assert gate.begun.wait(10)
    worker.submit(lambda: 1).cancel()
    waiting = worker.submit(lambda: 2)
    gate.open.set()
    worker.close()
    with pytest.raises(ReplacedError):
        waiting.result(10)


def fail(error):
    raise error


@pytest.mark.parametrize("error", [QuestionError("no"), ValueError("no"), KeyboardInterrupt()])
def test_an_error_is_for_the_one_who_asked_and_the_thread_goes_on(worker, error):
    with pytest.raises(type(error)):
        worker.submit(lambda: fail(error)).result(10)
    assert worker.submit(lambda: 7).result(10) == 7


def test_code_that_would_leave_does_not_end_the_thread(worker):
    with pytest.raises(Exception, match="would have ended the program"):
        worker.submit(lambda: fail(SystemExit(3))).result(10)
    assert worker.submit(lambda: 7).result(10) == 7


def test_closing_ends_what_waits():
    worker, gate = Worker(), Gate()
    worker.submit(gate)
    assert gate.begun.wait(10)
    waiting = worker.submit(lambda: 1)
    gate.open.set()
    worker.close()
    with pytest.raises(ReplacedError):
        waiting.result(10)


def test_what_is_held_is_entered_once_and_let_go_when_nothing_is_asked_any_more(worker):
    events = []

    @contextmanager
    def reserved():
        events.append("entered")
        yield
        events.append("left")

    for _ in range(3):
        worker.submit(lambda: worker.hold("network", reserved)).result(10)
    assert events == ["entered"]
    for _ in range(100):
        if events == ["entered", "left"]:
            break
        time.sleep(0.05)
    assert events == ["entered", "left"]
    worker.submit(lambda: worker.hold("network", reserved)).result(10)
    worker.close()
    assert events == ["entered", "left"] * 2


def test_a_question_that_is_withdrawn_is_not_asked_or_ends_after_its_batch(worker):
    gate, steps = Gate(), []
    worker.submit(gate)
    assert gate.begun.wait(10)
    waiting, other = worker.submit(lambda: steps.append("asked")), worker.submit(lambda: "other")
    worker.withdraw(waiting)
    gate.open.set()
    with pytest.raises(ReplacedError):
        waiting.result(10)
    assert other.result(10) == "other" and steps == []

    def endless():
        for _ in track(range(10_000), "steps"):
            steps.append("step")
            time.sleep(0.01)

    running = worker.submit(endless)
    while not steps:
        time.sleep(0.01)
    worker.withdraw(running)
    with pytest.raises(ReplacedError):
        running.result(10)
    worker.withdraw(running)  # of which nothing is left
    assert worker.submit(lambda: "next").result(10) == "next"
