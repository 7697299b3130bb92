"""Maps side by side: one scale for all, and titles of what distinguishes them."""

from dataclasses import replace

import numpy as np
import pytest

import iconoscope as ico
from iconoscope.errors import QuestionError
from iconoscope.results import Occlusion
from specimens import attributed, curved, occlusion


def filled(fill, seed=0):
    result = occlusion(seed)
    settings = {**result.question.settings, "fill": fill}
    return replace(result, question=replace(result.question, settings=settings), measure="logit")


def test_one_number_has_one_colour_in_all_maps():
    results = [filled("zero"), replace(filled("mean"), occluded=3 * filled("mean").occluded - 1)]
    made = ico.grid(results)
    low = min(float(one.map.min()) for one in results)
    assert made.limits == (low, max(max(float(one.map.max()), float(one.clean[1])) for one in results))
    maps = made.plot()
    meshes = [axes.collections[0] for axes in maps]
    assert {mesh.get_clim() for mesh in meshes} == {made.limits}
    for mesh, result in zip(meshes, results, strict=True):
        assert np.array_equal(np.asarray(mesh.get_array()).reshape(result.map.shape), result.map)
    # One photograph, two maps, one bar.
    assert len(maps[0].figure.axes) == 4


def test_titles_are_what_distinguishes_the_results():
    assert ico.grid([filled("zero"), filled("mean")]).titles == ("fill zero", "fill mean")
    assert ico.grid([occlusion(), occlusion()]).titles == ("1", "2")
    other = replace(filled("mean"), question=replace(filled("mean").question, network="other"))
    assert ico.grid([filled("zero"), other]).titles == ("planted\nfill zero", "other\nfill mean")
    assert ico.grid([occlusion(0, "a.jpg"), occlusion(1, "b.jpg")]).titles == ("a.jpg", "b.jpg")
    assert ico.grid([filled("zero")], titles=["$x$"]).titles == ("$x$",)


def test_each_photograph_stands_over_its_map():
    made = ico.grid([occlusion(seed, f"{seed}.jpg") for seed in range(5)], columns=2, cmap="magma")
    maps = made.plot(colorbar=False)
    assert len(maps) == 5 and {axes.collections[0].get_cmap().name for axes in maps} == {"magma"}
    pictures = [axes for axes in maps[0].figure.axes if axes.images]
    assert [axes.get_title() for axes in pictures] == [f"{seed}.jpg" for seed in range(5)]


def test_a_grid_is_written_and_a_series_stands_for_its_parts(tmp_path):
    series = ico.OcclusionSeries((filled("zero"), filled("mean")))
    made = ico.grid([series, filled("blur")], out=tmp_path / "grid.png")
    assert isinstance(made.results[0], Occlusion) and len(made.results) == 3 and (tmp_path / "grid.png").stat().st_size
    with pytest.raises(QuestionError, match="A grid is a figure"):
        made.save(tmp_path / "folder")


@pytest.mark.parametrize(
    ("results", "settings", "message"),
    [
        ([], {}, "there are 0"),
        ([occlusion()] * 65, {}, "there are 65"),
        ([occlusion(), filled("zero")], {}, "probability.*logit.*no common scale"),
        ([occlusion(), attributed()], {}, "no common scale"),
        ([attributed(), replace(attributed(), method="captum:Saliency")], {}, "no common unit"),
        ([curved()], {}, "no map of one image"),
        ([3], {}, "no map of one image"),
        ([occlusion()], {"titles": ["a", "b"]}, "1 results and 2 titles"),
        ([occlusion()], {"columns": 0}, "columns=0"),
        ([occlusion()], {"cmap": "virids"}, "no colour map"),
        ([occlusion()], {"out": "x.html"}, "not written"),
    ],
)
def test_what_has_no_common_scale_is_refused(results, settings, message):
    with pytest.raises(QuestionError, match=message):
        ico.grid(results, **settings)
