"""What networks answer, and in what state they are given: read for what it means, or refused with what to do."""

from collections import OrderedDict, namedtuple
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

import iconoscope as ico
from iconoscope.errors import ImagesError, NetworkError, QuestionError
from iconoscope.occlusion.incremental import exact as exact_engine

CLASSES = ["owl", "newt", "carp"]
RGB = {"size": 16, "mean": (0.5, 0.4, 0.3), "std": (0.2, 0.25, 0.3), "crop": "none"}


@pytest.fixture(autouse=True)
def always_incremental(monkeypatch):
    monkeypatch.setattr(exact_engine, "LEAST_WORK", 0.0)


@pytest.fixture
def pictures():
    return np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3), dtype=np.uint8)


def convolutional(outputs=3, channels=3, *after):
    torch.manual_seed(0)
    module = nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(channels, 8, 3, padding=1),
            norm=nn.BatchNorm2d(8),
            relu=nn.ReLU(),
            conv2=nn.Conv2d(8, 6, 3, stride=2, padding=1),
            relu2=nn.ReLU(),
            pool=nn.AdaptiveAvgPool2d(1),
            flat=nn.Flatten(),
            head=nn.Linear(6, outputs),
            **{f"after{place}": each for place, each in enumerate(after)},
        )
    )
    for name, value in module.state_dict().items():
        if name in ("norm.running_mean", "head.weight"):
            value.normal_(std=0.1 if "norm" in name else 3)
    return module


def load(module, classes=CLASSES, preprocessing=RGB, **settings):
    return ico.load_network(module, classes=classes, preprocessing=preprocessing, device="cpu", **settings)


def everything(network, pictures, tmp_path, unit="conv2:3", name=None):
    """Ask in all three ways; give what can be compared."""
    last = network.classes[-1]
    dense, exact = (
        ico.occlude(network, pictures, f"prob:{last}", patch=6, stride=3, method=method)[0]
        for method in ("dense", "exact")
    )
    np.testing.assert_allclose(exact.occluded, dense.occluded, atol=2e-3 if network.name == "half" else 1e-5)
    made = ico.optimize(network, [unit, f"prob:{last}"], steps=12, seed=0)
    assert (made.objective[:, -1] > made.objective[:, 0]).all()
    recording = ico.record(network, pictures, store=tmp_path / (name or "run"), k=2)
    assert recording.vectors("probabilities") == pytest.approx(ico.predict(network, pictures), abs=2e-3)
    assert len(ico.top_images(recording, f"logit:{last}", 2).ids) > 1
    return dense.occluded, made.objective[1], np.asarray(recording.responses)


class Wrapped(nn.Module):
    def __init__(self, answer):
        super().__init__()
        self.inner, self.answer = convolutional(), answer

    def forward(self, x):
        return self.answer(self.inner(x))


@dataclass
class Answer:
    logits: torch.Tensor
    loss: None = None


Named = namedtuple("Named", "features output")


