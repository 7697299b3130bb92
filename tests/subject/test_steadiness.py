"""Networks whose answer to an image depends on the others of a batch, or on chance: found, said, and answered or refused."""

import random
import time
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import iconoscope as ico
from iconoscope.errors import IconoscopeWarning, NetworkError
from iconoscope.subject.response import activations

PREPROCESSING = {"size": 16, "mean": (0.5,) * 3, "std": (0.25,) * 3, "crop": "none"}
IMAGES = np.random.default_rng(0).integers(0, 256, (12, 16, 16, 3), np.uint8)
IMAGES = (IMAGES * np.linspace(0.2, 1, 12)[:, None, None, None]).astype(np.uint8)


def layers(norm: nn.Module | None = None) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), norm or nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 8, 3),
        nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3),
    )  # fmt: skip


class Around(nn.Module):
    """A network that does something with the batch before its layers, and something with their answer."""

    def __init__(self, before=None, after=None, **attributes):
        super().__init__()
        self.layers = layers()
        self.before, self.after = before, after
        for name, value in attributes.items():
            if isinstance(value, torch.Tensor):
                self.register_buffer(name, value)
            else:
                setattr(self, name, value)

    def forward(self, batch):
        batch = batch if self.before is None else self.before(self, batch)
        answer = self.layers(batch)
        return answer if self.after is None else self.after(self, answer)


class AlwaysTraining(nn.BatchNorm2d):
    def train(self, mode=True):
        return super().train(True)


class Hidden(nn.Module):
    def __init__(self, module):
        super().__init__()
        self.parts = [module]

    def forward(self, batch):
        return self.parts[0](batch)


