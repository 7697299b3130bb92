"""Operations are handed over one by one, also under a torch that has no mode of its dispatcher, which is private."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from iconoscope.occlusion.rectifiers import count_uses
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


def test_uses_are_counted_however_they_are_written():
    layers = nn.ModuleList([nn.ReLU(), nn.ReLU(inplace=True), nn.MaxPool2d(2)])

    def run():
        x = torch.randn(1, 2, 8, 8)
        for layer in layers:
            x = layer(x)
        return F.max_pool2d(torch.relu_(F.relu(x.clone()).relu()), 2)

    with torch.no_grad():
        assert count_uses(run) == {nn.ReLU: 5, nn.MaxPool2d: 2}
