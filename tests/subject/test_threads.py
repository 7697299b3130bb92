"""Several threads, one network: each is answered as if it were alone, and the module comes back as it was."""

import gc
import locale
import logging
import os
import random
import signal
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import PIL.Image
import pytest
import torch
from torch import nn

import iconoscope as ico
from iconoscope.errors import NetworkError
from iconoscope.occlusion.incremental import exact
from iconoscope.subject.network.reservation import parts_of, reserved
from iconoscope.subject.network.steadiness import Steadiness
from iconoscope.subject.response import activations
from iconoscope.warning_filters import ignoring
from networks import half_in_training

THREADS = 8
PREPROCESSING = {"size": 16, "mean": (0.5,) * 3, "std": (0.25,) * 3, "crop": "none"}
IMAGES = np.random.default_rng(0).integers(0, 256, (24, 16, 16, 3), np.uint8)


def backbone() -> nn.Sequential:
    module = half_in_training()
    module[8].bias.requires_grad_(False)
    weight = module.get_parameter("0.weight")
    weight.grad = torch.ones_like(weight)
    return module


def load(module: nn.Module) -> Any:
    return ico.load_network(module, preprocessing=PREPROCESSING, classes=list("abc"), device="cpu")


def state(*modules: nn.Module) -> Any:
    """Give all of a module that a question changes for its time."""
    inner = [part for module in modules for part in module.modules()]
    parameters = [parameter for module in modules for parameter in module.parameters()]
    return {
        "attributes": [sorted(vars(module)) for module in inner],
        "forward": [vars(module).get("forward") for module in inner],
        "compiled": [vars(module).get("_compiled_call_impl") for module in inner],
        "training": [module.training for module in inner],
        "hooks": [
            {name: dict(hooks) for name, hooks in vars(module).items() if name.endswith(("_hooks", "_with_kwargs"))}
            for module in inner
        ],
        "tensors": [(name, value.tolist()) for module in modules for name, value in module.state_dict().items()],
        "strides": [parameter.stride() for parameter in parameters],
        "memory": [parameter.data_ptr() for parameter in parameters],
        "requires_grad": [parameter.requires_grad for parameter in parameters],
        "grad": [None if parameter.grad is None else parameter.grad.tolist() for parameter in parameters],
    }


def of_process() -> dict[str, Any]:
    """Give what belongs to the whole process, and is nobody's to change."""
    return {
        "threads": torch.get_num_threads(),
        "grad": (torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.is_autocast_enabled("cpu")),
        "types": (torch.get_default_dtype(), torch.get_default_device()),
        "deterministic": (torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark),
        "mkldnn": torch.backends.mkldnn.enabled,
        "stance": str(getattr(sys.modules.get("torch._dynamo.eval_frame"), "_stance", "")).partition(" object at")[0],
        "modes": len(torch.overrides._get_current_function_mode_stack()),
        "global hooks": bool(torch.nn.modules.module._has_any_global_hook()),
        "random": (torch.get_rng_state().tolist(), str(np.random.get_state()), random.getstate()),
        "warnings": (list(warnings.filters), warnings.showwarning),
        "figures": (dict(mpl.rcParams), mpl.get_backend()),
        "environment": dict(os.environ),
        "logging": (logging.root.level, len(logging.root.handlers), logging.getLogger("huggingface_hub").level),
        "limits": (sys.getrecursionlimit(), PIL.Image.MAX_IMAGE_PIXELS, gc.isenabled()),
        "signals": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)],
        "locale": locale.setlocale(locale.LC_ALL),
        "folder": Path.cwd(),
    }


def of_attribution(method):
    return lambda network, folder: (
        ico.attribute(network, IMAGES[0], "logit:b", method=f"captum:{method}", steps=None).values
    )


def recorded(network, folder):
    return ico.record(network, IMAGES, layers=["2", "5"], store=folder, workers=0, k=5)


