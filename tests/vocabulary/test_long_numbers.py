"""Numbers of thousands of digits are refused in our words wherever a text may hold one: Python would not read them."""

import pytest

import iconoscope as ico
from iconoscope.errors import IconoscopeError
from iconoscope.options import read_size
from iconoscope.subject.images.tables import typed_labels
from iconoscope.vocabulary.unit import LayerUnit, parse_unit

LONG = "9" * 5000


@pytest.fixture(scope="module")
def network():
    return ico.load_network("cars", device="cpu")


@pytest.mark.parametrize(
    "unit",
    [f"relu2:{LONG}", f"relu2:1@{LONG},1", f"relu2:1@1,{LONG}", f"logit:{LONG}", f"prob:{LONG}", LONG, f"bison:{LONG}"],
)
def test_a_unit(network, unit):
    with pytest.raises(IconoscopeError):
        network.resolve(unit)


@pytest.mark.parametrize("unit", [f"relu2:0-{LONG}", f"relu2:{LONG}-{LONG}"])
def test_a_range_of_units(network, unit):
    with pytest.raises(IconoscopeError):
        ico.optimize(network, unit, steps=1)


def test_a_device():
    with pytest.raises(IconoscopeError, match="is not a device"):
        ico.load_network("cars", device=f"cuda:{LONG}")


def test_a_label_stays_a_text():
    assert typed_labels([LONG, "3"]) == [LONG, "3"]


@pytest.mark.parametrize("size", [LONG, f"8x{LONG}"])
def test_a_size(size):
    with pytest.raises(ValueError, match="is not a size in pixels"):
        read_size(size)


def test_a_count_of_images():
    with pytest.raises(IconoscopeError):
        ico.load_images(f"hf:org/name[:{LONG}]")


def test_a_unit_of_eighteen_digits_is_still_one():
    assert parse_unit("relu2:" + "9" * 18) == LayerUnit("relu2", int("9" * 18))