@pytest.mark.parametrize(
    "answer",
    [
        lambda logits: {"features": logits[:, :1], "logits": logits},
        lambda logits: {"any name": logits},
        lambda logits: (logits, None),
        lambda logits: [logits[:, :2], logits],
        Answer,
        lambda logits: Named(logits[:, :1], logits),
    ],
    ids=["dict", "dict of one", "tuple", "list", "dataclass", "named tuple"],
)
def test_logits_are_found_in_what_networks_answer(answer, pictures, tmp_path):
    plain = everything(load(convolutional()), pictures, tmp_path, name="plain")
    found = everything(load(Wrapped(answer)), pictures, tmp_path, "inner.conv2:3", name="wrapped")
    for one, other in zip(plain, found, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_where_no_logits_are_it_is_said_what_is_there(pictures):
    with pytest.raises(NetworkError, match=r"answers a dict of boxes: \(6, 2\), masks: \(6, 1\)"):
        ico.predict(load(Wrapped(lambda logits: {"boxes": logits[:, :2], "masks": logits[:, :1]})), pictures)


def test_one_output_for_two_classes_is_a_sigmoid(pictures, tmp_path):
    module = convolutional(1)
    network = load(module, ["whole", "scratched"])
    assert network.activation == "sigmoid"
    found = ico.predict(network, pictures)
    with torch.no_grad():
        wanted = module.eval()(network.preprocessing.normalise(pictures)).sigmoid()[:, 0].numpy()
    np.testing.assert_allclose(found, np.stack([1 - wanted, wanted], 1), atol=1e-6)
    everything(network, pictures, tmp_path)
    less, more = (ico.optimize(network, f"logit:{name}", steps=20, seed=0) for name in ("whole", "scratched"))
    assert "whole" in network.names
    assert less.activation[0] > -more.activation[0]
    named = load(convolutional(1), ["scratched"])
    assert named.classes == ("not scratched", "scratched")


def test_probabilities_that_a_network_makes_itself_are_not_made_twice(pictures, tmp_path):
    plain = ico.predict(load(convolutional()), pictures)
    softened = load(convolutional(3, 3, nn.Softmax(1)))
    np.testing.assert_allclose(ico.predict(softened, pictures), plain, atol=1e-6)
    assert softened.ending == "softmax"
    everything(softened, pictures, tmp_path, name="softmax")
    single = load(convolutional(1, 3, nn.Sigmoid()), ["whole", "scratched"])
    bare = load(convolutional(1), ["whole", "scratched"])
    np.testing.assert_allclose(ico.predict(single, pictures), ico.predict(bare, pictures), atol=1e-6)
    everything(single, pictures, tmp_path, name="sigmoid")


def test_a_network_of_several_labels(pictures, tmp_path):
    module = convolutional()
    network = load(module, activation="sigmoid")
    with torch.no_grad():
        wanted = module.eval()(network.preprocessing.normalise(pictures)).sigmoid().numpy()
    np.testing.assert_allclose(ico.predict(network, pictures), wanted, atol=1e-6)
    everything(network, pictures, tmp_path)
    assert network.classes_digest != load(convolutional()).classes_digest
    with pytest.raises(QuestionError, match="activation='tanh' is not a choice"):
        load(convolutional(), activation="tanh")


def test_grey_input_is_the_brightness_of_the_picture(pictures, tmp_path):
    module = convolutional(3, 1)
    network = load(module, preprocessing={**RGB, "mean": (0.4,), "std": (0.2,)})
    from PIL import Image

    grey = np.stack([np.asarray(Image.fromarray(each).convert("L")) for each in pictures])
    with torch.no_grad():
        wanted = module.eval()((torch.from_numpy(grey)[:, None] / 255 - 0.4) / 0.2).softmax(1)
    np.testing.assert_allclose(ico.predict(network, pictures), wanted.numpy(), atol=0.02)  # Pillow rounds to 8 bits
    everything(network, pictures, tmp_path)
    for fill in ("black", "mean", "patch-mean", "blur", "noise"):
        found = ico.occlude(network, pictures[0], patch=6, stride=5, fill=fill)
        assert found.picture.shape == (16, 16, 3)
    assert ico.optimize(network, "logit:owl", steps=2).images.shape == (1, 16, 16, 1)
    assert ico.optimize(network, "logit:owl", steps=2, start=pictures[0]).images.shape == (1, 16, 16, 1)


def test_four_channels_are_those_of_the_image(tmp_path):
    bands = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 4), dtype=np.uint8)
    module = convolutional(3, 4)
    settings = {**RGB, "mean": (0.5, 0.4, 0.3, 0.2), "std": (0.2,) * 4}
    network = load(module, preprocessing=settings)
    with torch.no_grad():
        mean = torch.tensor(settings["mean"])[:, None, None]
        wanted = module.eval()((torch.from_numpy(bands).permute(0, 3, 1, 2) / 255 - mean) / 0.2).softmax(1)
    np.testing.assert_allclose(ico.predict(network, bands), wanted.numpy(), atol=1e-5)
    everything(network, bands, tmp_path)
    for fill in ("black", "mean", "patch-mean", "blur", "noise"):
        ico.occlude(network, bands[:1], patch=6, stride=5, fill=fill)
    altered = bands.copy()
    altered[..., 3] = 255 - altered[..., 3]
    first, second = (ico.occlude(network, each[:1], patch=8, store=tmp_path / "store")[0] for each in (bands, altered))
    assert first.question.key != second.question.key
    made = ico.optimize(network, "logit:owl", steps=2)
    assert made.images.shape == (1, 16, 16, 4)
    made.save(tmp_path / "made.png")
    assert ico.optimize(network, "logit:owl", steps=2, start=bands[:1]).images.shape == (1, 16, 16, 4)
    with pytest.raises(ImagesError, match="four were asked for"):
        ico.predict(network, bands[..., :3])
    with pytest.raises(QuestionError, match="four channels"):
        ico.audit(network, bands, store=tmp_path / "audit")


@pytest.mark.parametrize(
    "wrap",
    [
        nn.DataParallel,
        lambda module: torch.compile(module, backend="eager"),
        lambda module: (module.compile(backend="eager"), module)[1],
    ],
    ids=["DataParallel", "torch.compile", "module.compile"],
)
def test_what_is_wrapped_around_a_network_changes_nothing(wrap, pictures, tmp_path):
    plain = everything(load(convolutional()), pictures, tmp_path, name="plain")
    module = wrap(convolutional().eval())
    module(torch.zeros(2, 3, 16, 16))  # whoever compiles a network has used it
    found = everything(load(module), pictures, tmp_path, name="wrapped")
    for one, other in zip(plain, found, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_a_compiled_part_of_a_network_is_asked_too(pictures, tmp_path):
    class Parts(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = torch.compile(convolutional()[:5], backend="eager")
            self.rest = convolutional()[5:]

        def forward(self, x):
            return self.rest(self.body(x))

    module = Parts().eval()
    module(torch.zeros(2, 3, 16, 16))
    everything(load(module), pictures, tmp_path, "conv2:3")


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_a_network_in_half_precision(kind, pictures, tmp_path):
    plain = ico.predict(load(convolutional()), pictures)
    network = load(convolutional().to(kind))
    found = ico.predict(network, pictures)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, plain, atol=0.05)
    object.__setattr__(network, "name", "half")
    everything(network, pictures, tmp_path)
    assert {value.dtype for value in network.module.parameters()} == {kind}


def test_a_network_left_in_train_mode_is_asked_in_evaluation_mode_and_given_back(pictures, tmp_path):
    module = convolutional(3, 3, nn.Dropout(0.5)).train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    wanted = everything(load(convolutional()), pictures, tmp_path, name="plain")
    found = everything(load(module), pictures, tmp_path, name="train")
    for one, other in zip(wanted, found, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    assert all(part.training for part in module.modules())
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