def explained(network, folder):
    map_of_image = np.arange(256, dtype=np.float32).reshape(16, 16)
    return ico.faithfulness(network, IMAGES[0], map_of_image, unit="prob:b", steps=5).results[0].deletion


def audited(network, folder):
    images = ico.load_images(IMAGES, labels=[list("abc")[number % 3] for number in range(24)])
    return str(ico.audit(network, images, families=(), store=folder).to_json()).replace(str(folder), "")


def drawn(network, folder):
    occlusion = ico.occlude(network, IMAGES[0], "prob:b", patch=8, stride=8)
    return occlusion.save(folder.with_suffix(".svg")).read_bytes()


def in_batch(network, folder):
    with network.questioned(), torch.inference_mode():
        return activations(network, network.preprocessing.normalise(IMAGES), "1").numpy()


QUESTIONS = {
    "predict": lambda network, folder: ico.predict(network, IMAGES),
    "layers": lambda network, folder: str(ico.layers(network)),
    "digest": lambda network, folder: network.digest(),
    "activations": in_batch,
    "dense": lambda network, folder: ico.occlude(network, IMAGES[0], "4:3", patch=5, stride=4, method="dense").occluded,
    "exact": lambda network, folder: ico.occlude(network, IMAGES[0], "prob:b", patch=5, stride=4).occluded,
    "fast": lambda network, folder: ico.occlude(network, IMAGES[0], "prob:b", patch=5, stride=4, method="fast").occluded,
    "refine": lambda network, folder: [*ico.refine(network, IMAGES[0], "prob:b", patch=8, stride=2)][-1].occluded,
    **{
        name: of_attribution(name)
        for name in ("IntegratedGradients", "GuidedBackprop", "DeepLift", "SmoothGrad", "GradientShap", "LayerGradCam")
    },
    "faithfulness": explained,
    "optimize": lambda network, folder: ico.optimize(network, "4:1", steps=3, seed=1).images,
    "optimize, compared": lambda network, folder: ico.optimize(network, "logit:c", steps=3, compare=IMAGES[:4], cap=1.2).images,
    "interpolate": lambda network, folder: ico.optimize(network, ico.interpolate("4:1", "4:2", 3), steps=2).images,
    "dream": lambda network, folder: ico.dream(network, IMAGES[0], "4", octaves=2, steps=2, size=64).images,
    "record": lambda network, folder: recorded(network, folder).responses,
    "top": lambda network, folder: ico.top_images(recorded(network, folder), "5:1", k=3).values,
    "find": lambda network, folder: ico.find_units(recorded(network, folder), np.arange(24) < 12, name="first").auc,
    "map": lambda network, folder: ico.map_images(recorded(network, folder), method="pca").points,
    "activation_maps": lambda network, folder: ico.activation_maps(network, IMAGES[0], "5").maps,
    "first_filters": lambda network, folder: ico.first_filters(network).filters,
    "audit": audited,
    "figure": drawn,
}  # fmt: skip
"""A question of each kind, to a network, with a folder of its own."""


def shared_in_all_ways() -> tuple[dict[str, Any], nn.Module]:
    """Give networks that share modules of one, and this one."""
    module = backbone()

    compiled: Any = torch.compile(module, backend="eager")
    body, heads = module[:8], (nn.Linear(8, 3), nn.Linear(8, 3))
    networks = {
        "itself": load(module),
        "a second network": load(module),
        "compiled": load(nn.Sequential(compiled)),
        "wrapped": load(nn.Sequential(module)),
        "one head": load(nn.Sequential(body, heads[0])),
        "the other head": load(nn.Sequential(body, heads[1])),
    }  # fmt: skip
    return networks, module


class Hiding(nn.Module):
    """A wrapper that torch does not know to have a module in it."""

    def __init__(self, module):
        super().__init__()
        self.networks = [module]

    def forward(self, batch):
        return self.networks[0](batch)


