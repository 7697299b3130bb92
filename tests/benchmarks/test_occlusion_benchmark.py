"""The benchmark of occlusion: its count of the limit, its rivals, its networks and its page, each against another truth."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from torch import nn

import iconoscope as ico
from benchmarks import occlusion, peers
from benchmarks.figures import COMMAND, Figures, read, tables, write, write_page
from benchmarks.limit import operation_limit
from benchmarks.networks import VGG16, ResNet18, awaken
from benchmarks.peers import FORWARDS, DenseLoop, attribute, captum_ms
from iconoscope.occlusion.dense import clean_response
from iconoscope.occlusion.geometry import make_grid
from iconoscope.subject.captured.capture import capture

MACHINE = {"processor": "slow", "cores": 1, "system": "none", "python": "3", "torch": "2", "captum": "0"}

BEGIN, END = (f"<!-- made by {COMMAND}: {where} -->" for where in ("begin", "end"))


def figures(network="ResNet-20", **other):
    return Figures(
        network=network, question="32, 8, 1", threads=1, positions=1000, goals=(2, 1.4, 0.9),
        ms={"captum": [9.0, 3.0, 4.0], "dense": [3.0, 2.0, 30.0], "exact": [1.0, 2.0, 1.5]}, ways={}, tuning={},
        plan_s=0.5, first_s=2, clean_s=0.5, limit=2.5, difference=3e-6, compared=4, variation=0.5, said="exact",
        others=0, when="2026-01-02", **other,
    )  # fmt: skip


class Tiny(nn.Module):
    """Two convolutions, the second with a stride, and a head; small enough to count by hand."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.second = nn.Conv2d(4, 5, 3, stride=2, padding=1)
        self.head = nn.Linear(5, 7)

    def forward(self, x):
        return self.head(torch.relu(self.second(torch.relu(self.first(x)))).mean((2, 3)))


