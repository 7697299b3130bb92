"""What is read of a layer: its answer, or what went into the ReLU that its answer comes out of; and what that leaves behind."""

import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import iconoscope as ico
from iconoscope.errors import NetworkError, UnitError
from iconoscope.subject import probe as probing
from iconoscope.subject.network.steadiness import Steadiness
from iconoscope.subject.probe import LOGITS, FunctionCalls, probe, tensors_in, watching
from iconoscope.subject.response import activations
from networks import half_in_training


class Part(nn.Module):
    """A layer that does with its input what it is told to."""

    def __init__(self, work):
        super().__init__()
        self.work = work

    def forward(self, x):
        return self.work(x)


class Around(nn.Module):
    def __init__(self, work):
        super().__init__()
        self.conv, self.part, self.unused = nn.Conv2d(3, 4, 3), Part(work), nn.Conv2d(3, 4, 3)

    def forward(self, x):
        answer = self.part(self.conv(x))
        return answer.mean((2, 3)) if isinstance(answer, torch.Tensor) else answer


def around(work) -> Any:
    torch.manual_seed(0)
    preprocessing = {"size": 8, "mean": (0.5,) * 3, "std": (0.25,) * 3, "crop": "none"}
    return ico.load_network(Around(work), preprocessing=preprocessing, classes=list("abcd"), device="cpu")


def read_of(network, layer="part", *, rectified, batch=None):
    batch = torch.randn(2, 3, 8, 8) if batch is None else batch
    with torch.no_grad(), probe(network, [layer], before_relu=not rectified) as read:
        return read(batch)[layer], network.module.conv(batch)


RELUS = {
    "F.relu": F.relu,
    "F.relu by name": lambda x: F.relu(input=x, inplace=False),
    "F.relu in place": lambda x: F.relu(x, inplace=True),
    "F.relu in place by position": lambda x: F.relu(x, True),
    "F.relu_": F.relu_,
    "torch.relu": torch.relu,
    "torch.relu_": torch.relu_,
    "method": lambda x: x.relu(),
    "method in place": lambda x: x.relu_(),
    "module": nn.ReLU(),
    "module in place": nn.ReLU(inplace=True),
    "then dropout that does nothing": lambda x: F.dropout(F.relu(x), training=False),
}


@pytest.mark.parametrize("name", RELUS)
def test_every_way_to_write_a_relu_is_read_before_it(name):
    found, before = read_of(around(RELUS[name]), rectified=False)
    assert float(before.min()) < 0 and torch.equal(found, before)


@pytest.mark.parametrize("name", RELUS)
def test_and_after_it_where_nobody_wishes_otherwise(name):
    found, before = read_of(around(RELUS[name]), rectified=True)
    assert torch.equal(found, before.relu())


@pytest.mark.parametrize("in_place", [True, False])
def test_relus_that_are_joined_count_as_one(in_place):
    """As in SqueezeNet's Fire."""

    def fire(x):
        one, other = x[:, :1].clone(), x[:, 1:].clone() * 2
        return torch.cat([F.relu(one, inplace=in_place), F.relu(other, inplace=in_place)], 1)

    found, before = read_of(around(fire), rectified=False)
    assert torch.equal(found, torch.cat([before[:, :1], before[:, 1:] * 2], 1))


NO_RELU_ANY_MORE = {
    "residual": lambda x: F.relu(x).__iadd__(x * 10),
    "scaled": lambda x: F.relu(x).mul_(3),
    "residual out of place": lambda x: F.relu(x) + x * 10,
    "a leaky one": lambda x: F.leaky_relu(x, 0.2),
    "pooled": lambda x: F.max_pool2d(F.relu(x), 2),
    "joined with something else": lambda x: torch.cat([F.relu(x), x * 2], 1),
    "joined after a change": lambda x: torch.cat([F.relu(x).add_(1), F.relu(x)], 1),
    "joined and changed": lambda x: torch.cat([F.relu(x), F.relu(x)], 1).add_(1),
}


@pytest.mark.parametrize("name", NO_RELU_ANY_MORE)
def test_what_is_no_relus_answer_is_read_as_it_is(name):
    """A residual network may add to a ReLU's answer in place; what is below zero there is not what the layer answers."""
    work = NO_RELU_ANY_MORE[name]
    found, before = read_of(around(work), rectified=False)
    assert torch.equal(found, work(before))


