"""Sheets of maps and filters, against the network's own numbers."""

import numpy as np
import pytest
import torch

import iconoscope as ico
from iconoscope.errors import QuestionError, UnitError
from iconoscope.results import ActivationSheet


def test_maps_are_the_layers_own_brightest_first(cars, photographs, tmp_path):
    sheet = ico.activation_maps(cars, photographs[:1], "relu2", store=tmp_path / "run")
    shown = cars.preprocessing.normalise(cars.preprocessing.fit(photographs[0].pixels)[None])
    with cars.questioned(), torch.inference_mode():
        heard = []
        handle = cars.module.relu2.register_forward_hook(lambda m, i, o: heard.append(o.clone()))
        cars.run(shown)
        handle.remove()
    assert np.allclose(sheet.maps, heard[0][0].numpy()[sheet.channels], atol=1e-6)
    peaks = sheet.maps.max((1, 2))
    assert (np.diff(peaks) <= 0).all()
    assert sorted(sheet.channels.tolist()) == list(range(len(peaks)))
    again = ico.load_result(tmp_path / "run" / "activations" / sheet.question.key[:24])
    assert isinstance(again, ActivationSheet)
    assert np.array_equal(again.maps, sheet.maps)
    numbers = [text.get_text() for text in sheet.plot().texts]
    assert numbers == [str(channel) for channel in sheet.channels]


def test_filters_are_the_weights_and_grey_is_zero(cars, tmp_path):
    sheet = ico.first_filters(cars)
    weights = next(x for x in cars.module.modules() if isinstance(x, torch.nn.Conv2d)).weight.detach().numpy()
    assert np.array_equal(sheet.filters, weights)
    cells, _ = sheet._cells()
    assert cells.shape == (len(weights), *weights.shape[2:], 3)
    assert (np.abs(cells.astype(int) - 127.5).max((1, 2, 3)) >= 127).all()
    sheet.save(tmp_path / "filters.png")


def test_what_is_no_layer_of_maps_is_refused(cars, photographs):
    with pytest.raises(QuestionError, match="whole layer"):
        ico.activation_maps(cars, photographs[:1], "relu2:3")
    with pytest.raises(UnitError, match="not maps"):
        ico.activation_maps(cars, photographs[:1], "head")
    with pytest.raises(UnitError, match="has no layer"):
        ico.activation_maps(cars, photographs[:1], "relu99")
