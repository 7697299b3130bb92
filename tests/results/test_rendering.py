import io
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from iconoscope.results.rendering import cell_edges, colour, data_uri, lay_out, overlay, spread, to_jpeg, to_png
from specimens import audited, averaged, occlusion


def test_spread_against_a_loop():
    generator = np.random.default_rng(0)
    top, left, patch, size = np.array([0, 3, 6]), np.array([0, 4]), (4, 5), (9, 8)
    grid = generator.random((3, 2))
    total, count = np.zeros(size), np.zeros(size)
    for i, y in enumerate(top):
        for j, x in enumerate(left):
            total[y : y + 4, x : x + 5] += grid[i, j]
            count[y : y + 4, x : x + 5] += 1
    expected = np.divide(total, count, out=np.zeros(size), where=count > 0)
    assert np.allclose(spread(grid, top, left, patch, size), expected)


def test_cells_lie_around_the_centres_of_their_patches():
    top = np.arange(0, 20, 4)
    edges = cell_edges(top, 8, 24)
    centres = np.array([3.5, 7.5, 11.5, 15.5, 19.5])
    assert np.allclose((edges[1:] + edges[:-1]) / 2, centres)
    cells = np.arange(25).reshape(5, 5)[..., None].repeat(3, 2).astype(np.uint8)
    laid = lay_out(cells, top, top, (8, 8), (24, 24))
    assert laid.shape == (24, 24, 4)
    for row, y in enumerate((4, 8, 12, 16, 20)):
        assert laid[y, 12, 0] == row * 5 + 2
    assert laid[0, 0, 3] == 0 and laid[12, 12, 3] == 255


def test_colours_are_not_stretched():
    faint = colour(np.array([[0.98, 1.0]]), low=0, high=1).astype(int)
    assert np.abs(faint[0, 0] - faint[0, 1]).max() < 20


def test_the_overlay_is_red_where_it_counts():
    picture = np.full((4, 4, 3), 100, np.uint8)
    weight = np.zeros((4, 4))
    weight[1, 2] = 1
    laid = overlay(picture, weight).astype(int)
    assert laid[1, 2, 0] - laid[1, 2, 1] > 100 and (laid[0, 0] == laid[0, 0, 0]).all()


def test_encodings():
    picture = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(to_png(picture)))), picture)
    assert Image.open(io.BytesIO(to_jpeg(picture))).size == (40, 30)
    assert data_uri(to_png(picture)).startswith("data:image/png;base64,iVBOR")
    assert data_uri(to_jpeg(picture)).startswith("data:image/jpeg;base64,/9j/")


@pytest.mark.parametrize("result", [occlusion(), audited(), averaged()], ids=["occlusion", "audit", "mean map"])
def test_plot_gives_axes_and_shows_nothing(result, monkeypatch):
    monkeypatch.setattr(plt, "show", lambda *_, **__: pytest.fail("shown"))
    plt.switch_backend("agg")
    before = plt.get_fignums()
    axes = result.plot()
    assert axes.figure.get_axes()
    plt.close(axes.figure)
    figure, mine = plt.subplots()
    assert result.plot(mine) is mine
    plt.close(figure)
    result._repr_html_()
    assert plt.get_fignums() == before


def test_the_heat_map_marks_the_minimum_and_the_clean_answer():
    result = occlusion()
    figure, axes = plt.subplots()
    result.plot(axes)
    row, column = result.minimum
    marked = np.asarray(axes.lines[0].get_xydata())[0]
    assert abs(marked[1] - (result.top[row] + min(result.top[row] + 3, 9) - 1) / 2) <= 1
    assert abs(marked[0] - (result.left[column] + min(result.left[column] + 4, 12) - 1) / 2) <= 1
    assert axes.collections[0].get_clim() == (0, 1)
    bar = figure.axes[1]
    assert any(np.allclose(line.get_ydata(), result.clean[1]) for line in bar.lines)
    plt.close(figure)


def test_rounding_is_not_painted_red():
    result = occlusion()
    flat = np.broadcast_to(result.clean, result.occluded.shape) + np.float32(1e-8)
    quiet = replace(result, occluded=flat.astype(np.float32), measure="mean activation")
    laid = quiet.overlaid().astype(int)
    assert (laid == laid[..., :1]).all()
