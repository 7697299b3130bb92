"""Lines that are copied from the explorer, run in the folder where network and images lie: they make the same figure again."""

import ast
import shlex

import numpy as np
import PIL.Image
import pytest
from safetensors.torch import save_file

import iconoscope as ico
from explore.browsing import browse
from iconoscope.cli import main
from iconoscope.explorer import open_session

PHOTOGRAPHS = 6


@pytest.fixture(scope="module")
def place(network, images, tmp_path_factory):
    """A folder with weights that are not those of the built-in network, photographs, and the same in one file."""
    folder = tmp_path_factory.mktemp("place")
    weights = {name: value.clone() for name, value in network.module.state_dict().items()}
    weights["head.bias"][1] += 1
    save_file(weights, folder / "tuned.safetensors")
    (folder / "photographs").mkdir()
    pixels = [images[number].pixels for number in range(PHOTOGRAPHS)]
    for number, picture in enumerate(pixels):
        PIL.Image.fromarray(picture).save(folder / "photographs" / f"{number}.png")
    (folder / "photographs" / "0.png").write_bytes(b"nonsense")
    np.save(folder / "photographs.npy", np.stack(pixels))
    return folder


@pytest.fixture(scope="module")
def tuned(place, network):
    said = {"classes": list(network.classes), "preprocessing": network.preprocessing}
    return ico.load_network("cars-honest", checkpoint=place / "tuned.safetensors", device="cpu", **said)


@pytest.fixture(autouse=True)
def here(place, monkeypatch):
    monkeypatch.chdir(place)


def run(lines):
    """Give what the last line of Python answers."""
    *before, last = ast.parse(lines).body
    assert isinstance(last, ast.Expr)
    names = {}
    exec(compile(ast.Module(before, []), "lines", "exec"), names)
    return eval(compile(ast.Expression(last.value), "line", "eval"), names)


def typed(line):
    program, *arguments = shlex.split(line)
    assert program == "iconoscope"
    return main([*arguments, "--quiet"])


HEAT = {"image": "1", "unit": "prob:bison", "patch": 32, "stride": 24, "fill": "mean", "view": "a"}


@pytest.mark.filterwarnings("ignore::iconoscope.errors.IconoscopeWarning")
def test_images_of_a_folder_one_of_which_is_broken(place, tuned, rules):
    """Number 1 of the recording is number 2 of the folder, and the network has the weights of the file."""
    images = ico.load_images(place / "photographs", limit=4)
    ico.record(tuned, images, store=place / "run", workers=0)
    with browse(open_session(tuned, images, store=place / "run"), rules) as client:
        page = client.get("/api/images/1").json()
        answers = run(page["commands"]["python"])
        assert answers[0].tolist() == pytest.approx(
            [entry["probability"] for entry in sorted(page["probabilities"], key=lambda entry: entry["index"])],
            abs=1e-4,
        )
        assert "--images photographs/2.png" in page["commands"]["shell"]
        assert "--checkpoint tuned.safetensors" in page["commands"]["shell"]
        assert typed(page["commands"]["shell"]) == 0
        heat = client.post("/api/heat", json=HEAT).json()
        np.testing.assert_allclose(run(heat["commands"]["python"]).drop, heat["drop"], atol=1e-4)
        assert typed(heat["commands"]["shell"]) == 0


def test_a_picture_that_begins_with_an_image(place, tuned, rules):
    images = ico.load_images(place / "photographs.npy")
    question = {"unit": "logit:bison", "start": "image:3", "steps": 2}
    with browse(open_session(tuned, images, store=place / "grown"), rules) as client:
        events = client.post("/api/optimizations", json=question).text
        last = [line for line in events.splitlines() if line.startswith("data")][-1]
        commands = ast.literal_eval(last.partition(": ")[2].replace("true", "True").replace("null", "None"))["commands"]
    assert "start=images[3]" in commands["python"]
    assert commands["shell"] == ""  # an image of a file of many has no name there
    np.testing.assert_array_equal(run(commands["python"]).images, made(tuned, images))


def made(network, images):
    return ico.optimize(network, "logit:bison", start=images[3], steps=2).images


def test_images_of_one_file_have_no_line_of_the_shell(place, tuned, rules):
    with browse(open_session(tuned, ico.load_images(place / "photographs.npy"), store=place / "none"), rules) as client:
        heat = client.post("/api/heat", json=HEAT).json()
        assert heat["commands"]["shell"] == ""
        np.testing.assert_allclose(run(heat["commands"]["python"]).drop, heat["drop"], atol=1e-4)


def test_maps_of_the_store_are_asked_again_as_they_were(place, tuned, rules):
    images = ico.load_images(place / "photographs.npy")
    ico.record(tuned, images, store=place / "kept", workers=0)
    occlusion = ico.occlude(
        tuned, images[2], "prob:lynx", patch=(48, 32), stride=(40, 16), fill="0.5", store=place / "kept"
    )
    with browse(open_session(tuned, images, store=place / "kept"), rules) as client:
        (heat,) = client.get("/api/images/2/heat").json()["maps"]
    again = run(heat["commands"]["python"])
    assert again.question.key == occlusion.question.key
    np.testing.assert_array_equal(again.drop, occlusion.drop)


def test_of_two_recordings_in_a_store_the_lines_name_the_folder(place, tuned, network, rules):
    images = ico.load_images(place / "photographs.npy")
    ico.record(tuned, images, store=place / "both", workers=0)
    ico.record(network, images, store=place / "both", workers=0)
    lines = []
    for subject in (tuned, network):
        session = open_session(subject, images, store=place / "both")
        with browse(session, rules) as client:
            commands = client.get("/api/units/relu4:1").json()["commands"]
            assert run(commands["python"]).question.weights == subject.digest()
            assert typed(commands["shell"]) == 0
            chosen = client.post("/api/selection", json={"images": [0, 1, 2]}).json()["commands"]
            assert chosen["shell"] == "" and run(chosen["python"]).examples == 3
            lines.append(commands["python"])
    assert "both/record/" in lines[0] and "'both'" in lines[1]


def test_a_map_is_made_again_as_it_was(place, tuned, rules):
    images = ico.load_images(place / "photographs.npy")
    image_map = ico.map_images(
        ico.record(tuned, images, store=place / "mapped", workers=0), "pca", store=place / "mapped"
    )
    with browse(open_session(tuned, images, store=place / "mapped"), rules) as client:
        commands = client.get("/api/map").json()["commands"]
    assert run(commands["python"]).question.key == image_map.question.key
    assert typed(commands["shell"]) == 0


def test_what_came_from_memory_is_left_open(network, images, tmp_path, rules):
    module = ico.load_network(network.module, classes=network.classes, preprocessing=network.preprocessing)
    with browse(open_session(module, images, store=tmp_path / "run"), rules) as client:
        commands = client.post("/api/heat", json=HEAT).json()["commands"]
    assert commands["shell"] == ""
    assert commands["python"].splitlines()[1].startswith("net = ...  # ")
    assert commands["python"].splitlines()[2].startswith("images = ...  # ")
