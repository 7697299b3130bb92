"""What the processor can do."""

import torch

from iconoscope.subject.processor import has_bfloat16


def test_where_torch_cannot_say_there_is_no_bfloat16(monkeypatch):
    assert has_bfloat16() in (True, False)
    monkeypatch.setattr(torch.ops, "mkldnn", object())
    assert has_bfloat16() is False