def test_an_assignment_to_a_part_is_a_change():
    def work(x):
        y = F.relu(x)
        y[:, :1] += 5
        return y

    found, before = read_of(around(work), rectified=False)
    assert torch.equal(found, work(before))


def test_a_gradient_comes_through_a_unit_that_is_off_only_before_its_relu():
    network = around(F.relu)
    nn.init.constant_(network.module.conv.bias, -100.0)
    for rectified in (True, False):
        batch = torch.zeros(1, 3, 8, 8, requires_grad=True)
        with probe(network, ["part"], before_relu=not rectified) as read:
            read(batch)["part"].sum().backward()
        assert batch.grad is not None
        assert bool(batch.grad.any()) is not rectified


def test_it_is_read_in_inference_mode_too():
    network = around(lambda x: torch.cat([F.relu(x), F.relu(x)], 1))
    with torch.inference_mode(), probe(network, ["part"], before_relu=True) as read:
        batch = torch.randn(2, 3, 8, 8)
        assert torch.equal(read(batch)["part"], network.module.conv(batch).repeat(1, 2, 1, 1))


def test_a_layer_that_is_used_twice_is_read_the_first_time():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 1)

        def forward(self, x):
            return self.conv(self.conv(x)).mean((2, 3))

    preprocessing = {"size": 4, "mean": (0.5,) * 3, "std": (0.25,) * 3, "crop": "none"}
    module = Twice()
    network = ico.load_network(module, preprocessing=preprocessing, classes=list("abc"), device="cpu")
    batch = torch.randn(2, 3, 4, 4)
    with torch.no_grad(), probe(network, ["conv", LOGITS]) as read:
        found = read(batch)
        assert torch.equal(found["conv"], module.conv(batch))
        assert torch.equal(found[LOGITS], module(batch))


def test_what_cannot_be_read_is_said():
    network = around(lambda x: {"a": x, "b": x})
    with probe(network, ["unused"]) as read, pytest.raises(NetworkError, match="unused was not reached"):
        read(torch.zeros(1, 3, 8, 8))
    with probe(network, ["part"]) as read, pytest.raises(UnitError, match="part answers a dict"):
        read(torch.zeros(1, 3, 8, 8))
    with probe(network, [LOGITS]) as read, pytest.raises(NetworkError, match="Around answers a dict of a:"):
        read(torch.zeros(1, 3, 8, 8))


def state(module):
    """All of a module that a question might leave changed."""
    return {
        "hooks": [name for name, part in module.named_modules() if part._forward_hooks or part._forward_pre_hooks],
        "forward": [name for name, part in module.named_modules() if "forward" in vars(part)],
        "training": [part.training for part in module.modules()],
        "gradients": [(value.requires_grad, value.grad is None) for value in module.parameters()],
        "strides": [value.stride() for value in module.parameters()],
        "values": [value.tolist() for value in module.state_dict().values()],
    }


def overwritten_before(x):
    """A ReLU that does not work in place, and what it was given is changed afterwards."""
    answer = F.relu(x)
    x.mul_(0).sub_(1)
    return answer


def joined_and_overwritten(x):
    answer = torch.cat([F.relu(x), torch.relu(-x)], 1)
    x.zero_()
    return answer


MODES = {"no_grad": torch.no_grad, "inference": torch.inference_mode, "grad": torch.enable_grad}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("passes", [1, 2])
def test_what_a_relu_was_given_is_read_though_it_is_changed_afterwards(mode, passes):
    for work in (overwritten_before, joined_and_overwritten):
        network = around(work)
        with MODES[mode]():
            batch = torch.randn(2, 3, 8, 8)
            with probe(network, ["part"], before_relu=True) as read:
                answers = [read(batch)["part"] for _ in range(passes)]
            before = network.module.conv(batch)
            before = before if work is overwritten_before else torch.cat([before, -before], 1)
            assert all(torch.equal(answer, before) for answer in answers)


