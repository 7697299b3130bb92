"""Operations are handed over one by one, also under a torch that has no mode of its dispatcher, which is private."""

import pytest
import torch

from iconoscope.subject import dispatcher
from iconoscope.subject.dispatcher import operation_calls


@pytest.fixture(params=["dispatcher", "functions"], autouse=True)
def _seen_by(request, monkeypatch):
    if request.param == "functions":
        monkeypatch.setattr(dispatcher, "TorchDispatchMode", None)


def test_what_a_handler_gives_stands_for_the_answer():
    def handler(operation, args, kwargs):
        answer = operation(*args, **kwargs)
        return answer + 1 if isinstance(answer, torch.Tensor) and answer.is_floating_point() else answer

    one = torch.ones(2)
    with operation_calls(handler):
        three = torch.add(one, one)
    assert three.tolist() == [3, 3] and torch.add(one, one).tolist() == [2, 2]
