"""The page of an activation atlas: where the store has one, and where it has none."""

import base64
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

import iconoscope as ico
from explore.browsing import browse
from iconoscope.explorer import open_session
from iconoscope.explorer.export import plan_export


@pytest.fixture(scope="module")
def atlas(network, images, tmp_path_factory):
    store = tmp_path_factory.mktemp("atlas") / "run"
    ico.record(network, images, store=store, workers=0)
    return store, ico.activation_atlas(
        network, images, "relu3", grids=(2, 4), least=3, steps=2, method="pca", store=store
    )


def test_a_store_without_an_atlas_says_how_one_is_made(client):
    page = client.get("/api/activation-atlas").json()
    assert page["layers"] == []
    assert page["layer"] == "relu4"
    assert "ico.activation_atlas(net, images, 'relu4'" in page["commands"]["python"]
    assert client.get("/api/activation-atlas?layer=relu3").status_code == 404
    assert client.get("/api/session").json()["atlas"] is True


def test_the_page_says_of_each_cell_what_the_result_does(network, images, atlas, rules):
    store, made = atlas
    with browse(open_session(network, images, store=store), rules) as client:
        page = client.get("/api/activation-atlas").json()
        picture = Image.open(io.BytesIO(client.get("/api/activation-atlas/pictures/0").content))
        crops = client.get("/api/activation-atlas/crops/0?layer=relu3")
        assert client.get("/api/activation-atlas/crops/9").status_code == 400
    assert page["layers"] == ["relu3"]
    assert [cell["count"] for cell in page["cells"]] == made.counts.tolist()
    assert [cell["classes"][0] for cell in page["cells"]] == [made.strongest(cell)[0][0] for cell in range(len(made))]
    assert len(page["crops"]) == len(made.with_crops)
    assert page["crops"][0]["number"] == images.ids.index(made.ids[made.with_crops[0]])
    assert "grids=[2, 4]" in page["commands"]["python"]
    assert "size" not in page["commands"]["python"]
    sheet, side = np.asarray(picture).astype(int), page["side"]
    first = np.asarray(Image.fromarray(made.cell_pictures[0]).resize((side, side), Image.Resampling.LANCZOS)).astype(
        int
    )
    assert np.abs(sheet[:side, :side] - first).mean() < 12
    assert crops.content[:2] == b"\xff\xd8"


def test_an_export_holds_the_atlas(network, images, atlas, tmp_path):
    store, made = atlas
    folder = plan_export(open_session(network, images, store=store)).write(tmp_path / "site")
    lines = (folder / "data" / "activation-atlas_pictures_0_layer_relu3.js").read_text().splitlines()
    written = re.search(r', (".*")\);$', lines[0])
    assert written
    sheet = base64.b64decode(json.loads(written[1]))
    assert Image.open(io.BytesIO(sheet)).size[0] == 4096
    described = (folder / "data" / "activation-atlas.js").read_text()
    assert f'"count":{made.counts[0]}' in described.replace(" ", "")
    session = (folder / "data" / "session.js").read_text()
    assert '"atlas": true' in session
