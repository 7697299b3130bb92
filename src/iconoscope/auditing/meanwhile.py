"""Questions that are sure to come, asked of a copy of the network in another thread while the audit asks what decides.

Small pictures are answered hardly faster by two threads of torch than by one, so two questions at once take half the time of
two in turn. The other thread leaves its answers in the store of the audit, where they are found when their turn comes: what is
concluded is the same with it and without it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

from iconoscope.progress import Advance, listen
from iconoscope.subject.network import Network
from iconoscope.subject.network.copying import copied

__all__ = ["Meanwhile", "asking_meanwhile"]


LARGEST = 256 << 20
"""Bytes of the weights of a network that is copied for it."""


class _NoLongerWantedError(BaseException):
    """Ends the other thread between two of its steps; no code of a user's network that handles errors is to handle it."""


class Meanwhile:
    """What is asked in the other thread."""

    def __init__(self, network: Network, questions: Sequence[Callable[[Network], object]]) -> None:
        self._network, self._questions = network, questions
        self._unwanted = threading.Event()
        self._thread = threading.Thread(target=self._ask, name="audit, meanwhile", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Wait until all is answered that will be."""
        while self._thread.is_alive():
            self._thread.join(0.1)  # so that Ctrl-C is heard

    def stop(self) -> None:
        """End it, after the step that it is at."""
        self._unwanted.set()
        self.wait()

    def _ask(self) -> None:
        import torch

        torch.set_num_threads(1)
        try:
            with listen(self._listener):
                for question in self._questions:
                    question(self._network)
        except _NoLongerWantedError:
            pass
        except Exception:  # noqa: BLE001
            pass  # the audit asks the same when its turn comes, and says what is the matter

    def _listener(self, description: str, total: float | None) -> AbstractContextManager[Advance]:
        @contextmanager
        def heard() -> Iterator[Advance]:
            yield self._advance

        return heard()

    def _advance(self, steps: float, words: str = "") -> None:
        if self._unwanted.is_set():
            raise _NoLongerWantedError


def _bytes(network: Network) -> int:
    return sum(weight.numel() * weight.element_size() for weight in network.module.parameters())


@contextmanager
def asking_meanwhile(network: Network, questions: Sequence[Callable[[Network], object]]) -> Iterator[Meanwhile | None]:
    """Have questions asked of a copy of a network for the time of a block; None where there is one processor, or no copy.

    Torch has one thread for each side meanwhile, of two; of more, this side has all but one.
    """
    import torch

    threads = torch.get_num_threads()
    pays = threads > 1 and network.device.type == "cpu" and _bytes(network) <= LARGEST
    copied_network = copied(network) if pays and questions else None
    if copied_network is None:
        yield None
        return
    torch.set_num_threads(threads - 1)
    meanwhile = Meanwhile(copied_network, questions)
    try:
        yield meanwhile
    finally:
        meanwhile.stop()
        torch.set_num_threads(threads)
