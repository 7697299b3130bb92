"""The incremental engine against the plain one, over random small networks, kinds of layers, and the two real networks."""

import copy
import re

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

import iconoscope as ico
from iconoscope.occlusion.dense import scan_dense
from iconoscope.occlusion.geometry import Cover, make_grid
from iconoscope.occlusion.incremental import PlanCache, scan_exact
from iconoscope.occlusion.incremental import exact as exact_engine
from tests.networks import Doing


class ChannelsLast(nn.Module):
    """A block as in ConvNeXt: layer norm and linear layers over the channels of a map with its channels last."""

    def __init__(self, channels):
        super().__init__()
        self.norm, self.up, self.down = nn.LayerNorm(channels), nn.Linear(channels, 8), nn.Linear(8, channels)
        self.scale = nn.Parameter(torch.randn(channels))

    def forward(self, x):
        inner = self.down(nn.functional.gelu(self.up(self.norm(x.permute(0, 2, 3, 1)))))
        return x + (self.scale * inner).permute(0, 3, 1, 2)


class Residual(nn.Module):
    def __init__(self, *inner):
        super().__init__()
        self.inner = nn.Sequential(*inner)

    def forward(self, x):
        return torch.relu(x + self.inner(x))


class Branches(nn.Module):
    def __init__(self, *branches):
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x):
        return torch.cat([branch(x) for branch in self.branches], 1)


class Shuffle(nn.Module):
    def forward(self, x):
        n, channels, rows, columns = x.shape
        x = x.view(n, 2, channels // 2, rows, columns).transpose(1, 2).contiguous().view(n, channels, rows, columns)
        first, second = x.chunk(2, 1)
        return torch.cat([second, nn.functional.silu(first)], 1)


class Excite(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.squeeze = nn.Conv2d(channels, channels, 1)

    def forward(self, x):
        return x * torch.sigmoid(self.squeeze(x.mean((2, 3), keepdim=True)))


class Attend(nn.Module):
    """Weighs every pixel by what its own channels say, as CBAM does."""

    def forward(self, x):
        return x * torch.sigmoid(x.mean(1, keepdim=True) + x.amax(1, keepdim=True)) + x.softmax(1)


class InPlace(nn.Module):
    """Writes into its own maps, and into a part of them."""

    def __init__(self, part=False):
        super().__init__()
        self.part = part

    def forward(self, x):
        before = x * 0.5
        y = x + 1
        nn.functional.silu(y, inplace=True)
        y += before
        y.mul_(2)
        if self.part:
            y[:, :2] *= 3
        return y


class Reading(nn.Module):
    def __init__(self, read):
        super().__init__()
        self.read = read

    def forward(self, x):
        return self.read(x)


def layer(draw, channels):
    """Draw a layer that keeps the number of channels, which is even."""
    kernel, stride, dilation = draw(st.tuples(st.integers(1, 4), st.integers(1, 2), st.integers(1, 2)))
    padding = draw(st.integers(0, (kernel - 1) * dilation))
    groups = draw(st.sampled_from([1, 2, channels]))
    pool = {"kernel_size": kernel, "stride": stride, "padding": draw(st.integers(0, kernel // 2))}
    ceil = draw(st.booleans())
    same = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
    choices = {
        "convolution": lambda: nn.Conv2d(channels, channels, kernel, stride, padding, dilation, groups),
        "block": lambda: nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding="same"), nn.BatchNorm2d(channels), nn.ReLU(inplace=True)
        ),
        "norm first": lambda: nn.Sequential(nn.BatchNorm2d(channels), nn.Hardswish(), same),
        "max pool": lambda: nn.MaxPool2d(**pool, ceil_mode=ceil),
        "average pool": lambda: nn.AvgPool2d(**pool, ceil_mode=ceil, count_include_pad=draw(st.booleans())),
        "residual": lambda: Residual(same, nn.BatchNorm2d(channels)),
        "branches": lambda: nn.Sequential(
            Branches(nn.Conv2d(channels, channels, 1), same, nn.MaxPool2d(3, 1, 1)),
            nn.Conv2d(3 * channels, channels, 1),
        ),
        "shuffle": Shuffle,
        "channels last": lambda: ChannelsLast(channels),
        "excite": lambda: Excite(channels),
        "attend": Attend,
        "slice": lambda: Reading(lambda x: torch.cat([x[:, 1:, ::2, 1:-1:2], x[:, :1, ::2, 1:-1:2]], 1)),
        "pad": lambda: nn.ZeroPad2d((1, 0, 2, 1)),
        "reflect": lambda: nn.ReflectionPad2d(1),
        "crop": lambda: Reading(lambda x: nn.functional.pad(x, (-1, 1, 0, -1))),
        "up": lambda: nn.Sequential(
            nn.Conv2d(channels, channels, 3, 2), nn.Upsample(scale_factor=1 + stride, mode=draw(MODES))
        ),
        "transposed": lambda: nn.Sequential(
            nn.Conv2d(channels, channels, 3, 2),
            nn.ConvTranspose2d(channels, channels, 2 + kernel, stride, min(kernel, 2), stride - 1, dilation=dilation),
        ),
        "group norm": lambda: nn.GroupNorm(2, channels),
        "in place": InPlace,
        "dropout": lambda: nn.Dropout2d(0.5),
    }
    return choices[draw(st.sampled_from(sorted(choices)))]()


MODES = st.sampled_from(["bilinear", "nearest"])
HEADS = {
    "mean": lambda channels: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 4)),
    "mean of axes": lambda channels: nn.Sequential(Reading(lambda x: x.mean((2, 3))), nn.Linear(channels, 4)),
    "flat": lambda channels: nn.Sequential(nn.Flatten(), nn.LazyLinear(4)),
    "coarse": lambda channels: nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.LazyLinear(4)),
    "largest": lambda channels: nn.Sequential(Reading(lambda x: x.amax((2, 3))), nn.Linear(channels, 4)),
}