def test_what_positions_share_is_what_has_the_same_number_in_them():
    """Every number of two convolutions that the patch reaches, at all positions: how many different ones there are."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 1, 3, padding=1), nn.Conv2d(1, 1, 3, stride=2, padding=1)]
    module = nn.Sequential(*layers).double()
    picture, grid = torch.randn(1, 1, 14, 18, dtype=torch.float64), make_grid((14, 18), patch=(7, 8), stride=(2, 3))
    clean, covered = [picture], [picture.repeat(len(grid), 1, 1, 1)]
    for position in range(len(grid)):
        rows, columns = grid.window(position)
        covered[0][position, :, rows, columns] = 0.25
    different = []
    for layer in layers:
        clean, covered = [*clean, layer(clean[-1])], [*covered, layer(covered[-1])]
        answers = covered[-1].detach().flatten(1).numpy().round(9)
        changed = np.abs(answers - clean[-1].detach().flatten().numpy()) > 1e-9
        different.append(sum(len(np.unique(answers[changed[:, pixel], pixel])) for pixel in range(answers.shape[1])))
    dense = 9 * len(grid) * (14 * 18 + 7 * 9)
    counted = operation_limit(capture(module, picture[0]), grid, shared=True)
    assert counted == pytest.approx(dense / (9 * sum(different)), rel=1e-12)
    assert counted > 1.5 * operation_limit(capture(module, picture[0]), grid)


def test_the_limit_of_a_network_counted_by_hand():
    """A patch of 2x2 on 8x8 pixels at 0, 4 and 6.

    The first convolution sees it in rows 0-2, 3-6 and 5-7: 3 + 4 + 3 = 10. The second, whose row i reads rows 2i-1 to 2i+1,
    sees these in rows 0-1, 1-3 and 2-3: 2 + 3 + 2 = 7. Columns alike.
    """
    grid = dataclasses.replace(make_grid((8, 8), patch=2, stride=2), top=np.array([0, 4, 6]), left=np.array([0, 4, 6]))
    first, second, head = 4 * 3 * 9, 5 * 4 * 9, 5 * 7
    dense = 9 * (first * 64 + second * 16 + head)
    exact = first * 10**2 + second * 7**2 + 9 * head
    assert operation_limit(capture(Tiny(), torch.zeros(3, 8, 8)), grid) == pytest.approx(dense / exact, rel=1e-12)


def test_the_limit_by_asking_which_pixels_depend_on_the_patch():
    """Changed pixels found with the network itself: ones as weights, no bias, a patch of ones on zeros."""
    layers = nn.Sequential(
        nn.Conv2d(3, 2, 5, stride=2, padding=1, bias=False),
        nn.Conv2d(2, 3, 3, padding=2, dilation=2, bias=False),
        nn.MaxPool2d(3, 2, padding=1),
        nn.Conv2d(3, 2, 3, bias=False),
    )
    for parameter in layers.parameters():
        nn.init.ones_(parameter)
    grid = make_grid((23, 31), patch=(5, 3), stride=(3, 4))
    dense = exact = 0
    for position in range(len(grid)):
        x = torch.zeros(1, 3, 23, 31)
        x[:, :, grid.window(position)[0], grid.window(position)[1]] = 1
        for layer in layers:
            x = layer(x)
            if isinstance(layer, nn.Conv2d):
                # A dilation leaves gaps; what is computed anew is the rectangle around all that changes.
                rows, columns = (x[0, 0] > 0).any(1).nonzero(), (x[0, 0] > 0).any(0).nonzero()
                sides = [int(each.max() - each.min()) + 1 if len(each) else 0 for each in (rows, columns)]
                exact += layer.weight.numel() * sides[0] * sides[1]
                dense += layer.weight.numel() * x.shape[2] * x.shape[3]
    assert operation_limit(capture(layers, torch.zeros(3, 23, 31)), grid) == pytest.approx(dense / exact, rel=1e-12)


def test_the_limit_is_one_where_every_position_changes_everything():
    class Gate(nn.Module):
        def forward(self, x):
            return x * x.mean((2, 3), keepdim=True)

    module = nn.Sequential(Gate(), nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 36, 2))
    assert operation_limit(capture(module, torch.zeros(3, 8, 8)), make_grid((8, 8), patch=2, stride=2)) == 1


@pytest.mark.parametrize(("kind", "parameters"), [(ResNet18, 11_689_512), (VGG16, 138_357_544)])
def test_the_networks_have_as_many_parameters_as_torchvision_says(kind, parameters):
    """Figures from torchvision's table of weights."""
    with torch.device("meta"):
        assert sum(parameter.numel() for parameter in kind().parameters()) == parameters


@pytest.fixture
def drawn():
    """Eight drawn photographs at 64 pixels, with contrast."""
    pixels = np.stack([image.pixels for image in ico.demo_images(8, seed=0)])
    pictures = torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div(64).sub(2)
    return nn.functional.interpolate(pictures, size=64, mode="bilinear")


def test_a_network_is_woken_up_so_that_a_patch_moves_its_answer(drawn):
    module = ResNet18(classes=20)
    variation = awaken(module, drawn, patch=16)
    with torch.no_grad():
        answers = module(drawn).softmax(1)
        covered = drawn[:1].repeat(4, 1, 1, 1)
        for place, (top, left) in enumerate([(0, 0), (0, 32), (32, 0), (32, 32)]):
            covered[place, :, top : top + 16, left : left + 16] = 0
        found = module(covered).softmax(1)[:, answers[0].argmax()]
    assert float(found.max() - found.min()) == pytest.approx(variation, abs=1e-4) and variation > 0.1
    assert answers.max() < 0.999 and not module.training
    again = ResNet18(classes=20)
    assert awaken(again, drawn, patch=16) == variation
    assert all(torch.equal(one, other) for one, other in zip(module.parameters(), again.parameters(), strict=True))


def test_without_batch_norm_every_layer_gives_the_variance_1(drawn):
    module = nn.Sequential(
        nn.Conv2d(3, 6, 5),
        nn.ReLU(),
        nn.Conv2d(6, 8, 3),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(32, 9),
    )
    awaken(module, drawn, patch=16)
    with torch.no_grad():
        for layer in (1, 3):
            assert float(module[:layer](drawn).std()) == pytest.approx(1, abs=1e-4)
        assert module(drawn).mean(0).abs().max() < 1e-4


