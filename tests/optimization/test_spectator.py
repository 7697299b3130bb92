"""Who watches pictures grow changes nothing of them."""

import numpy as np
import pytest

import iconoscope as ico
from iconoscope.optimization import Style
from iconoscope.optimization.spectator import watched_by


class Spectator:
    """Sees every second step, and ends the making at one if it is told to."""

    def __init__(self, end=None):
        self.end, self.seen = end, []

    def wants(self, step):
        if step == self.end:
            raise KeyboardInterrupt
        return step % 2 == 0

    def see(self, growing):
        self.seen.append(growing)


@pytest.fixture(scope="module")
def network():
    return ico.load_network("cars-honest", device="cpu")


@pytest.mark.parametrize("style", ["default", "frequency", "none"])
def test_pictures_are_the_same_to_the_last_bit(network, style):
    spectator = Spectator()
    with watched_by(spectator):
        watched = ico.optimize(network, "conv4:0-1", steps=7, style=style)
    plain = ico.optimize(network, "conv4:0-1", steps=7, style=style)
    for name in ("images", "objective", "last_gradient", "frames"):
        np.testing.assert_array_equal(getattr(watched, name), getattr(plain, name))
    assert [growing.step for growing in spectator.seen] == [0, 2, 4]
    for growing in spectator.seen:
        assert growing.steps == 7
        assert growing.pictures.shape == growing.gradient.shape == (2, 3, 96, 96)
        np.testing.assert_array_equal(growing.scores, watched.objective[:, growing.step])
        assert growing.gradient.abs().amax() > 0


def test_the_gradient_is_that_of_the_step(network):
    spectator = Spectator()
    with watched_by(spectator):
        ico.optimize(network, "conv4:0", steps=6, style=Style(fade=1.0))
    until = ico.optimize(network, "conv4:0", steps=5, style=Style(fade=1.0))  # whose last step is the one that was seen
    np.testing.assert_allclose(spectator.seen[2].gradient[0].permute(1, 2, 0), until.last_gradient[0], atol=1e-6)


def test_who_watches_can_end_it(network):
    with watched_by(Spectator(end=4)), pytest.warns(ico.IconoscopeWarning, match="Interrupted"):
        result = ico.optimize(network, "conv4:0", steps=9)
    assert result.objective.shape == (1, 5)
