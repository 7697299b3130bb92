"""What public functions are called with: numbers of other libraries are numbers, and what is none is refused by its name."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import iconoscope as ico
from iconoscope.errors import QuestionError
from iconoscope.signatures import checked


@checked
def typed(
    count: int = 1,
    rate: float = 0.5,
    sides: int | tuple[int, int] | None = None,
    names: Sequence[str] | None = None,
    out: str | Path | None = None,
    exact: bool = False,
    patches: int | tuple[int, int] | list[int] | list[tuple[int, int]] | None = None,
):
    return locals()


asked: Any = typed  # what is given here is of wrong types on purpose
public: Any = ico


@pytest.mark.parametrize("number", [3, np.int64(3), np.uint8(3), np.array(3), torch.tensor(3)])
def test_a_whole_number_of_any_library_is_one(number):
    assert type(asked(count=number)["count"]) is int and asked(count=number)["count"] == 3
    assert type(asked(rate=number)["rate"]) is float
    assert asked(sides=(number, number))["sides"] == (3, 3)


@pytest.mark.parametrize("number", [0.25, np.float32(0.25), np.array(0.25), torch.tensor(0.25)])
def test_a_number_of_any_library_is_one(number):
    assert type(asked(rate=number)["rate"]) is float and asked(rate=number)["rate"] == 0.25
    with pytest.raises(QuestionError, match=r"count=.* must be a whole number"):
        asked(count=number)


@pytest.mark.parametrize(
    "wrong", [True, "3", 3.5, None, 2**63, 10**400, [3], 3j, np.array([3, 4]), np.bool_(True), b"3"]
)
def test_what_is_no_whole_number_is_refused_by_its_name(wrong):
    with pytest.raises(QuestionError, match="count"):
        asked(count=wrong)
    with pytest.raises(QuestionError, match="sides"):
        asked(sides=(wrong, 1))


@pytest.mark.parametrize("wrong", [float("nan"), np.float32("nan"), "0.5", None, True, 10**400])
def test_what_is_no_number_is_refused_by_its_name(wrong):
    with pytest.raises(QuestionError, match="rate"):
        asked(rate=wrong)


def test_lists_pairs_and_texts():
    assert asked(names="relu2")["names"] == ["relu2"]
    assert asked(names=("a", "b"))["names"] == ("a", "b")
    assert asked(sides=[8, 12])["sides"] == (8, 12)
    assert asked(patches=[8, 12])["patches"] == [8, 12]
    assert asked(patches=[(8, 12)])["patches"] == [(8, 12)]
    assert asked(patches=(8, 12))["patches"] == (8, 12)
    assert asked(exact=np.bool_(True))["exact"] is True
    for wrong in ([1], ["a", None], 3, b"ab"):
        with pytest.raises(QuestionError, match="names"):
            asked(names=wrong)
    with pytest.raises(QuestionError, match="exact='yes' must be True or False"):
        asked(exact="yes")


@pytest.mark.parametrize("wrong", ["a\0b", "~nouser-here/x", "a" * 300, "a/" * 3000, "\ud800", Path("\0"), 3, b"x"])
def test_what_no_file_can_be_called_is_refused(wrong):
    with pytest.raises(QuestionError, match="out"):
        asked(out=wrong)


def test_a_name_that_is_not_utf8_is_one(tmp_path):
    assert asked(out="a\udcff.png")["out"] == "a\udcff.png"


def test_everything_else_is_said_by_the_function_itself():
    with pytest.raises(TypeError, match="unexpected keyword"):
        asked(cuont=3)


def test_public_functions_are_checked():
    """A public function refuses what is of no type that it takes, by the name of the parameter."""
    network = ico.load_network("cars-honest", device="cpu")
    image = ico.demo_images(2, seed=1)[0]
    for ask in (
        lambda: public.occlude(network, image, patch=True),
        lambda: public.occlude(network, image, patch="48"),
        lambda: public.occlude(network, image, seed=np.float64(0.5)),
        lambda: public.attribute(network, image, steps="3"),
        lambda: public.faithfulness(network, image, steps=True),
        lambda: public.optimize(network, "logit:lynx", count=True),
        lambda: public.optimize(network, "logit:lynx", steps="3"),
        lambda: public.dream(network, image, "conv3", rate="fast"),
        lambda: public.predict(network, [image], batch=2.5),
        lambda: public.load_images([image], limit=True),
        lambda: public.demo_images("3"),
        lambda: public.predict("cars", [image]),
        lambda: public.report(np.array(2)),
        lambda: public.report(torch.tensor(2)),
    ):
        with pytest.raises(QuestionError, match="must be"):
            ask()
    assert public.occlude(network, image, patch=np.int64(48), stride=torch.tensor(48), seed=np.array(0)).map.shape == (
        2,
        2,
    )


def test_a_type_that_is_not_imported_is_said_by_the_docstring():
    network = ico.load_network("cars", device="cpu")
    with pytest.raises(QuestionError, match=r"(?s)^image=None is not what it may be.*The photograph: a file"):
        public.fool(network, None, "bison")