@pytest.mark.parametrize("mode", MODES)
def test_what_is_changed_after_a_relu_is_no_relus_answer(mode):
    """As in a residual block; also in inference mode, where torch counts no changes."""

    def residual(x):
        answer = F.relu(x)
        answer += 2 * x
        return answer

    network = around(residual)
    with MODES[mode]():
        batch = torch.randn(2, 3, 8, 8)
        with probe(network, ["part"], before_relu=True) as read:
            answers = [read(batch)["part"] for _ in range(2)]
        before = network.module.conv(batch)
        assert all(torch.equal(answer, before.relu() + 2 * before) for answer in answers)


def test_what_was_read_before_a_relu_stays_as_it_was_read():
    """What follows may change it: the layer behind, or the next pass."""

    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.relu, self.last = nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Identity()

        def forward(self, x):
            maps = self.conv(x)
            answer = self.relu(maps)
            maps.fill_(7)
            return self.last(answer).mean((2, 3))

    torch.manual_seed(0)
    preprocessing = {"size": 8, "mean": (0.5,) * 3, "std": (0.25,) * 3, "crop": "none"}
    network = ico.load_network(Twice(), preprocessing=preprocessing, classes=list("abcd"), device="cpu")
    batch = torch.randn(2, 3, 8, 8)
    with torch.no_grad(), probe(network, ["relu", "last"], before_relu=True) as read:
        for _ in range(2):
            assert torch.equal(read(batch)["relu"], network.module.get_submodule("conv")(batch))


@pytest.mark.parametrize("error", [None, ZeroDivisionError, KeyboardInterrupt])
@pytest.mark.parametrize("inside", [True, False])
def test_nothing_is_left_behind_also_after_an_error_or_ctrl_c(error, inside):
    """Whether it comes while the network runs, or between two passes."""

    def work(x):
        if error and inside:
            raise error
        return F.relu(x)

    network = around(work)
    network._measured.append(Steadiness())  # as if it had been asked before
    before = state(network.module)
    expected = {None: (), ZeroDivisionError: (NetworkError, ZeroDivisionError), KeyboardInterrupt: KeyboardInterrupt}
    heard = []

    def question():
        with (
            network.questioned(),
            watching(network, ["conv"], heard.append, before_call=True),
            probe(network, ["part", LOGITS], before_relu=True) as read,
            FunctionCalls(lambda function, args, kwargs: function(*args, **kwargs)),
        ):
            read(torch.randn(1, 3, 8, 8))
            if error:
                raise error

    if error:
        with pytest.raises(expected[error]):
            question()
    else:
        question()
    assert len(heard) == 1 and heard[0].name == "conv" and heard[0].output is None
    assert state(network.module) == before
    assert not torch.overrides._get_current_function_mode_stack()
    with ThreadPoolExecutor(1) as other:  # and the lock is free
        assert (
            other.submit(lambda: network.logits(torch.zeros(1, 3, 8, 8)) if not (error and inside) else 0) is not None
        )


def test_a_hook_that_cannot_be_placed_takes_the_others_with_it():
    network = around(F.relu)
    with pytest.raises(AttributeError), watching(network, ["conv", "nowhere"], lambda call: None):
        pass
    assert not state(network.module)["hooks"]


def test_watching_hands_over_every_call():
    calls = []
    network = around(F.relu)
    with watching(network, ["conv", "part"], calls.append), torch.no_grad():
        for _ in range(2):
            network.run(torch.zeros(1, 3, 8, 8))
    assert [call.name for call in calls] == ["conv", "part"] * 2
    assert calls[1].inputs[0] is calls[0].output and torch.equal(calls[1].output, calls[0].output.relu())


def test_tensors_are_found_wherever_they_are():
    one, two, three = torch.zeros(3)
    assert [id(each) for each in tensors_in([one, (two, "text"), {"a": [three], "b": 2}])] == [
        *map(id, (one, two, three))
    ]


def test_where_torch_counts_no_changes_nothing_passes_for_a_relus_answer(monkeypatch):
    """The count is private to torch. Without it a layer is read as it answers."""

    class Uncounted:
        def is_inference(self):
            return False

    version = probing._version(Uncounted())  # pyright: ignore[reportArgumentType]
    assert np.isnan(version)
    monkeypatch.setattr(probing, "_version", lambda tensor: version)
    answer, before = read_of(around(F.relu), rectified=False)
    assert torch.equal(answer, before.relu())