def dynamically_quantised():
    class Flat(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.layers = nn.Sequential(nn.Flatten(), nn.Linear(768, 32), nn.ReLU(), nn.Linear(32, 3))

        def forward(self, batch):
            return self.layers(batch)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.ao.quantization.quantize_dynamic(Flat(), {nn.Linear}, dtype=torch.qint8)


def of_one_image_alone(self, batch):
    if len(batch) > 1:
        raise ValueError("one image, please")
    return batch


def counted(self, answer):
    self.passes += 1
    return answer + self.passes


SINGLY = {
    "norms of the batch": lambda: layers(nn.BatchNorm2d(6, track_running_stats=False)),
    "a norm that stays in training": lambda: layers(AlwaysTraining(6)),
    "hidden from eval()": lambda: Hidden(layers().train()),
    "brightness of the batch": lambda: Around(lambda self, batch: batch - batch.mean()),
    "range of the batch": lambda: Around(lambda self, batch: batch / batch.abs().max()),
    "a branch on the batch": lambda: Around(lambda self, batch: batch if bool(batch.mean() > 0) else -batch),
    "its length": lambda: Around(lambda self, batch: batch * (1 if len(batch) == 1 else 0.5)),
    "softmax over the batch": lambda: Around(after=lambda self, answer: answer.softmax(0)),
    "neighbours": lambda: Around(lambda self, batch: batch + 0.5 * batch.roll(1, 0)),
    "dynamic quantisation": dynamically_quantised,
    "one image alone": lambda: Around(of_one_image_alone),
}
"""Networks that answer every image alone, and always in the same way."""

REFUSED = {
    "dropout": lambda: Around(after=lambda self, answer: F.dropout(answer, 0.5)),
    "dropout of maps": lambda: Around(lambda self, batch: F.dropout2d(batch, 0.1)),
    "noise": lambda: Around(lambda self, batch: batch + 0.1 * torch.randn_like(batch)),
    "numpy's numbers": lambda: Around(after=lambda self, answer: answer * np.random.uniform()),
    "Python's numbers": lambda: Around(after=lambda self, answer: answer * random.random()),
    "the time": lambda: Around(after=lambda self, answer: answer + time.perf_counter_ns() % 1000),
    "a count": lambda: Around(after=counted, passes=0),
    "a count in a buffer": lambda: Around(after=counted, passes=torch.zeros(())),
    "hidden dropout": lambda: Hidden(nn.Sequential(layers().eval(), nn.Dropout(0.5))),
    "the first answer again": lambda: Around(after=lambda self, answer: vars(self).setdefault("first", answer)),
    "by shape": lambda: Around(after=lambda self, answer: self.answers.setdefault(answer.shape, answer), answers={}),
    "a batch alone": lambda: nn.Sequential(layers(), nn.BatchNorm1d(3, track_running_stats=False)),
    "stochastic depth": lambda: Around(after=lambda self, answer: answer * float(torch.rand(()) > 0.2)),
}  # fmt: skip
"""Networks that have no one answer to an image."""

STEADY = {
    "plain": layers,
    "instance norm": lambda: layers(nn.InstanceNorm2d(6)),
    "group norm": lambda: layers(nn.GroupNorm(2, 6)),
    "dropout that is off": lambda: nn.Sequential(layers(), nn.Dropout(0.5)),
    "half precision": lambda: layers().half(),
    "bfloat16": lambda: layers().bfloat16(),
    "double": lambda: layers().double(),
    "sixteen bits inside": lambda: Around(lambda self, batch: batch.bfloat16().float()),
    "a buffer that counts": lambda: Around(lambda self, batch: batch * bool(self.passes.add_(1)), passes=torch.zeros(())),
    "random numbers that do nothing": lambda: Around(lambda self, batch: batch + 0 * torch.randn_like(batch)),
    "a cache by size": lambda: Around(lambda self, batch: batch + vars(self).setdefault("grid", torch.ones(16, 16))),
    "NaN": lambda: Around(after=lambda self, answer: answer * float("nan")),
}  # fmt: skip


def load(module: nn.Module) -> Any:
    return ico.load_network(module, preprocessing=PREPROCESSING, classes=list("abc"), device="cpu")


def alone(network, images):
    """Ask a module in evaluation mode about one image after another, by itself."""
    network.module.eval()
    with torch.no_grad():
        batch = network.preprocessing.normalise(images)
        return torch.cat([network.module(image.to(network.fitted(image[None]).dtype)) for image in batch.split(1)])


@pytest.mark.parametrize("name", SINGLY)
def test_what_depends_on_the_batch_is_answered_one_by_one_by_every_technique(name, tmp_path):
    network = load(SINGLY[name]())
    module = network.module
    before = {key: value.clone() for key, value in module.named_buffers()}
    with pytest.warns(IconoscopeWarning, match="It is asked one image at a time"):
        probabilities = ico.predict(network, IMAGES, batch=5)
    assert network.singly
    after = dict(module.named_buffers())
    assert all(torch.equal(value, after[key]) for key, value in before.items())
    answers = alone(network, IMAGES)
    assert np.abs(probabilities - answers.softmax(1).numpy()).max() < 1e-6
    for method in ("dense", "exact", "fast"):
        occlusion = ico.occlude(network, IMAGES[0], "prob:b", patch=8, stride=4, method=method, fill="zero")
        assert network.singly in occlusion.plan
        covered = network.preprocessing.normalise(IMAGES[:1]).repeat(2, 1, 1, 1)
        covered[0, :, : 8, : 8], covered[1, :, 8:, 8:] = 0, 0  # fmt: skip
        with torch.no_grad():
            expected = torch.cat([module(picture) for picture in covered.split(1)]).softmax(1).numpy()
        corners = [occlusion.occluded[occlusion.top == at][:, occlusion.left == at] for at in (0, 8)]
        for corner, answer in zip(corners, expected, strict=True):
            assert np.abs(corner[0, 0] - answer).max() < 1e-6
    if name == "dynamic quantisation":  # it has no gradients, and no maps
        return
    recording = ico.record(network, IMAGES, store=tmp_path, workers=0, k=4, batch=5)
    logits = recording.responses[:, -3:]
    assert np.abs(logits - answers.numpy()).max() < 1e-5
    pictures = [ico.optimize(network, f"logit:{one}", steps=3, seed=1).images for one in "ab"]
    together = ico.optimize(network, ["logit:a", "logit:b"], steps=3, seed=1).images
    assert np.array_equal(np.concatenate(pictures), together)
    images = ico.load_images(IMAGES, labels=[list("abc")[number % 3] for number in range(12)])
    assert ico.audit(network, images, families=()).classes


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_one_answer_is_refused_with_words_by_every_technique(name, tmp_path):
    network = load(REFUSED[name]())
    states = torch.get_rng_state(), np.random.get_state(), random.getstate()
    questions = (
        lambda: ico.predict(network, IMAGES),
        lambda: ico.occlude(network, IMAGES[0], "prob:b", patch=8),
        lambda: ico.occlude(network, IMAGES[0], "prob:b", patch=8, method="dense"),
        lambda: ico.optimize(network, "logit:a", steps=1),
        lambda: ico.record(network, IMAGES, store=tmp_path, workers=0),
        lambda: ico.attribute(network, IMAGES[0], "logit:a", method="captum:Saliency"),
        lambda: ico.audit(network, ico.load_images(IMAGES, labels=list("abcabcabcabc"))),
    )
    for ask in questions:
        with pytest.raises(NetworkError, match="has no one answer to an image"):
            ask()
    assert torch.equal(states[0], torch.get_rng_state()) and random.getstate() == states[2]
    assert str(states[1]) == str(np.random.get_state())
    if name != "a batch alone":
        assert ico.layers(network) is not None  # what layers there are is no matter of chance


@pytest.mark.parametrize("name", STEADY)
def test_rounding_is_no_reason(name):
    network = load(STEADY[name]())
    with warnings.catch_warnings():
        warnings.simplefilter("error", IconoscopeWarning)
        with network.questioned():
            assert not network.singly


@pytest.mark.parametrize("name", ["a buffer that counts"])
def test_what_a_pass_changes_is_put_back_after_every_question(name):
    network = load(STEADY[name]())
    for _ in range(2):
        ico.predict(network, IMAGES)
        assert float(network.module.passes) == 0


def test_statistics_of_a_norm_that_stays_in_training_come_back():
    network = load(layers(AlwaysTraining(6)))
    before = {name: value.clone() for name, value in network.module.state_dict().items()}
    with pytest.warns(IconoscopeWarning, match="stays in training mode"):
        ico.occlude(network, IMAGES[0], "prob:b", patch=8)
    with pytest.raises(KeyboardInterrupt), network.questioned():
        network.answer(network.blank())
        raise KeyboardInterrupt
    assert all(torch.equal(value, before[name]) for name, value in network.module.state_dict().items())


def test_layers_of_a_network_that_is_asked_one_by_one_are_read_one_by_one():
    network = load(SINGLY["norms of the batch"]())
    with pytest.warns(IconoscopeWarning), network.questioned(), torch.inference_mode():
        batch = network.preprocessing.normalise(IMAGES)
        together = activations(network, batch, "1")
        assert torch.equal(together, torch.cat([activations(network, image, "1") for image in batch.split(1)]))
    attributed = ico.attribute(network, IMAGES[0], "logit:a", method="captum:IntegratedGradients", steps=20)
    assert (
        abs(attributed.completeness)
        < 0.2 * abs(float(attributed.clean[0]) - float(attributed.baseline_answer or 0)) + 0.05
    )
    with pytest.raises(NetworkError, match="together"):
        ico.attribute(network, IMAGES[0], "logit:a", method="captum:DeepLift")


def test_it_is_measured_once_and_not_when_a_network_is_loaded(monkeypatch):
    passes: list[int] = []
    network = load(layers())
    run = type(network)._run
    monkeypatch.setattr(type(network), "_run", lambda self, batch: passes.append(len(batch)) or run(self, batch))
    assert passes == []
    ico.predict(network, IMAGES[:1])
    assert passes == [2, 1, 1, 1]
    ico.predict(network, IMAGES[:1])
    assert passes == [2, 1, 1, 1, 1]
    with torch.no_grad():
        network.module[0].weight.mul_(2)
    ico.predict(network, IMAGES[:1])
    assert passes == [2, 1, 1, 1, 1, 1]


LATER = {
    "predict": lambda network, folder: ico.predict(network, IMAGES),
    "occlude": lambda network, folder: ico.occlude(network, IMAGES[0], "prob:b", patch=8),
    "optimize": lambda network, folder: ico.optimize(network, "logit:a", steps=1),
    "record": lambda network, folder: ico.record(network, IMAGES, store=folder, workers=0),
    "attribute": lambda network, folder: ico.attribute(network, IMAGES[0], "logit:a", method="captum:Saliency"),
    "audit": lambda network, folder: ico.audit(network, ico.load_images(IMAGES, labels=list("abcabcabcabc")), families=()),
}  # fmt: skip


@pytest.mark.parametrize("question", LATER)
def test_what_comes_later_is_measured_too(question, tmp_path):
    network = load(Around(rate=0.0, after=lambda self, answer: F.dropout(answer, self.rate)))
    ico.predict(network, IMAGES)
    handle = network.module.layers[0].register_forward_hook(lambda module, given, answer: F.dropout(answer, 0.5))
    with pytest.raises(NetworkError, match="has no one answer to an image"):
        LATER[question](network, tmp_path)
    handle.remove()
    handle = network.module.layers[0].register_forward_hook(lambda module, given, answer: answer - answer.mean())
    with pytest.warns(IconoscopeWarning, match="It is asked one image at a time"):
        LATER[question](network, tmp_path)
    handle.remove()
    ico.predict(network, IMAGES)
    assert not network.singly
    network.module.rate = 0.5
    with pytest.raises(NetworkError, match="has no one answer to an image"):
        LATER[question](network, tmp_path)
