"""Fooling pictures: of a linear network the smallest change is known in closed form; what is said of each is asked again."""

import io
import json
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import nn

import iconoscope as ico
from iconoscope.optimization.smallest_change import NORMS, smallest_change
from iconoscope.results import FoolingPictures


class Linear(nn.Module):
    def __init__(self, classes=3, scale=1.0):
        super().__init__()
        torch.manual_seed(0)
        self.head = nn.Linear(3 * 64, classes)
        nn.init.normal_(self.head.weight, std=0.1 * scale)
        nn.init.zeros_(self.head.bias)

    def forward(self, x):
        return self.head(x.flatten(1))


def network_of(module, classes: Sequence[str] = "abc"):
    preprocessing = {"size": 8, "mean": (0.5,) * 3, "std": (0.25,) * 3, "crop": "none"}
    return ico.load_network(module, preprocessing=preprocessing, classes=list(classes), device="cpu")


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(100, 156, (8, 8, 3), dtype=np.uint8)  # far from 0 and 255


@pytest.mark.parametrize(("norm", "dual"), [("linf", 1), ("l2", 2)])
@pytest.mark.parametrize("classes", ["ab", "abc"])
def test_of_a_linear_network_the_smallest_change_is_the_margin_over_the_dual_norm(image, norm, dual, classes):
    module = Linear(len(classes))
    network = network_of(module, classes)
    picture = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    logits = module((picture - 0.5) / 0.25)[0].detach()
    target = int(logits.argsort()[-2])
    answered = int(logits.argmax())
    # One other class at a time gives a bound from below; of two classes it is the smallest change itself.
    weights = (module.head.weight[target] - module.head.weight[answered]).detach() / 0.25
    least = float((logits[answered] - logits[target]) / weights.norm(p=dual))
    with network.questioned():
        found = smallest_change(network, picture, target, norm=NORMS[norm], probability=0.0, steps=40)
    size = float(NORMS[norm].size(found.picture - picture))
    assert found.reached and size >= least * 0.9999
    assert size == pytest.approx(least, rel=0.03 if len(classes) == 2 else 0.3)


def test_what_is_wanted_of_the_probability_is_reached(image):
    network = network_of(Linear())
    picture = ico.predict(network, image[None])[0]
    target = "abc"[int(picture.argmin())]
    barely, surely = (
        ico.fool(network, image, target, probability=probability, beside=False) for probability in (0.0, 0.95)
    )
    row = barely.index("linf")
    assert surely.target_probability[row, 0] >= 0.95 > barely.target_probability[row, 0]
    assert surely.linf[row] > barely.linf[row] and surely.l2[surely.index("l2")] > barely.l2[barely.index("l2")]
    assert barely.l2[barely.index("l2")] < barely.l2[row] and barely.linf[barely.index("l2")] > barely.linf[row]


def test_every_look_is_what_the_networks_answer_to_the_picture_so(image, tmp_path):
    network, judge = network_of(Linear()), network_of(Linear(scale=2.0), "cab")
    target = "abc"[int(ico.predict(network, image[None])[0].argmin())]
    found = ico.fool(network, image, target, judge=judge, steps=12, store=tmp_path / "run", out=tmp_path / "fool.png")
    assert found.names == ("photograph", "linf", "l2", "noise", "robust")
    assert found.looks == ("as it is", "in 8 bits", "as JPEG", "blurred", "judge")
    assert found.reached.tolist() == [False, True, True, True, True]
    row = found.index("linf")
    pixels = (found.images[row] * 255).round().astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=75)
    compressed = np.asarray(Image.open(buffer))
    place = "abc".index(target)
    for look, shown in (("in 8 bits", pixels), ("as JPEG", compressed)):
        asked = ico.predict(network, shown[None])[0, place]
        assert found.target_probability[row, found.looks.index(look)] == pytest.approx(float(asked), abs=1e-5)
    judged = ico.predict(judge, pixels[None])[0, judge.class_index(target)]
    assert found.target_probability[row, -1] == pytest.approx(float(judged), abs=0.02)
    noise = found.index("noise")
    assert found.target_probability[noise, 0] >= 0.99 and found.linf[noise] > 0
    again = ico.load_result(next((tmp_path / "run" / "fool").iterdir()))
    assert isinstance(again, FoolingPictures) and again.answer.tolist() == found.answer.tolist()
    assert json.loads(json.dumps(found.to_json(), allow_nan=False))["pictures"][0]["linf"] is None
    assert "in 8 bits" in found.summary() and (tmp_path / "fool.png").stat().st_size > 1000
    assert ico.report(tmp_path / "run", tmp_path / "page.html").read_text(encoding="utf-8").count("<img") == 1