@contextmanager
def often_switched():
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        yield
    finally:
        sys.setswitchinterval(interval)


def together(questions, tmp_path):
    """Ask all questions, and again in the opposite order, from `THREADS` threads; give the answers with their names."""
    with often_switched(), ThreadPoolExecutor(THREADS) as threads:
        order = [*questions, *reversed(questions)]
        futures = [(name, threads.submit(questions[name], tmp_path / f"{at}")) for at, name in enumerate(order)]
        return [(name, future.result()) for name, future in futures]


def unlike(answers, alone):
    return [name for name, answer in answers if not np.array_equal(answer, alone[name])]


@pytest.fixture(autouse=True)
def _one_thread_each(monkeypatch):
    monkeypatch.setattr(exact, "LEAST_WORK", 0)  # so that the incremental engine runs
    monkeypatch.setattr(exact, "LEAST_GAIN", 0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_every_kind_of_question_from_several_threads(tmp_path):
    module = backbone()
    network = load(module)
    before = state(module)
    questions = {name: lambda folder, ask=ask: ask(network, folder) for name, ask in QUESTIONS.items()}
    alone = {name: ask(tmp_path / f"alone {name}") for name, ask in questions.items()}
    assert state(module) == before
    of_all = of_process()
    assert unlike(together(questions, tmp_path), alone) == []
    assert state(module) == before
    after = of_process()
    assert [name for name in of_all if of_all[name] != after[name]] == []


@pytest.mark.parametrize("name", QUESTIONS)
def test_no_question_touches_what_is_the_processs(name, tmp_path):
    network = load(backbone())
    QUESTIONS[name](network, tmp_path / "first")  # libraries are imported, and caches filled
    before, of_module = of_process(), state(network.module)
    QUESTIONS[name](network, tmp_path / "second")
    after = of_process()
    assert [part for part in before if before[part] != after[part]] == []
    assert state(network.module) == of_module


def test_the_incremental_engine_runs_in_these_questions():
    for method in ("exact", "fast"):
        assert ico.occlude(load(backbone()), IMAGES[0], "prob:b", patch=5, stride=4, method=method).plan.startswith(
            method
        )


def test_networks_that_share_a_module_wait_for_each_other(tmp_path):
    networks, module = shared_in_all_ways()
    heads = [network.module for name, network in networks.items() if "head" in name]
    before = state(module, *heads)
    names = ("predict", "exact", "optimize", "record", "GuidedBackprop", "activation_maps")
    questions = {
        f"{kind}, {name}": lambda folder, ask=QUESTIONS[kind], network=network: ask(network, folder)
        for kind in names
        for name, network in networks.items()
        if kind in ("predict", "GuidedBackprop") or name not in ("compiled", "wrapped", "hidden in a list")
    }  # fmt: skip
    alone = {name: ask(tmp_path / f"alone {name}") for name, ask in questions.items()}
    assert state(module, *heads) == before
    assert unlike(together(questions, tmp_path), alone) == []
    assert state(module, *heads) == before


def test_all_that_is_in_a_module_is_a_part_of_it():
    inner, buffer = nn.Linear(2, 2), torch.zeros(3)

    class Around(nn.Module):
        def __init__(self, **attributes):
            super().__init__()
            for name, value in attributes.items():
                setattr(self, name, value)

    def closed_over(batch):
        return inner(batch)

    attributes = [
        inner, [inner], {"key": (inner,)}, closed_over, inner.forward, partial(inner), {inner}, lambda: [closed_over],
        inner.weight, [buffer],
    ]  # fmt: skip
    for number, value in enumerate(attributes):
        parts = parts_of(Around(value=value, numbers=[0.0] * 100_000, itself=[]))
        assert (id(buffer) if number == 9 else id(inner.weight)) in parts, number


def test_a_module_may_be_looked_through_while_another_thread_asks_it(request):
    """A question adds hooks, and a network may keep in its attributes what it computed."""
    module, done = nn.Sequential(*(nn.Identity() for _ in range(300))), threading.Event()
    request.addfinalizer(partial(sys.setswitchinterval, sys.getswitchinterval()))
    sys.setswitchinterval(1e-6)

    def ask():
        while not done.is_set():
            hooks = [layer.register_forward_hook(print) for layer in module]
            for layer in module:
                layer.features = torch.zeros(1)
            for layer, hook in zip(module, hooks, strict=True):
                hook.remove()
                del layer.features

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        for _ in range(100):
            assert id(module[-1]) in parts_of(module)
    finally:
        done.set()
        asking.join()


def test_unrelated_networks_do_not_wait():
    one, two = load(backbone()), load(backbone())
    with ThreadPoolExecutor(1) as thread, one.reserved():
        assert thread.submit(ico.predict, two, IMAGES[:1]).result(20).shape == (1, 3)


def test_two_threads_that_wait_for_each_other_are_told():
    one, two = nn.Linear(1, 1), nn.Linear(1, 1)
    both = threading.Barrier(2)
    outcomes = []

    def ask(first, second):
        try:
            with reserved(first):
                both.wait(20)
                with reserved(second):
                    outcomes.append("answered")
        except NetworkError as error:
            outcomes.append(str(error))

    threads = [threading.Thread(target=ask, args=pair, daemon=True) for pair in ((one, two), (two, one))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(outcome[:26] for outcome in outcomes) == ["Two threads wait for each ", "answered"]
    with reserved(one), reserved(two):
        pass


class Interrupting(nn.Module):
    """It stands among layers, and raises at one of its calls."""

    def __init__(self, error, call):
        super().__init__()
        self.error, self.call = error, call

    def forward(self, batch):
        CALLS.count += 1
        if CALLS.count == self.call:
            raise self.error
        return batch


CALLS = threading.local()
"""How often it was called: a number of the thread, nothing that belongs to the module."""


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
@pytest.mark.parametrize("call", [1, 2, 4])
def test_an_error_in_the_middle_leaves_nothing_behind(error, call, tmp_path):
    """Neither on the module, nor in the process, nor a lock."""
    module = backbone()
    layers = [*module]
    network = load(nn.Sequential(*layers[:6], Interrupting(error, call), *layers[6:]))
    network.notice_changes()
    network._measured.append(Steadiness())  # as if it had been asked before
    questions = {name: ask for name, ask in QUESTIONS.items() if name not in ("digest", "first_filters")}
    before, of_all = state(network.module), of_process()
    raised = 0
    for name, ask in questions.items():
        CALLS.count = 0
        try:
            ask(network, tmp_path / name)
        except (ico.IconoscopeError, KeyboardInterrupt):
            raised += 1
        assert state(network.module) == before, name
    after = of_process()
    assert [name for name in of_all if of_all[name] != after[name]] == []
    assert raised > len(questions) / 4  # a network that fails while it is captured is asked plainly, and fails no more
    with ThreadPoolExecutor(1) as thread:
        thread.submit(network.digest).result(20)


def test_warnings_are_ignored_by_one_thread_alone_and_the_filters_come_back():
    before = list(warnings.filters)
    ignores, ends = threading.Event(), threading.Event()

    def ignore():
        with ignoring("something"):
            warnings.warn("Something else", stacklevel=1)
            ignores.set()
            ends.wait(20)

    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        thread = threading.Thread(target=ignore)
        thread.start()
        ignores.wait(20)
        with warnings.catch_warnings():  # begins while the other thread's filter is there, and ends after it has gone
            warnings.warn("something", stacklevel=1)
            ends.set()
            thread.join(20)
        assert [str(warning.message) for warning in heard] == ["something"]
        assert not any(type(text).__name__ == "_TextOfOneThread" for _, text, *_ in warnings.filters)
    assert warnings.filters == before