THREADS = 8


def test_several_threads_may_ask_one_network(tmp_path):
    """Each is answered as if it were alone, and the module comes back as it was, in its half training mode."""
    module = half_in_training()
    preprocessing = {"size": 16, "mean": (0.5,) * 3, "std": (0.25,) * 3, "crop": "none"}
    network = ico.load_network(module, preprocessing=preprocessing, classes=list("abc"), device="cpu")
    images = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3), np.uint8)
    batch = network.preprocessing.normalise(images)

    def recorded(folder):
        return ico.record(network, images, layers=["5"], store=folder, workers=0).responses

    def of_layer(_):
        with network.questioned(), torch.inference_mode():
            return activations(network, batch, "1").numpy()

    jobs = [
        lambda _: ico.predict(network, images),
        lambda _: ico.occlude(network, images[0], "prob:b", patch=5, stride=4).occluded,
        lambda _: ico.occlude(network, images[1], "4:3", patch=5, stride=4, method="dense").occluded,
        lambda _: ico.optimize(network, "4:1", steps=3, seed=1).images,
        lambda _: ico.optimize(network, "logit:c", steps=3, seed=2).images,
        recorded,
        of_layer,
        lambda _: str(ico.layers(network)),
        lambda _: network.digest(),
    ]
    before = state(module)
    alone = [job(tmp_path / f"alone{number}") for number, job in enumerate(jobs)]
    assert state(module) == before
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(THREADS) as threads:
            order = [*range(len(jobs)), *reversed(range(len(jobs)))]
            futures = [(number, threads.submit(jobs[number], tmp_path / f"{at}")) for at, number in enumerate(order)]
            together = [(number, future.result()) for number, future in futures]
    finally:
        sys.setswitchinterval(interval)
    assert [number for number, answer in together if not np.array_equal(answer, alone[number])] == []
    assert state(module) == before


def test_only_what_is_asked_about_is_copied_after_the_first_pass(monkeypatch):
    """A ReLU in place elsewhere in the network costs nothing; the one in question still does."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Conv2d(4, 4, 3), nn.ReLU(inplace=True))
    preprocessing = {"size": 8, "mean": (0.5,) * 3, "std": (0.25,) * 3, "crop": "none"}
    network = ico.load_network(module, preprocessing=preprocessing, classes=list("abcd"), device="cpu")
    copies = []
    clone = torch.Tensor.clone
    monkeypatch.setattr(torch.Tensor, "clone", lambda self: copies.append(self.shape) or clone(self))
    batch = torch.randn(2, 3, 8, 8)
    with torch.no_grad(), probe(network, ["3"], before_relu=True) as read:
        first = read(batch)["3"]
        assert len(copies) == 2
        second = read(batch)["3"]
        assert len(copies) == 3 and torch.equal(first, second) and bool((first < 0).any())


def test_a_network_that_goes_another_way_is_read_again():
    """Which ReLU mattered is remembered from pass to pass; where another one does, everything is looked at anew."""
    told = {"long": False}

    def work(x):
        return F.relu((F.relu(x + 1) - 2) if told["long"] else x, inplace=True)

    network = around(work)
    with torch.no_grad(), probe(network, ["part"], before_relu=True) as read:
        batch = torch.randn(2, 3, 8, 8)
        before = network.module.conv(batch)
        assert torch.equal(read(batch)["part"], before)
        told["long"] = True
        assert torch.equal(read(batch)["part"], F.relu(before + 1) - 2)
        told["long"] = False
        assert torch.equal(read(batch)["part"], before)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_process_that_is_forked_while_a_thread_asks_can_ask_too():
    network = ico.load_network("cars", device="cpu")
    holds, ends = threading.Event(), threading.Event()

    def hold():
        with network.reserved():
            holds.set()
            ends.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    holds.wait(30)
    child = os.fork()
    if child == 0:
        with network.reserved():
            os._exit(0)
    deadline = time.monotonic() + 20
    status = None
    while status is None and time.monotonic() < deadline:
        finished, code = os.waitpid(child, os.WNOHANG)
        status = code if finished else time.sleep(0.02)
    if status is None:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    ends.set()
    thread.join()
    assert status == 0