def test_noise_alone_is_answered_with_certainty():
    found = ico.fool(network_of(Linear()), "noise", "b", steps=12)
    assert found.names == ("noise", "robust") and found.target_probability[0, 0] >= 0.99
    assert "Noise" in found.summary() and np.ptp(found.images[0]) > 0.9


def test_what_cannot_be_reached_is_said_to_be_so(image):
    class Deaf(Linear):
        def forward(self, x):
            return super().forward(0 * x) + torch.tensor([3.0, 0.0, 0.0])

    found = ico.fool(network_of(Deaf()), image, "b", beside=False)
    assert not found.reached.any() and "no change" in found.summary()
    assert found.plot() is not None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"target": "d"}, "There are: a, b, c"),
        ({"image": "nosuch.png"}, "nosuch.png"),
        ({"image": "grey"}, "no photograph"),
        ({"image": np.zeros((2, 8, 8, 3), np.uint8)}, "2 images"),
        ({"probability": 1.0}, "less than 1"),
        ({"probability": True}, "probability"),
        ({"steps": 0}, "steps"),
        ({"image": "noise", "beside": False}, "beside"),
        ({"judge": "cars"}, "no class"),
        ({"out": "fool.gif"}, "png"),
    ],
)
def test_what_makes_no_sense_is_refused(image, settings, message):
    network = network_of(Linear())
    arguments = {"image": image, "target": "abc"[int(ico.predict(network, image[None])[0].argmin())], **settings}
    with pytest.raises(ico.IconoscopeError) as caught:
        ico.fool(network, **arguments)
    assert message in f"{caught.value.message} {caught.value.hint}"


def test_a_photograph_that_is_answered_so_already_is_refused(image):
    network = network_of(Linear())
    answer = "abc"[int(ico.predict(network, image[None])[0].argmax())]
    with pytest.raises(ico.errors.QuestionError, match=f"answered {answer} as it is"):
        ico.fool(network, image, answer)


def test_a_class_is_named_by_its_index_too(image):
    network = network_of(Linear())
    index = int(ico.predict(network, image)[0].argmin())
    assert ico.fool(network, image, index, beside=False, steps=2).target == network.classes[index]


def test_long_names_stay_within_the_cells_of_the_table(image):
    network = network_of(Linear(), ("flat-coated retriever", "golden retriever", "cocker spaniel"))
    index = int(ico.predict(network, image)[0].argmin())
    figure = ico.fool(network, image, index, judge=network, steps=2).plot().figure
    assert isinstance(figure, Figure)  # the whole, and no part of it
    figure.canvas.draw()
    (table,) = (axes for axes in figure.axes if axes.patches)
    cells = [cell.get_window_extent() for cell in table.patches]
    written = [text.get_window_extent() for text in table.texts if "\n" in text.get_text()]
    assert len(written) == len(cells) == 25
    assert all(
        cell.x0 <= text.x0 and text.x1 <= cell.x1 and cell.y0 <= text.y0 and text.y1 <= cell.y1
        for cell, text in zip(cells, written, strict=True)
    )


@pytest.mark.parametrize("technique", [ico.fool, ico.invert, ico.dream])
def test_a_photograph_that_is_not_there_is_called_what_the_caller_calls_it(technique):
    network = network_of(nn.Sequential(nn.Conv2d(3, 3, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()))
    asked = {ico.fool: ["a"], ico.invert: [["0"]], ico.dream: ["0"]}[technique]
    with pytest.raises(ico.errors.QuestionError, match=r"^image='nowhere\.png': there is no such file") as caught:
        technique(network, "nowhere.png", *asked)
    assert "noise" not in str(caught.value)


def test_figure_of_the_axes_is_the_whole_however_it_is_divided():
    """What a training loop logs, and closes: a subfigure can be neither."""
    network, image = ico.load_network("cars", device="cpu"), ico.demo_images(1, seed=1)[0]
    changed = ico.optimize(network, "logit:bison", start=image, steps=1).plot()
    curves = ico.faithfulness(network, image, ["occlusion", np.eye(96)], patch=48).plot()
    assert {type(changed.figure), *(type(axes.figure) for axes in curves)} == {Figure}