@st.composite
def questions(draw):
    """Draw a network with a picture and a grid: (module, size, patch, stride, seed)."""
    seed = draw(st.integers(0, 99))
    torch.manual_seed(seed)
    channels = draw(st.sampled_from([4, 6]))
    size = draw(st.tuples(st.integers(17, 33), st.integers(17, 33)))
    layers = [nn.Conv2d(3, channels, 3, draw(st.integers(1, 2)), 1)]
    layers += [layer(draw, channels) for _ in range(draw(st.integers(1, 4)))]
    module = nn.Sequential(*layers, HEADS[draw(st.sampled_from(sorted(HEADS)))](channels))
    patch = draw(st.tuples(st.integers(1, 8), st.integers(1, 8)))
    stride = draw(st.tuples(st.integers(2, 11), st.integers(2, 11)))
    return module, size, patch, stride, seed


def awake(module, size, seed):
    """Make a network with random weights hear: norms see pictures, and the head is scaled until the logits differ."""
    pictures = torch.randn(8, 3, *size, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        module.train()
        for _ in range(3):
            module(pictures)
        spread = module.eval()(pictures).std(0).mean()
        head = [each for each in module.modules() if isinstance(each, nn.Linear)][-1]
        head.weight *= 3 / spread
        head.bias -= module(pictures[:1])[0]  # or one class has it all
    preprocessing = {"size": size, "mean": (0.0,) * 3, "std": (1.0,) * 3, "crop": "none"}
    return ico.load_network(module, preprocessing=preprocessing, classes=list("abcd"), device="cpu"), pictures[0]


def both(network, image, grid, unit="prob:a", plans=None, fill=None, **settings):
    if fill is None:
        fill = torch.randn(image.shape, generator=torch.Generator().manual_seed(1)).to(image.dtype)
    cover = Cover(fill)
    with network.questioned(), torch.inference_mode():
        unit = network.resolve(unit)
        return scan_exact(network, image, cover, grid, unit, plans=plans, **settings), scan_dense(
            network, image, cover, grid, unit
        )


def agree(found, oracle, tolerance=1e-5):
    return np.abs(found.occluded - oracle.occluded).max() < tolerance


def check(question):
    module, size, patch, stride, seed = question
    try:
        network, image = awake(module, size, seed)
    except (RuntimeError, ValueError):  # the layers that were drawn have shrunk the map to nothing
        return
    grid = make_grid(size, patch=patch, stride=stride)
    plans = PlanCache()
    # The head makes single precision's rounding many times larger; double precision shows that nothing else differs.
    double = seed % 2 == 0
    if double:
        module.double()
        image = image.double()
    for picture in (image, image.flip(2)):
        found, oracle = both(network, picture, grid, plans=plans)
        assert agree(found, oracle, 2e-6 if double else 1e-3)
        assert found.plan.startswith("exact"), found.plan


@pytest.fixture
def always(monkeypatch):
    """Run the incremental engine even where it does not pay."""
    monkeypatch.setattr(exact_engine, "LEAST_GAIN", 0.0)
    monkeypatch.setattr(exact_engine, "LEAST_WORK", 0.0)


LENIENT = {"derandomize": True, "suppress_health_check": list(HealthCheck)}


@given(questions())
@settings(max_examples=12, **LENIENT)
def test_random_networks(always, question):
    check(question)


@pytest.mark.slow
@given(questions())
@settings(max_examples=40, **LENIENT)
def test_many_random_networks(always, question):
    check(question)


def test_every_layer_once(always):
    """What is drawn at random above, all in one network whose windows stay small, with patches cut at the border."""
    torch.manual_seed(3)
    inside = [
        nn.Sequential(nn.BatchNorm2d(6), nn.ReLU6(), nn.Conv2d(6, 6, 3, 1, 2, 2, groups=2)),
        nn.MaxPool2d(3, 2, 1, ceil_mode=True),
        nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False),
        Residual(nn.Conv2d(6, 6, 3, padding="same"), nn.BatchNorm2d(6)),
        Branches(nn.Identity(), nn.Conv2d(6, 6, 1)),
        nn.Conv2d(12, 6, (4, 2), padding=(2, 1)),
        Shuffle(),
        ChannelsLast(6),
        Attend(),
        InPlace(),
        nn.ZeroPad2d((1, 0, 2, 1)),
        Reading(lambda x: x[:, :, ::2, 1:-1]),
    ]
    module = nn.Sequential(nn.Conv2d(3, 6, 3, 2, 1), *inside, HEADS["mean"](6))
    network, image = awake(module, (96, 80), 0)
    module.double()
    found, oracle = both(network, image.double(), make_grid((96, 80), patch=(9, 7), stride=(13, 11)))
    assert agree(found, oracle) and np.ptp(oracle.occluded, axis=(0, 1)).max() > 0.01
    assert re.match(r"exact: 64 positions, \d+\.\dx fewer operations than dense$", found.plan), found.plan


