"""The images that a unit answers, against the responses and the maps themselves."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import iconoscope as ico
from iconoscope.errors import QuestionError, StoreError, UnitError
from iconoscope.exemplars.top import selectivity
from iconoscope.results import SIDES
from iconoscope.subject.response import activations


def test_the_spectrum_is_in_the_order_of_the_answers(recorded):
    top = ico.top_images(recorded, "relu3:5", 6, steps=5)
    values = recorded.responses[:, recorded.first_of("relu3") + 5]
    ordered = np.argsort(-values, kind="stable")
    assert top.sides == ("most",) * 6 + ("between",) * 5 + ("least",) * 6
    assert set(top.sides) <= set(SIDES)
    assert (np.diff(top.ranks) > 0).all()
    assert np.array_equal(top.values, values[ordered][top.ranks])
    assert [recorded.ids[row] for row in ordered[:6]] == list(top.ids[:6])
    assert top.counts.sum() == top.images == len(recorded)
    steps = np.diff(top.ranks[5:12])
    assert steps.max() - steps.min() <= 1


def test_the_field_holds_all_that_the_maximum_depends_on(cars, recorded):
    """Grey everything outside the field: the answer at its place stays what it was. Grey the field: it does not."""
    top = ico.top_images(recorded, "relu2:3", 4, steps=0)
    whole = (0, 0, *top.pictures_shown.shape[1:3])
    seen = 0
    for place in range(4):
        first, left, bottom, right = top.fields[place].tolist()
        if (first, left, bottom, right) == whole or top.values[place] == 0:
            continue
        seen += 1
        outside, inside = top.pictures_shown[place].copy(), top.pictures_shown[place].copy()
        kept = outside[first:bottom, left:right].copy()
        outside[:] = 128
        outside[first:bottom, left:right] = kept
        inside[first:bottom, left:right] = 128
        shown = cars.preprocessing.normalise(np.stack([outside, inside]))
        with cars.questioned(), torch.inference_mode():
            heard = activations(cars, shown, "relu2")
        maxima = heard[:, 3].amax((1, 2)).tolist()
        layer = next(layer for layer in recorded.layers if layer.name == "relu2")
        row = int(recorded.rankings["most_position"][recorded.first_of("relu2") + 3, place])
        there = heard[0, 3].flatten()[row]
        assert float(there) == pytest.approx(float(top.values[place]), rel=1e-4)
        assert divmod(row, layer.columns)[0] < layer.rows
        assert maxima[1] <= maxima[0] + 1e-4
    assert seen


def test_cells_are_crops_or_wholes_with_the_field_drawn(recorded):
    cropped = ico.top_images(recorded, "relu1:2", 5, steps=0)
    whole = ico.top_images(recorded, "relu1:2", 5, steps=0, whole=True)
    field = next(layer.field for layer in recorded.layers if layer.name == "relu1")
    assert max(cropped.cell(place).shape[0] for place in range(5)) <= field.size[0]
    assert len({cropped.cell(place).shape for place in range(len(cropped))}) == 1
    assert whole.cell(0).shape == whole.pictures_shown.shape[1:]
    assert ((whole.cell(0) == (0, 214, 255)).all(2)).any()


def test_selectivity_is_that_of_the_definitions():
    rng = np.random.default_rng(0)
    targets = np.repeat([0, 1, 2], [10, 20, 30])
    answers = rng.random(60)
    answers[targets == 1] += 2
    means = [answers[targets == group].mean() for group in range(3)]
    other = (means[0] + means[2]) / 2
    pooled = answers[targets != 1].mean()
    found, index, ccmas, refused = selectivity(answers, targets, 4, 0.0)
    assert np.allclose(found[:3], means, atol=1e-6)
    assert np.isnan(found[3])
    assert index == pytest.approx((means[1] - other) / (means[1] + other))
    assert ccmas == pytest.approx((means[1] - pooled) / (means[1] + pooled))
    assert refused == ""
    only = np.where(targets == 1, 1.0, 0.0)
    assert selectivity(only, targets, 3, 0.0)[1:3] == (1.0, 1.0)


def test_selectivity_is_refused_where_it_has_no_sense(recorded):
    logit = ico.top_images(recorded, "logit:lynx", 3)
    assert logit.class_selectivity is None
    assert logit.ccmas is None
    assert "below zero" in logit.refused
    assert "below zero" in logit.summary()
    assert selectivity(np.ones(4), np.full(4, -1), 2, 0.0)[3].startswith("it takes labelled images")
    assert "nothing" in selectivity(np.zeros(4), np.array([0, 0, 1, 1]), 2, 0.0)[3]


def test_the_picture_that_was_made_for_the_unit_stands_beside(cars, photographs, tmp_path):
    recording = ico.record(cars, photographs[:30], store=tmp_path / "run", k=5)
    before = ico.top_images(recording, "logit:lynx", 2, store=tmp_path / "run")
    assert before.optimized is None
    made = ico.optimize(cars, "logit:lynx", steps=4, store=tmp_path / "run")
    after = ico.top_images(recording, "logit:lynx", 2, store=tmp_path / "run")
    assert after.optimized is not None
    assert after.optimized.shape == made.bytes_of(0).shape
    assert after.question.key != before.question.key
    assert ico.top_images(recording, "relu3:1", 2).optimized is None


def test_a_figure_is_drawn_and_what_is_kept_comes_back(recorded, tmp_path):
    top = ico.top_images(recorded, "relu3:5", 3, steps=2, store=tmp_path / "run")
    again = ico.top_images(recorded, "relu3:5", 3, steps=2, store=tmp_path / "run")
    assert np.array_equal(again.pictures_shown, top.pictures_shown)
    assert again.to_json() == top.to_json()
    figure = top.plot().figure
    assert len(figure.axes) >= 2 + 8
    assert top.save(tmp_path / "top.png").stat().st_size > 10_000


def test_what_was_not_recorded_is_said_with_what_was(recorded):
    with pytest.raises(UnitError, match="recording of cars-honest has no layer 'nowhere'"):
        ico.top_images(recorded, "nowhere:3")
    with pytest.raises(UnitError, match="not a channel"):
        ico.top_images(recorded, "relu3")
    with pytest.raises(UnitError, match="relu3 has no channel 999: its channels are 0 to"):
        ico.top_images(recorded, "relu3:999")
    with pytest.raises(UnitError, match="no class 'linx'") as raised:
        ico.top_images(recorded, "logit:linx")
    assert "lynx" in raised.value.hint
    with pytest.raises(UnitError, match="not ranked"):
        ico.top_images(recorded, "prob:lynx")
    with pytest.raises(QuestionError, match="k=21 is not possible"):
        ico.top_images(recorded, "relu3:5", 21)


def test_of_a_few_images_all_are_shown(tmp_path):
    few = ico.record(
        ico.load_network("cars", device="cpu"), ico.demo_images(3, seed=3), layers=["relu4"], store=tmp_path
    )
    top = ico.top_images(few, "relu4:7", steps=0)
    assert top.sides.count("most") == 3 and len(set(top.ids)) == 3


def test_a_recording_is_opened_again_with_or_without_its_images(recorded, photographs, tmp_path):
    store = recorded.folder.parent.parent
    opened = ico.load_recording(store)
    assert opened.images is None
    with pytest.raises(QuestionError, match="not at hand"):
        ico.top_images(opened, "relu3:5")
    given = ico.load_recording(store, images=photographs)
    assert np.array_equal(ico.top_images(given, "relu3:5").ranks, ico.top_images(recorded, "relu3:5").ranks)
    with pytest.raises(ico.errors.ImagesError, match="40 of the 240 recorded images"):
        ico.load_recording(store, images=photographs[:200])
    with pytest.raises(StoreError, match="no recording"):
        ico.load_recording(tmp_path)


def test_dead_units_are_those_that_answer_nothing(photographs, tmp_path):
    network = ico.load_network("cars", device="cpu")
    with torch.no_grad():  # a network of its own, which nobody else asks
        state = network.module.state_dict()
        state["conv2.weight"][4] = 0
        state["bn2.bias"][4] = -1
        state["bn2.running_mean"][4] = 0
    recording = ico.record(network, photographs[:40], ["relu2", "conv2"], store=tmp_path / "run", k=3)
    assert "relu2:4" in recording.dead_units()
    assert recording.dead_units("conv2") == ("conv2:4",)
    alive = recording.responses.max(0) > 0
    for unit in recording.dead_units("relu2"):
        assert not alive[recording.units.index(unit)]
    assert "answered nothing" in recording.summary()


def test_a_figure_is_written_where_it_is_asked_for(cars, photographs, recorded, tmp_path):
    for name, ask in {
        "top": lambda out: ico.top_images(recorded, "relu3:5", 3, steps=2, out=out),
        "find": lambda out: ico.find_units(recorded, "lynx", out=out),
        "activations": lambda out: ico.activation_maps(cars, photographs[:1], "relu2", out=out),
        "filters": lambda out: ico.first_filters(cars, out=out),
    }.items():
        ask(tmp_path / f"{name}.png")
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        with pytest.raises(QuestionError, match=f"not written as {name}.xyz"):
            ask(tmp_path / f"{name}.xyz")


def test_hints_lead_to_what_was_meant(recorded):
    with pytest.raises(UnitError, match="no layer 'lynx'") as raised:
        ico.top_images(recorded, "lynx")
    assert "logit:lynx" in raised.value.hint
    with pytest.raises(UnitError, match="no layer 'bn1'") as raised:
        ico.top_images(recorded, "bn1:2")
    assert "layers" in raised.value.hint
    with pytest.raises(QuestionError, match="steps=5000"):
        ico.top_images(recorded, "relu3:5", steps=5000)


def test_a_figure_can_be_saved_by_matplotlib(recorded, tmp_path):
    figure: Any = ico.top_images(recorded, "relu3:5", 3, steps=2).plot().figure
    figure.savefig(tmp_path / "figure.png")


class Tokens(nn.Module):
    """A token of the class and sixteen patches, each with the mean colour of its own patch as features."""

    preprocessing = {"size": 16, "mean": (0.5,) * 3, "std": (0.5,) * 3, "crop": "none"}  # noqa: RUF012
    classes = ("a", "b", "c")

    def __init__(self):
        super().__init__()
        self.token = nn.Parameter(torch.tensor([[[2.0, -2.0, 0.0]]]))
        self.mlp = nn.Linear(3, 6)
        with torch.no_grad():
            self.mlp.weight.copy_(torch.cat([torch.eye(3), -torch.eye(3)]))
            self.mlp.bias.zero_()
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        patches = torch.nn.functional.avg_pool2d(x, 4).flatten(2).transpose(1, 2)
        return self.head(self.mlp(torch.cat([self.token.expand(len(x), -1, -1), patches], 1)).mean(1))


def test_the_strongest_token_is_framed_by_its_patch(tmp_path):
    pixels = np.full((12, 16, 16, 3), 100, np.uint8)
    places = [(place // 4 % 4, place % 4) for place in range(3, 15)]
    for picture, (row, column) in zip(pixels, places, strict=True):
        picture[4 * row : 4 * row + 4, 4 * column : 4 * column + 4, 1] = 250
    network = ico.load_network(Tokens(), device="cpu")
    recording = ico.record(network, pixels, store=tmp_path / "run", k=3)
    (layer,) = recording.layers
    assert (layer.name, layer.channels, layer.rows, layer.columns, layer.tokens) == ("mlp", 6, 4, 4, 17)
    top = ico.top_images(recording, "mlp:1", 3)  # green, which the token of the class has least of
    assert top.of_tokens
    assert not top.crop
    for id, field in zip(top.ids[:3], top.fields[:3].tolist(), strict=True):
        row, column = places[int(id)]
        assert field == [4 * row, 4 * column, 4 * row + 4, 4 * column + 4]
    red = ico.top_images(recording, "mlp:0", 3)  # the token of the class itself answers most: it has no patch
    assert red.fields[:3].tolist() == [[0, 0, 16, 16]] * 3
    np.testing.assert_allclose(red.values[:3], 2.0)
    mean = recording.vectors("mean:mlp")[:, 1]
    with torch.no_grad():
        shown = network.preprocessing.normalise(pixels)
        wanted = torch.cat(
            [torch.full((12, 1), -2.0), torch.nn.functional.avg_pool2d(shown, 4)[:, 1].flatten(1)], 1
        ).mean(1)
    np.testing.assert_allclose(mean, wanted.numpy(), atol=1e-6)


def test_equal_answers_are_shown_once(tmp_path):
    pixels = np.full((30, 16, 16, 3), 100, np.uint8)  # all alike, so that every answer is equal
    network = ico.load_network(Tokens(), device="cpu")
    recording = ico.record(network, pixels, store=tmp_path / "run", k=5)
    top = ico.top_images(recording, "mlp:1", 5, steps=8)
    assert len(set(top.ids)) == len(top.ids)
