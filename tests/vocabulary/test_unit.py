import pytest
from hypothesis import given
from hypothesis import strategies as st

from iconoscope.errors import UnitError
from iconoscope.vocabulary.unit import ClassUnit, LayerUnit, parse_unit

layer = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}(\.[A-Za-z0-9_]{1,8}){0,3}", fullmatch=True).filter(
    lambda name: name not in ("logit", "prob")
)
index = st.integers(0, 5000)


@given(layer, index, st.tuples(index, index))
def test_what_is_written_is_read_back(name, channel, position):
    for unit in (
        LayerUnit(name),
        LayerUnit(name, channel),
        LayerUnit(name, channel, position),
        LayerUnit(name, channel, "center"),
    ):
        assert parse_unit(str(unit)) == unit


@pytest.mark.parametrize("name", ["truck", "great white shark", "9", "a:b", "jack-o'-lantern"])
@pytest.mark.parametrize("kind", ["logit", "prob"])
def test_classes_keep_their_names_whole(kind, name):
    assert parse_unit(f"{kind}:{name}") == ClassUnit(kind, name)


@pytest.mark.parametrize(
    "text", ["", " ", "layer1:", "layer1:x", "layer1:3@", "layer1:3@5", "layer1@5,3", "layer1:-1", "prob:", "a b"]
)
def test_what_is_no_unit_is_refused_with_the_grammar(text):
    with pytest.raises(UnitError) as caught:
        parse_unit(text)
    assert "prob:truck" in caught.value.hint


def test_what_is_not_text_is_refused():
    with pytest.raises(UnitError, match="int"):
        parse_unit(3)  # pyright: ignore[reportArgumentType]