class UShaped(nn.Module):
    """Down twice and up again, each time in another way, with what it had there before beside it."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 6, 3, 1, 1), nn.Conv2d(6, 8, 3, 2, 1)
        self.third = nn.Conv2d(8, 8, 3, 2, 1)
        self.up = nn.ModuleList(
            [
                nn.ConvTranspose2d(8, 8, 4, 2, 1),
                nn.Upsample(scale_factor=2, mode="bilinear"),
                nn.Upsample(scale_factor=2),
            ]
        )
        self.last = nn.ConvTranspose2d(16, 6, 3, 2, 1, output_padding=1)
        self.head = HEADS["mean"](18)

    def forward(self, x):
        one = torch.relu(self.first(x))
        two = torch.relu(self.second(one))
        three = torch.relu(self.third(two))
        four = torch.cat([two, self.up[0](three)], 1)
        five = self.last(four) + self.up[2](self.up[1](three))[:, :6]
        return self.head(torch.cat([one, five, one * five], 1))


def test_a_u_shaped_network(always):
    torch.manual_seed(5)
    network, image = awake(UShaped(), (64, 72), 0)
    network.module.double()
    found, oracle = both(network, image.double(), make_grid((64, 72), patch=(9, 7), stride=(5, 6)))
    assert agree(found, oracle) and np.ptp(oracle.occluded, axis=(0, 1)).max() > 0.1
    assert re.match(r"exact: 144 positions, \d+\.\dx fewer operations than dense$", found.plan), found.plan


@pytest.mark.parametrize(("patch", "stride"), [(8, 3), ((5, 12), (9, 4)), (3, 11), (30, 2)])
def test_resnet20(always, resnet20, data, patch, stride):
    plans = PlanCache()
    for picture in ico.load_images(data / "cifar10" / "test.parquet", limit=2):
        image = resnet20.preprocessing.normalise(resnet20.preprocessing.fit(picture.pixels)[None])[0]
        found, oracle = both(resnet20, image, make_grid((32, 32), patch=patch, stride=stride), "prob:0", plans)
        assert agree(found, oracle) and found.plan.startswith("exact")


def test_squeezenet(always, squeezenet, photographs):
    plans = PlanCache()
    size = squeezenet.preprocessing.size
    for picture in (photographs[0], photographs[40]):
        image = squeezenet.preprocessing.normalise(squeezenet.preprocessing.fit(picture.pixels)[None])[0]
        for unit in ("prob:0", "logit:0"):
            found, oracle = both(squeezenet, image, make_grid(size, patch=32, stride=45), unit, plans)
            assert np.abs(found.occluded - oracle.occluded).max() < (1e-5 if unit == "prob:0" else 1e-4)
    assert np.ptp(oracle.occluded, axis=(0, 1)).max() > 0.1


class Attention(nn.Module):
    """A vision transformer in small."""

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, 32, 4, 4)
        self.blocks = nn.Sequential(*(nn.TransformerEncoderLayer(32, 2, 64, batch_first=True) for _ in range(4)))
        self.head = nn.Linear(32, 4)

    def forward(self, x):
        return self.head(self.blocks(self.patches(x).flatten(2).transpose(1, 2)).mean(1))


def test_writing_into_a_part_of_a_map_is_followed(always):
    network, image = awake(nn.Sequential(nn.Conv2d(3, 6, 3), InPlace(part=True), HEADS["mean"](6)), (24, 24), 0)
    found, oracle = both(network, image, make_grid((24, 24), patch=5, stride=4))
    assert agree(found, oracle) and found.plan.startswith("exact")


def test_attention_has_nothing_to_gain(monkeypatch):
    monkeypatch.setattr(exact_engine, "LEAST_WORK", 0.0)
    network, image = awake(Attention(), (64, 64), 0)
    found, oracle = both(network, image, make_grid((64, 64), patch=16, stride=16))
    assert agree(found, oracle)
    assert found.plan.startswith("dense: 16 positions") and ", as captured; " in found.plan, found.plan
    assert "nothing to gain" in found.plan
    monkeypatch.setattr(exact_engine, "LEAST_GAIN", 0.0)
    found, _ = both(network, image, make_grid((64, 64), patch=16, stride=16))
    assert agree(found, oracle) and "; dense from" in found.plan


class Forking(nn.Module):
    """Goes one way or the other, as the picture says: no graph holds both."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3)
        self.head = nn.Linear(4, 4)

    def forward(self, x):
        maps = torch.cat([maps * 2 if float(maps.mean()) > 0 else maps for maps in self.first(x).split(1)])
        return self.head(maps.mean((2, 3)))


