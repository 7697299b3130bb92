"""The activation atlas against planted vectors, finite differences, and a head that is linear."""

import importlib
import json
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import iconoscope as ico
from iconoscope.representation import finished_pictures
from iconoscope.representation.activation_atlas import cells_with_vectors, crop_box, whitened
from iconoscope.representation.layer_vectors import read_vectors
from iconoscope.results.activation_atlas import cells_of, cosines
from iconoscope.results.atlas import PAGE

SIZE = 24


class Curved(nn.Module):
    """A convolution, and behind it a head that is smooth and far from linear, or a mean and one linear layer."""

    def __init__(self, linear=False):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 6, 5, 2, 2)
        self.relu = nn.ReLU()
        self.mixed = nn.Identity() if linear else nn.Sequential(nn.Conv2d(6, 6, 3, padding=1), nn.Softplus())
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        return self.head(self.mixed(self.relu(self.conv(x))).mean((2, 3)))


def network(module: Any = None) -> Any:
    preprocessing = {"size": SIZE, "mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)}
    module = Curved() if module is None else module
    return ico.load_network(module, preprocessing=preprocessing, classes=["a", "b", "c"], device="cpu")


def noise(count, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (count, SIZE, SIZE, 3), np.uint8)
    return ico.load_images(pixels, labels=[str(index % 3) for index in range(count)])


def read(net, images, each=2, seed=0, layer="relu"):
    with net.questioned():
        return read_vectors(net, images, layer, each=each, seed=seed)


def test_vectors_are_what_the_layer_answers_there_inside_its_border():
    net, images = network(), noise(5)
    vectors = read(net, images, each=3)
    shown = np.stack([net.preprocessing.shown(image) for image in images])
    with torch.no_grad():
        maps = net.module.relu(net.module.conv(net.preprocessing.normalise(shown))).numpy()
    row, column = vectors.positions.T
    np.testing.assert_allclose(vectors.vectors, maps[vectors.rows, :, row, column], rtol=1e-5, atol=1e-6)
    assert vectors.shape == (12, 12)
    assert vectors.positions.min() >= 1
    assert vectors.positions.max() <= 10
    assert len({(row, *place) for row, place in zip(vectors.rows, vectors.positions.tolist(), strict=True)}) == 15


def test_attributions_are_finite_differences_along_the_vector():
    net, images = network(), noise(3)
    net.module.double()
    vectors = read(net, images)
    module = net.module
    for at, (image, (row, column)) in enumerate(zip(vectors.rows, vectors.positions.tolist(), strict=True)):
        shown = net.preprocessing.normalise(net.preprocessing.shown(images[int(image)])[None]).double()
        with torch.no_grad():
            maps = module.relu(module.conv(shown))

            def logits(factor, maps=maps, row=row, column=column):
                moved = maps.clone()
                moved[:, :, row, column] *= factor
                return module.head(module.mixed(moved).mean((2, 3)))[0].numpy()

            slope = (logits(1 + 1e-4) - logits(1 - 1e-4)) / 2e-4
        np.testing.assert_allclose(vectors.attributions[at], slope, rtol=1e-4, atol=1e-7)


def test_behind_a_mean_and_a_linear_layer_attributions_are_exact():
    net, images = network(Curved(linear=True)), noise(4)
    vectors = read(net, images)
    weight = net.module.head.weight.detach().numpy()
    np.testing.assert_allclose(vectors.attributions, vectors.vectors @ weight.T / 144, rtol=1e-4, atol=1e-7)


class Tokens(nn.Module):
    """Patches and a token of the class, far from all of them, through a block of a transformer."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embed = nn.Conv2d(3, 4, 4, 4)
        self.tokens = nn.Identity()
        self.block = nn.TransformerEncoderLayer(4, 2, 8, 0.0, batch_first=True)
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        patches = self.embed(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([torch.full_like(patches[:, :1], 1e3), patches], 1)
        return self.head(self.block(self.tokens(tokens)).mean(1))


def test_vectors_of_tokens_are_those_of_patches_and_not_of_the_class():
    net, images = network(Tokens()), noise(3)
    tokens, maps = read(net, images, layer="tokens"), read(net, images, layer="embed")
    assert tokens.shape == maps.shape == (6, 6)
    assert np.abs(tokens.vectors).max() < 100
    # The same places, read as tokens and as maps of the layer before, add the same to the logits.
    np.testing.assert_array_equal(tokens.positions, maps.positions)
    np.testing.assert_allclose(tokens.vectors, maps.vectors, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(tokens.attributions, maps.attributions, rtol=1e-4, atol=1e-6)
    assert np.abs(tokens.attributions).max() > 1e-4
    assert torch.backends.mha.get_fastpath_enabled()


def test_cells_are_the_means_of_planted_clusters():
    random = np.random.default_rng(0)
    vectors = np.repeat(np.eye(2, 4), 30, axis=0) * 5 + random.normal(0, 0.01, (60, 4))
    points = np.repeat([[0.0, 0.0], [1.0, 1.0]], 30, axis=0) + random.uniform(0, 0.1, (60, 2))
    attributions = random.normal(size=(60, 3)).astype(np.float32)
    found = cells_with_vectors(cells_of(points, (2, 4)), vectors.astype(np.float32), attributions, 25)
    assert found.cells.tolist() == [[0, 0, 0], [0, 1, 1], [1, 0, 0], [1, 3, 3]]
    assert found.counts.tolist() == [30, 30, 30, 30]
    for half, cells in ((slice(0, 30), (0, 2)), (slice(30, 60), (1, 3))):
        for cell in cells:
            np.testing.assert_allclose(found.means[cell], vectors[half].mean(0), rtol=1e-5, atol=1e-7)
            np.testing.assert_allclose(found.attributions[cell], attributions[half].mean(0), rtol=1e-5)
    nearest = cosines(vectors[:30], vectors[:30].mean(0)[None])[:, 0].argmax()
    assert found.examples[0, 0] == nearest


def test_grids_nest():
    points = np.random.default_rng(1).normal(size=(500, 2))
    coarse, middle, fine = cells_of(points, (3, 6, 24))
    np.testing.assert_array_equal(middle // 2, coarse)
    np.testing.assert_array_equal(fine // 4, middle)
    assert fine.min() == 0
    assert fine.max() == 23


def test_whitened_directions_undo_what_all_vectors_have_in_common():
    random = np.random.default_rng(0)
    vectors = (random.normal(size=(4000, 3)) * [10, 1, 1]).astype(np.float32)
    moments = vectors.T.astype(float) @ vectors / len(vectors)
    means = np.array([[10.0, 1.0, 0.0]], np.float32)
    direction = whitened(means, vectors)[0]
    ridge = 0.3 * np.trace(moments) / 3
    np.testing.assert_allclose((moments + ridge * np.eye(3)) @ direction, means[0], rtol=1e-6, atol=1e-9)
    assert direction[0] / direction[1] < 5


def test_crops_stay_on_the_picture():
    for place in ((0, 0), (12, 12), (6, 3), (-1, -1)):
        top, left, bottom, right = crop_box(place, (13, 13), (227, 300))
        assert 0 <= top < bottom <= 227
        assert 0 <= left < right <= 300
        assert bottom - top == right - left


@pytest.fixture(scope="module")
def coloured():
    """Pictures in one of four colours, and a network whose channels answer these."""
    torch.manual_seed(0)
    module = Curved(linear=True)
    with torch.no_grad():
        colours = torch.tensor(
            [
                [1.0, -0.6, -0.6],
                [-0.6, 1.0, -0.6],
                [-0.6, -0.6, 1.0],
                [-0.6, 0.8, 0.8],
                [0.8, 0.8, -0.6],
                [0.8, -0.6, 0.8],
            ]
        )
        module.conv.weight.copy_(colours[:, :, None, None].expand(6, 3, 5, 5) / 25)
        nn.init.zeros_(module.conv.bias)  # pyright: ignore[reportArgumentType]
    random = np.random.default_rng(0)
    tones = np.array([[220, 30, 30], [30, 220, 30], [30, 30, 220], [220, 220, 30]])[np.arange(80) % 4]
    pixels = (tones[:, None, None] + random.integers(-25, 25, (80, SIZE, SIZE, 3))).clip(0, 255).astype(np.uint8)
    return network(module), ico.load_images(pixels)


def asked(coloured, **settings):
    net, images = coloured
    return ico.activation_atlas(
        net, images, "relu", **{"grids": (2, 4), "least": 4, "steps": 24, "method": "pca"} | settings
    )


def test_pictures_answer_their_own_cells_more_than_those_of_other_colours(coloured):
    atlas = asked(coloured, grids=(2,), steps=96)
    likeness = cosines(atlas.answers, atlas.means)
    np.testing.assert_allclose(np.diag(likeness), atlas.agreement)
    others = cosines(atlas.means, atlas.means) < 0.9
    assert others.sum(1).min() >= 2
    assert (np.where(others, likeness, -1).max(1) < np.diag(likeness) - 0.2).all()
    reddest = int((atlas.means[:, 0] - atlas.means[:, 1]).argmax())
    assert atlas.cell_pictures[reddest].reshape(-1, 3).mean(0).argmax() == 0


def test_an_atlas_is_the_same_by_its_seed_and_comes_back_from_disk(coloured, tmp_path):
    first, again, other = asked(coloured), asked(coloured), asked(coloured, seed=1)
    for name in ("points", "cells", "means", "cell_pictures", "crops"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert not np.array_equal(first.positions, other.positions)
    stored: Any = ico.load_result(first.save(tmp_path / "atlas"))
    assert stored.to_json() == first.to_json()
    assert stored.grids == (2, 4)
    assert stored.crop(int(stored.examples[0, 0])).shape == (stored.crop_side, stored.crop_side, 3)
    assert stored.sheet(0).shape == (2 * (SIZE + 5), 2 * (SIZE + 5), 3)
    assert stored.crop_pages[0][:2] == b"\xff\xd8"
    assert PAGE % stored.crop_side == 0
    assert sum(len(first.members(cell)) for cell in first.of_grid(0).tolist()) == first.counts[first.of_grid(0)].sum()


def test_of_many_classes_those_of_most_cells_have_frames(coloured):
    atlas = asked(coloured, grids=(4, 8, 16, 32), least=1, steps=1)
    speaks_for = np.minimum(np.arange(len(atlas)), 21)
    assert len(atlas) >= 24
    many = replace(atlas, classes=tuple(map(str, range(40))), attributions=np.eye(40, dtype=np.float32)[speaks_for])
    assert list(many.coloured) == [21, *range(11)] and many.unframed == 10
    for cell, is_framed in ((22, True), (0, True), (15, False)):
        grid, row, column = atlas.cells[cell].tolist()
        sheet = many.sheet(grid)
        pitch = sheet.shape[0] // atlas.grids[grid]
        corner = sheet[row * pitch, column * pitch].tolist()
        ink = many.coloured.get(int(speaks_for[cell]), "#ffffff")
        assert corner == list(bytes.fromhex(ink[1:])) and (corner != [255, 255, 255]) == is_framed


def test_a_grid_too_fine_for_its_vectors_is_left_out_of_figures(coloured, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (24, SIZE, SIZE, 3), np.uint8)
    atlas = ico.activation_atlas(coloured[0], pixels, "relu", grids=(2, 64), method="pca", steps=2)
    assert len(atlas.of_grid(0)) and not len(atlas.of_grid(1))
    assert atlas.middle == 0
    assert 0 <= atlas.recognised <= 1 and "0 of 64x64" in atlas.summary()
    assert set(atlas.pictures()) == {"picture.png"}
    atlas.save(tmp_path / "atlas.png")
    assert "0 of 64x64" in ico.report(atlas, tmp_path / "atlas.html").read_text()
    with pytest.raises(ico.errors.QuestionError, match="is of figures"):
        atlas.save(tmp_path / "atlas.html", dpi=300)
    with pytest.raises(ico.errors.QuestionError, match="grid of 64x64"):
        atlas.plot(grid=1)


def test_a_method_whose_package_is_missing_is_refused_before_anything_is_asked(coloured, monkeypatch):
    monkeypatch.setattr("iconoscope.exemplars.map.find_spec", lambda name: None)
    with pytest.raises(ico.errors.MissingExtraError, match="UMAP"):
        asked(coloured, method="umap")


def test_sheets_of_many_cells_stay_small(coloured, monkeypatch):
    atlas = asked(coloured, steps=2)
    whole = atlas.sheet(1)
    monkeypatch.setattr("iconoscope.results.activation_atlas._SHEET", 4 * SIZE // 2)
    assert whole.shape[0] - atlas.sheet(1).shape[0] == 4 * SIZE // 2


def test_pictures_that_ctrl_c_ended_before_their_last_step_are_not_kept(coloured, tmp_path, monkeypatch):
    optimize = finished_pictures.optimize
    monkeypatch.setattr(finished_pictures, "optimize", lambda *asked, **rest: optimize(*asked, **{**rest, "steps": 3}))
    with pytest.raises(KeyboardInterrupt):
        asked(coloured, grids=(2,), store=tmp_path / "store")
    assert not list((tmp_path / "store").glob(".atlas*/pictures*"))


def test_pictures_made_before_an_interruption_are_not_made_again(coloured, tmp_path, monkeypatch):
    module = importlib.import_module("iconoscope.representation.activation_atlas")
    monkeypatch.setattr(module, "_TOGETHER", 2)
    whole, calls = asked(coloured, grids=(2,)), []
    optimize = finished_pictures.optimize

    def interrupted(*arguments, **settings):
        calls.append(len(arguments[1]))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return optimize(*arguments, **settings)

    monkeypatch.setattr(finished_pictures, "optimize", interrupted)
    with pytest.raises(KeyboardInterrupt):
        asked(coloured, grids=(2,), store=tmp_path / "store")
    before = len(calls)
    atlas = asked(coloured, grids=(2,), store=tmp_path / "store")
    assert sum(calls[before:]) == len(atlas) - 2
    np.testing.assert_array_equal(atlas.cell_pictures, whole.cell_pictures)
    assert not list((tmp_path / "store").glob(".atlas*"))
    done = len(calls)
    again = asked(coloured, grids=(2,), store=tmp_path / "store")
    assert len(calls) == done
    assert again.question.key == atlas.question.key


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"grids": (10, 25)}, "25 is not a multiple of 10"),
        ({"grids": ()}, "grids is empty"),
        ({"grids": (0, 2)}, "grids=0"),
        ({"grids": "10"}, "must be a list"),
        ({"least": 1000}, "No cell has 1000"),
        ({"positions": 0}, "positions=0"),
        ({"positions": True}, "positions=True"),
        ({"method": "som"}, "som"),
        ({"style": "pretty"}, "pretty"),
        ({"steps": 0}, "steps=0"),
        ({"size": 0}, "size"),
        ({"seed": -1}, "seed"),
        ({"out": "atlas.txt"}, "atlas.txt"),
    ],
)
def test_settings_that_are_none_are_refused(coloured, settings, said):
    with pytest.raises(ico.errors.QuestionError, match=said):
        asked(coloured, **settings)


def test_layers_and_images_that_make_no_atlas_are_refused(coloured):
    net, images = coloured
    with pytest.raises(ico.errors.UnitError, match="rel"):
        ico.activation_atlas(net, images, "rely")
    with pytest.raises(ico.errors.QuestionError, match="whole layer"):
        ico.activation_atlas(net, images, "relu:3")
    with pytest.raises(ico.errors.QuestionError, match="16 or more"):
        ico.activation_atlas(net, images[:4], "relu")
    with pytest.raises(ico.errors.ImagesError, match="empty"):
        ico.activation_atlas(net, images[:0], "relu")
    aside = Curved(linear=True)
    aside.forward = lambda x: (
        aside.head(aside.conv(x).detach().mean((2, 3)))
        if aside.relu(x) is None
        else aside.head(aside.conv(x).mean((2, 3)))
    )
    with pytest.raises(ico.errors.NetworkError, match="do not come by relu"):
        ico.activation_atlas(network(aside), images, "relu")


def test_its_page_and_that_of_the_store_show_it(coloured, tmp_path):
    atlas = asked(coloured, store=tmp_path / "run", out=tmp_path / "atlas.html")
    page = (tmp_path / "atlas.html").read_text()
    data = json.loads(re.search(r'id="data">(.*?)</script>', page)[1])  # pyright: ignore[reportOptionalSubscript]
    assert [tuple(cell) for cell in data["cells"]] == [tuple(cell) for cell in atlas.cells.tolist()]
    assert [name for (name, _), *_ in data["classes"]] == [atlas.strongest(cell)[0][0] for cell in range(len(atlas))]
    assert len(data["ids"]) == len(atlas.with_crops) == max(map(max, data["examples"])) + 1
    assert data["ids"][data["examples"][0][0]] == atlas.ids[atlas.examples[0, 0]]
    store = ico.report(tmp_path / "run", tmp_path / "store.html").read_text()
    assert "What there is in a layer" in store
    assert atlas.summary().partition(":")[0] in store