def test_a_network_that_stays_deaf_is_refused(drawn):
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5))
    with pytest.raises(ValueError, match="stays deaf"):
        awaken(module, torch.zeros_like(drawn), patch=16)


@pytest.fixture
def dog(resnet20, data):
    return occlusion.CASES["resnet20"].make(data)[1][0]


def test_the_dense_loop_answers_as_the_plain_network(resnet20, dog, monkeypatch):
    """Positions in any order, the last batch not full, the buffer whole again for the next, the head for 4 at a time."""
    grid = make_grid((32, 32), patch=9, stride=5)
    positions = [7, 0, 35, 5, 30, 11, 2]
    monkeypatch.setattr(peers, "HEADS", 4)
    with torch.inference_mode():
        loop = DenseLoop(FORWARDS["packed"](resnet20.module, dog), dog, grid, batch=3)
        found = [loop.probabilities(positions) for _ in range(2)]
        for answers in found:
            for position, answer in zip(positions, answers, strict=True):
                covered = dog.clone()
                covered[:, grid.window(position)[0], grid.window(position)[1]] = 0
                torch.testing.assert_close(answer, resnet20.module(covered[None])[0].softmax(0), rtol=0, atol=1e-5)
    assert len(found[0]) == 7


def test_the_head_of_the_dense_loop_is_all_linear_layers():
    """On a network as VGG16 is, so that the convolutions may run in small batches."""
    module = nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(36, 8),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(8, 5),
    ).eval()
    image = torch.randn(3, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        forward = FORWARDS["packed"](module, image)
        features = forward.body(image[None])
        torch.testing.assert_close(features, module[:4](image[None]), rtol=0, atol=1e-5)
        torch.testing.assert_close(forward.head(features), module(image[None]), rtol=0, atol=1e-5)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the compiler warns about torch's own code
def test_the_compiled_loop_answers_as_the_packed_one(resnet20, dog):
    grid = make_grid((32, 32), patch=8, stride=8)
    with torch.inference_mode():
        loops = [DenseLoop(make(resnet20.module, dog), dog, grid, batch=8) for make in FORWARDS.values()]
        packed, compiled = (loop.probabilities(range(16)) for loop in loops)
    torch.testing.assert_close(packed, compiled, rtol=0, atol=1e-5)


def test_captum_finds_the_same_map(resnet20, dog):
    """Where windows do not overlap, Captum's attribution at each of their pixels is our drop."""
    pytest.importorskip("captum")
    pixels = resnet20.preprocessing.restore(dog)
    with torch.inference_mode():
        target = int(resnet20.module(dog[None]).argmax())
        found = ico.occlude(resnet20, pixels, f"prob:{target}", patch=8, stride=8, fill="zero")
        # The picture is rounded to whole colours on the way: the same tensor for both.
        tensor = resnet20.preprocessing.normalise(pixels[None])[0]
        clean, *_ = clean_response(resnet20, tensor, resnet20.resolve(f"prob:{target}"))
        forward = lambda batch: resnet20.module(batch).softmax(1)  # noqa: E731
        peer = attribute(forward, tensor, target, make_grid((32, 32), patch=8, stride=8), batch=5)
    assert np.ptp(found.drop) > 0.1
    assert np.allclose(found.clean, clean, atol=1e-6)
    for channel in peer:
        np.testing.assert_allclose(channel, np.kron(found.drop, np.ones((8, 8))), atol=1e-5)


def test_captum_runs_as_many_batches_as_are_timed(dog):
    """The untouched image, one to warm up, those that are timed; the next is only begun."""
    pytest.importorskip("captum")
    seen = []

    class Counting(nn.Module):
        def forward(self, x):
            seen.append(len(x))
            return x.mean((2, 3))

    grid = make_grid((32, 32), patch=8, stride=2)  # 13 x 13
    assert captum_ms(Counting(), dog, 0, grid, batch=20, batches=3) > 0
    assert seen == [1, 20, 20, 20, 20]
    seen.clear()
    assert captum_ms(Counting(), dog, 0, grid, batch=20, batches=100) > 0
    assert seen == [1] + [20] * 8
    with pytest.raises(ValueError, match="three batches"):
        captum_ms(Counting(), dog, 0, grid, batch=100)


def test_figures_are_medians_and_their_ratios():
    one = figures()
    assert one.times("exact", "captum") == pytest.approx(4 / 1.5)
    assert one.share == pytest.approx(3 / 1.5 / 2.5)
    assert one.map_s("dense") == pytest.approx(3) and one.map_s("exact") == pytest.approx(2)
    lines = tables([one], MACHINE).splitlines()
    row = next(line for line in lines if "2.67 (2)" in line)
    assert "| 2.00 (1.4) | 2.50 | 80% (90%) | 3e-06 | 0.50 |" in row
    assert not any("fast" in line for line in lines)
    assert "Captum by fast" in tables([dataclasses.replace(one, ms=one.ms | {"fast": [0.5]})], MACHINE)


def test_the_tables_are_written_and_rewritten_between_their_marks(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write_page(page, [figures()], MACHINE)
    once = page.read_text()
    assert once.startswith("before\n") and once.endswith("after\n") and "old" not in once and "ResNet-20" in once
    write_page(page, [figures("VGG16")], MACHINE)
    assert "VGG16" in page.read_text() and "ResNet-20" not in page.read_text()
    write_page(page, [figures()], MACHINE)
    assert page.read_text() == once
    page.write_text(f"{END}\n{BEGIN}\n")
    with pytest.raises(ValueError, match="no place for the tables"):
        write_page(page, [figures()], MACHINE)


def test_figures_come_back_from_the_file_but_not_those_of_another_machine(tmp_path):
    path = tmp_path / "results" / "occlusion.json"
    assert read(path, MACHINE) == []
    write(path, [figures(), figures("VGG16")], MACHINE)
    assert read(path, MACHINE) == [figures(), figures("VGG16")]
    assert read(path, MACHINE | {"torch": "3"}) == []


def test_a_network_that_fails_does_not_lose_the_others(monkeypatch, tmp_path, capsys):
    def measure(case, network, images, *, threads, repeats):
        return figures(case.name)

    def fail(data):
        raise RuntimeError("no weights")

    cases = {
        "one": occlusion.Case("ResNet-18", fail, 8, 1, (1, 1, 1), (4,)),
        "two": occlusion.Case("ResNet-20", lambda data: (None, None), 8, 1, (1, 1, 1), (4,)),  # pyright: ignore
    }
    monkeypatch.setattr(occlusion, "measure", measure)
    monkeypatch.setattr(occlusion, "CASES", cases)
    monkeypatch.setattr(occlusion, "find_data", lambda: tmp_path)
    page, out = tmp_path / "page.md", tmp_path / "figures.json"
    page.write_text(f"{BEGIN}\n{END}\n")
    assert occlusion.main(["--out", str(out), "--page", str(page), "--threads", "1"]) == 1
    assert "no weights" in capsys.readouterr().err
    assert [each["network"] for each in json.loads(out.read_text())["figures"]] == ["ResNet-20"]
    assert "ResNet-20" in page.read_text()


def test_all_parts_measure_together_and_without_a_compiler_too(resnet20, dog, monkeypatch, capsys):
    pytest.importorskip("captum")

    def no_compiler(module, image):
        raise RuntimeError("No working C++ compiler found")

    monkeypatch.setitem(FORWARDS, "compiled", no_compiler)
    case = occlusion.Case("ResNet-20", lambda data: (resnet20, dog), 8, 2, (2, 1.4, 0.9), (8, 16))
    threads = torch.get_num_threads()
    try:
        found = occlusion.measure(case, resnet20, torch.stack([dog, dog.flip(2)]), threads=1, repeats=1)
    finally:
        torch.set_num_threads(threads)
    assert found.positions == found.compared == 13 * 13
    assert found.difference < 1e-5 and found.variation > 0.1
    assert found.said.startswith("exact") and 1.2 < found.limit < 2
    assert set(found.tuning["captum"]) == {"8", "16"} and found.ways["captum"] in found.tuning["captum"]
    assert set(found.tuning["dense"]) == {"packed, 8", "packed, 16"}
    assert "left out of the dense loops: compiled: No working C++ compiler" in capsys.readouterr().err
    assert all(len(each) == 1 and each[0] > 0 for each in found.ms.values())