def test_what_cannot_be_traced_is_answered_plainly(always):
    network, image = awake(Forking(), (24, 24), 0)
    plans = PlanCache()
    grid = make_grid((24, 24), patch=8, stride=8)
    for _ in range(2):
        found, oracle = both(network, image, grid, plans=plans)
        assert np.array_equal(found.occluded, oracle.occluded)
        assert found.plan.startswith("dense") and "torch.export" in found.plan


def test_an_engine_that_errs_is_not_trusted(always, monkeypatch):
    network, image = awake(nn.Sequential(nn.Conv2d(3, 6, 3), HEADS["mean"](6)), (24, 24), 0)
    right = exact_engine.values_of
    monkeypatch.setattr(exact_engine, "values_of", lambda *given: right(*given) + torch.tensor([0.01, 0, 0, 0]))
    plans, grid = PlanCache(), make_grid((24, 24), patch=8, stride=8)
    found, oracle = both(network, image, grid, plans=plans)
    assert np.array_equal(found.occluded, oracle.occluded)
    assert "was not trusted" in found.plan and not plans.checked


def test_an_error_below_what_a_probability_shows_passes(always):
    network, image = awake(nn.Sequential(nn.Conv2d(3, 6, 3), HEADS["mean"](6)), (24, 24), 0)
    plans = PlanCache()
    found, oracle = both(network, image, make_grid((24, 24), patch=8, stride=8), plans=plans)
    assert agree(found, oracle) and plans.checked


