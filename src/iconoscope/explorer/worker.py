"""One thread that asks the network: one question after another, of which the newest of every view is the one that counts."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from iconoscope.errors import IconoscopeError
from iconoscope.progress import Advance, Listener, listen
from iconoscope.user_code import without_exits

__all__ = ["Interrupted", "ReplacedError", "Worker"]

_MOMENT = 0.25  # seconds
_QUIET = 0.15
"""Seconds without an urgent question before one that is not urgent begins: it could be interrupted after its first batch only,
and the next urgent one, as of a patch that is dragged, would wait for that."""

Urgency = Literal["at once", "in turn"]


class ReplacedError(IconoscopeError):
    """A question that was not answered, since a newer one of the same view came."""


class Interrupted(KeyboardInterrupt):
    """Ends a question between two of its batches, as Ctrl-C would: nothing that was put in place stays."""


@dataclass(eq=False)
class _Task:
    view: str
    ask: Callable[[], Any]
    urgency: Urgency
    answer: Future[Any] = field(default_factory=Future)
    replaced: bool = False  # while it is asked: a newer one of its view has come
    preempted: bool = False  # while it is asked: an urgent one waits

    def begin(self) -> bool:
        """Say that it is asked, perhaps once more; False if nobody waits for it any more."""
        self.preempted = False
        return self.answer.running() or self.answer.set_running_or_notify_cancel()

    def give_up(self) -> None:
        """Tell the one who asked that a newer question took its place."""
        if self.begin():
            self.answer.set_exception(ReplacedError("A newer question of the same view took the place of this one."))


class Worker:
    """A thread with a queue, in which a newer question takes the place of an older one of the same view.

    An urgent question (a patch that follows the mouse) goes before the others, and interrupts one of them between two batches;
    that one begins again when no urgent one has come for a moment.
    """

    def __init__(self) -> None:
        self._waiting: list[_Task] = []
        self._current: _Task | None = None
        self._changed = threading.Condition()
        self._closed = False
        self._quiet_since = 0.0
        self._held: dict[Hashable, AbstractContextManager[Any]] = {}
        self._thread = threading.Thread(target=self._run, name="iconoscope explorer", daemon=True)
        self._thread.start()

    def submit(self, ask: Callable[[], Any], *, view: str = "", urgency: Urgency = "in turn") -> Future[Any]:
        """Put a question into the queue.

        Parameters
        ----------
        ask
            Called in the worker's thread. It may be called anew after it was interrupted.
        view
            Who asks; an older question of the same view is not answered any more. Without a name it replaces none.
        urgency
            Whether it goes before the others.

        Returns
        -------
        Future
            Its answer, or what it raised; `ReplacedError` if a newer one of its view came.
        """
        task = _Task(view, ask, urgency)
        with self._changed:
            older = [waiting for waiting in self._waiting if view and waiting.view == view]
            self._waiting = [waiting for waiting in self._waiting if waiting not in older]
            if self._current is not None:
                self._current.replaced |= bool(view) and self._current.view == view
                self._current.preempted |= urgency == "at once" and self._current.urgency == "in turn"
            self._waiting.append(task)
            self._changed.notify_all()
        for waiting in older:
            waiting.give_up()
        return task.answer

    @property
    def is_busy(self) -> bool:
        """Whether a question that comes now has to wait for another."""
        with self._changed:
            return self._current is not None or bool(self._waiting)

    def withdraw(self, answer: Future[Any]) -> None:
        """Give a question up, by the future of its answer: nobody waits for it any more.

        One that has not begun is not asked; one that is being asked ends after its batch, with `ReplacedError`.
        """
        with self._changed:
            withdrawn = [waiting for waiting in self._waiting if waiting.answer is answer]
            self._waiting = [waiting for waiting in self._waiting if waiting.answer is not answer]
            if self._current is not None and self._current.answer is answer:
                self._current.replaced = True
        for task in withdrawn:
            task.give_up()

    def hold(self, key: Hashable, context: Callable[[], AbstractContextManager[Any]]) -> None:
        """Enter a context, once for a key, that stays until nothing has been asked for a moment; in the worker's thread alone.

        What every question would enter and leave again, it then finds entered.
        """
        if key not in self._held:
            entered = context()
            entered.__enter__()
            self._held[key] = entered

    def _let_go(self) -> None:
        while self._held:
            self._held.popitem()[1].__exit__(None, None, None)

    def close(self) -> None:
        """End the thread after what it is asking now; what waits is not answered."""
        with self._changed:
            self._closed = True
            waiting, self._waiting = self._waiting, []
            if self._current is not None:
                self._current.replaced = True
            self._changed.notify_all()
        for task in waiting:
            task.give_up()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        while (task := self._next()) is not None:
            self._answer(task)

    def _next(self) -> _Task | None:
        with self._changed:
            if self._current is not None and self._current.urgency == "at once":
                self._quiet_since = time.monotonic()
            self._current = None
            while not self._closed:
                task = next((task for task in self._waiting if task.urgency == "at once"), None)
                pause = self._quiet_since + _QUIET - time.monotonic()
                if task is None and self._waiting and pause <= 0:
                    task = self._waiting[0]
                if task is not None:
                    self._waiting.remove(task)
                    if task.begin():
                        self._current = task
                        return task
                elif self._waiting:
                    self._changed.wait(pause)
                elif not self._changed.wait(_MOMENT if self._held else None):
                    self._let_go()
            self._let_go()
            return None

    def _answer(self, task: _Task) -> None:
        try:
            with without_exits(), listen(_interrupting(task)):
                answer = task.ask()
        except Interrupted:
            with self._changed:
                again = not task.replaced and not self._closed
                if again:
                    self._waiting.insert(0, task)
            if not again:
                task.give_up()
        # Whatever it is, it is for the one who asked; the thread goes on with the next question.
        except BaseException as error:  # noqa: BLE001
            task.answer.set_exception(error)
        else:
            task.answer.set_result(answer)


def _interrupting(task: _Task) -> Listener:
    """Give a listener of progress that ends a question after a batch, if that is wanted."""

    @contextmanager
    def listener(description: str, total: float | None) -> Iterator[Advance]:
        def advance(steps: float, words: str = "") -> None:
            if task.replaced or task.preempted:
                raise Interrupted

        yield advance

    return listener