def test_little_work_needs_no_plan():
    network, image = awake(nn.Sequential(nn.Conv2d(3, 6, 3), HEADS["mean"](6)), (24, 24), 0)
    found, _ = both(network, image, make_grid((24, 24), patch=8, stride=8))
    assert "too little work" in found.plan


def test_torch_export_is_asked_for_larger_questions_alone(monkeypatch):
    """Of what two passes cannot trace: here a number is read from the picture."""
    looking = Doing(lambda x: x * float(x.abs().max() > -1))
    network, image = awake(nn.Sequential(nn.Conv2d(3, 6, 3), looking, HEADS["mean"](6)), (24, 24), 0)
    monkeypatch.setattr(exact_engine, "LEAST_WORK", 1)
    monkeypatch.setattr(exact_engine, "EXPORTING", 1e15)
    monkeypatch.setattr(torch.export, "export", lambda *_, **__: pytest.fail("it is too little work"))
    grid, plans = make_grid((24, 24), patch=8, stride=8), PlanCache()
    found, oracle = both(network, image, grid, plans=plans)
    assert "too little work for torch.export to pay" in found.plan and agree(found, oracle)
    asked = []
    monkeypatch.setattr(exact_engine, "EXPORTING", 0)
    monkeypatch.setattr(torch.export, "export", lambda *_, **__: asked.append(1) or 1 / 0)
    assert "torch.export cannot trace the network" in both(network, image, grid, plans=PlanCache())[0].plan and asked


def test_the_module_is_left_as_it_was(always):
    module = nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(inplace=True), nn.Dropout(), HEADS["mean"](6))
    network, image = awake(module, (24, 24), 0)
    module.train()
    module[1].eval()
    modes = [each.training for each in module.modules()]
    before = copy.deepcopy(module.state_dict())
    keys = [sorted(vars(each)) for each in module.modules()]
    found, _ = both(network, image, make_grid((24, 24), patch=8, stride=8))
    assert found.plan.startswith("exact")
    assert [each.training for each in module.modules()] == modes
    assert [sorted(vars(each)) for each in module.modules()] == keys
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    assert all(value.requires_grad and value.grad is None for value in module.parameters())
    assert not any(each._forward_hooks or each._forward_pre_hooks for each in module.modules())


def test_occlude_has_both_engines(always, resnet20, data):
    picture = ico.load_images(data / "cifar10" / "test.parquet", limit=1)[0].pixels
    exact = ico.occlude(resnet20, picture, patch=8, stride=6, method="exact")
    dense = ico.occlude(resnet20, picture, patch=8, stride=6, method="dense")
    assert (exact.method, dense.method) == ("exact", "dense")
    assert exact.plan.startswith("exact") and dense.plan.startswith("dense")
    assert np.abs(exact.occluded - dense.occluded).max() < 1e-5
    assert exact.question.key != dense.question.key
    with pytest.raises(ico.errors.QuestionError, match="method='exakt'") as raised:
        ico.occlude(resnet20, picture, method="exakt")
    assert "exact" in raised.value.hint


def test_units_inside_are_answered(always, resnet20, data):
    picture = ico.load_images(data / "cifar10" / "test.parquet", limit=1)[0].pixels
    exact = ico.occlude(resnet20, picture, "layer1.0.conv1:3", patch=8, stride=12, method="exact")
    dense = ico.occlude(resnet20, picture, "layer1.0.conv1:3", patch=8, stride=12, method="dense")
    assert np.abs(exact.occluded - dense.occluded).max() < 1e-5
