import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import iconoscope as ico
from iconoscope import cli
from iconoscope.cli import main
from iconoscope.commands import COMMANDS
from iconoscope.demo.photographs import keep_photographs
from iconoscope.removed_names import REMOVED_COMMANDS

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Figures are written where the shell is."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def photographs(tmp_path):
    """Four photographs of cars in class folders, with masks beside them."""
    keep_photographs(ico.demo_images(4, seed=5), tmp_path)
    return tmp_path / "photographs"


def run(capsys, *arguments):
    status = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return status, out, err


@pytest.fixture
def no_graph(monkeypatch):
    """No network is traced: the question is not worth it, and goes to the plain engine."""
    monkeypatch.setattr("iconoscope.occlusion.incremental.exact._recent_graphs", {})
    monkeypatch.setattr("iconoscope.occlusion.incremental.exact.LEAST_WORK", float("inf"))


def test_every_command_takes_a_language():
    described = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    for name in COMMANDS:
        assert described.partition(f"## iconoscope {name}\n")[2].partition("\n## ")[0].count("--lang STR") == 1, name


def test_the_language_of_a_command_is_that_of_its_words_and_figures_and_ends_with_it(capsys, photographs):
    _, out, _ = occlude(
        capsys, photographs, "--limit", 1, "--patch", 24, "--stride", 24, "--lang", "es", "--out", "a.svg"
    )
    assert "probabilidad de " in out and "La figura está en" in out and "probability" not in out
    drawn = ico.load_result(next((photographs.parent / "run" / "occlude").iterdir()))
    with ico.set_language("es"):
        drawn.save("b.svg")
    drawn.save("c.svg")
    spanish, again, english = (Path(f"{name}.svg").read_bytes() for name in "abc")
    assert spanish == again != english
    assert run(capsys, "layers", "--network", "cars", "--lang", "fr")[0] == 2


def test_a_command_without_a_language_speaks_the_one_that_was_chosen(capsys, photographs):
    asked = photographs, "--limit", 1, "--patch", 24, "--stride", 24
    with ico.set_language("es"):
        assert "probabilidad de " in occlude(capsys, *asked)[1]
        assert "probability" in occlude(capsys, *asked, "--lang", "en")[1]
        assert ico.language.current_language() == "es"


def test_figures_of_a_set_are_told(capsys, photographs, tmp_path):
    status, out, _ = occlude(capsys, photographs, "--out", "maps.png")
    assert status == 0
    assert len(list(tmp_path.glob("maps-*.png"))) > 1
    assert f"The figures are {tmp_path / 'maps-1.png'}" in out


def test_one_page_has_the_photographs_of_all(capsys, photographs):
    patch = ("--patch", 24, "--stride", 24)
    status, out, _ = occlude(capsys, photographs, *patch, "--out", "page.html")
    page = Path("page.html")
    assert status == 0 and f"The page is at {page.resolve()}" in out
    text = page.read_text(encoding="utf-8")
    assert text.count('class="iconoscope-live"') == 4 and '<html lang="en">' in text
    status, out, _ = occlude(capsys, photographs, *patch, "--out", "page.html", "--lang", "es", "--limit", 1, "--json")
    text = page.read_text(encoding="utf-8")
    assert status == 0 and [each["page"] for each in json.loads(out)] == [str(page.resolve())]
    assert text.count('class="iconoscope-live"') == 1 and '<html lang="es">' in text and "Mueva el parche" in text


def occlude(capsys, photographs, *more):
    store = photographs.parent / "run"
    common = ("--network", "cars-honest", "--device", "cpu", "--store", store)
    return run(capsys, "occlude", "--images", photographs, *common, *(more or ("--patch", 24, "--stride", 24)))


def test_settings_are_read_where_a_program_has_imported_pydantic(capsys, photographs):
    """Cyclopts then holds what was typed against the types of options, and what was converted too."""
    pytest.importorskip("pydantic")
    status, out, _ = occlude(capsys, photographs, "--patch", "24,48", "--stride", "24x48", "--limit", 1)
    assert status == 0 and "(24x24)" in out and "(48x48)" in out


def test_a_question_and_the_same_from_python(capsys, photographs):
    status, out, err = occlude(capsys, photographs, "--json", "--patch", 24, "--stride", 24)
    assert status == 0
    told = json.loads(out)
    results = ico.occlude(
        ico.load_network("cars-honest", device="cpu"), ico.load_images(photographs), patch=24, stride=24
    )
    assert [answer["key"] for answer in told] == [result.question.key for result in results]
    assert np.allclose([answer["map"] for answer in told], [result.map for result in results], atol=1e-5)
    assert all(Path(answer["folder"], "picture.png").is_file() for answer in told)
    assert "mean 0.5, 0.5, 0.5; std 0.25, 0.25, 0.25; from the checkpoint" in err


def test_asked_again_it_is_answered_from_the_store(capsys, photographs):
    occlude(capsys, photographs)
    places = {place: place.stat().st_mtime_ns for place in (photographs.parent / "run").rglob("*")}
    status, out, _ = occlude(capsys, photographs)
    assert status == 0 and out.count("/run/occlude/") == 4
    assert {place: place.stat().st_mtime_ns for place in (photographs.parent / "run").rglob("*")} == places


def test_pairs_and_units_from_the_shell(capsys, photographs):
    status, out, _ = occlude(
        capsys, photographs, "--json", "--limit", 1, "--patch", "24x48", "--stride", "24,48", "--unit", "logit:bison"
    )
    (told,) = json.loads(out)
    assert status == 0
    assert told["patch"] == [24, 48] and told["top"] == [0, 24, 48, 72] and told["left"] == [0, 48]
    assert told["question"]["unit"] == "logit:bison" and told["measure"] == "logit"


def test_occlude_and_report(capsys, photographs):
    store = photographs.parent / "run"
    for network in ("cars", "cars-honest"):
        asked = ("--network", network, "--images", photographs, "--masks", photographs.parent / "masks", "--patch", 48)
        status, out, _ = run(capsys, "occlude", *asked, "--store", store, "--json")
        assert status == 0 and [answer["object"]["area"] > 0 for answer in json.loads(out)] == [True] * 4
    page = photographs.parent / "r.html"
    status, out, _ = run(capsys, "report", "--store", store, "--out", page, "--json")
    assert status == 0 and json.loads(out) == {"report": str(page)}
    assert "What did cars and cars-honest learn?" in page.read_text()


def test_curves_of_the_occlusion_map_and_of_a_file(capsys, photographs):
    store = photographs.parent / "run"
    common = ("faithfulness", "--network", "cars-honest", "--device", "cpu", "--images", photographs, "--store", store)
    status, out, _ = run(capsys, *common, "--patch", 24, "--stride", 12, "--steps", 6, "--json")
    told = [answer["results"][0] for answer in json.loads(out)]
    assert status == 0 and len(told) == 4
    images = ico.load_images(photographs)
    network = ico.load_network("cars-honest", device="cpu")
    results = [one.results[0] for one in ico.faithfulness(network, images, patch=24, stride=12, steps=6)]
    assert [answer["key"] for answer in told] == [result.question.key for result in results]
    assert np.allclose([x["deletion"]["area"] for x in told], [x.deletion_area for x in results], atol=1e-5)
    maps = photographs.parent / "maps.npy"
    np.save(maps, np.stack([result.attribution for result in results]))
    status, out, _ = run(capsys, *common, "--patch", 24, "--maps", maps, "--steps", 6, "--json")
    given = [answer["results"][0] for answer in json.loads(out)]
    assert status == 0 and given[0]["ranked_by"] == "a map from maps.npy"
    assert np.allclose([x["insertion"]["area"] for x in given], [x["insertion"]["area"] for x in told], atol=1e-5)
    status, out, err = run(capsys, *common, "--maps", maps, "--limit", 3)
    assert (status, out) == (2, "") and "4 maps were given for 3 images" in err
    page = photographs.parent / "r.html"
    assert run(capsys, "report", "--store", store, "--path", page)[0] == 0
    assert "How good are the maps?" in page.read_text()


def test_several_patches_several_fills_and_the_mean(capsys, photographs):
    store = photographs.parent / "run"
    common = ("--network", "cars-honest", "--images", photographs, "--store", store, "--stride", 24, "--limit", 3)
    status, out, _ = run(capsys, "occlude", *common, "--patch", "24,24x48", "--fill", "mean", "--json")
    told = json.loads(out)
    assert status == 0 and [result["patch"] for result in told[0]["results"]] == [[24, 24], [24, 48]]
    assert all(Path(folder, "result.json").is_file() for each in told for folder in each["folders"])
    status, out, _ = run(capsys, "occlude", *common, "--patch", 24, "--fill", "zero,mean")
    assert status == 0 and out.count("/run/occlude/") == 6
    assert out.splitlines()[-1] == f"robust: {out.count(': robust.')} of 3 images"
    status, out, _ = run(
        capsys, "occlude", *common, "--patch", 24, "--fill", "mean", "--mean", "--memory", "500MB", "--json"
    )
    told = json.loads(out)
    assert status == 0 and told["images"] == 3 and Path(told["folder"], "result.json").is_file()
    assert len(ico.Store(store)) == 3 * 3 + 1  # mean and zero with 24, mean with 24x48; the same question is kept once
    status, out, _ = run(capsys, "report", "--store", store, "--path", photographs.parent / "r.html")
    assert status == 0 and "The mean over 3 images" in (photographs.parent / "r.html").read_text()


def test_predict_and_layers(capsys, photographs):
    status, out, _ = run(capsys, "predict", "--network", "cars-honest", "--images", photographs, "--json")
    told = json.loads(out)
    assert status == 0 and told["top1"] == 1 and len(told["images"]) == 4
    assert told["images"][0]["id"] == "bison/" + Path(told["images"][0]["id"]).name
    status, out, _ = run(capsys, "layers", "--network", "cars")
    assert status == 0 and "conv1" in out and out.splitlines()[0].startswith("layer")


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["occlude", "--network", "nosuch", "--images", "."], 2, "'nosuch' names no network"),
        (["occlude", "--network", "nosuch"], 2, "--images is missing"),
        (["occlude", "--network", "cars", "--images", ".", "--ptach", "3"], 2, "--ptach"),
        (["ocludde"], 2, "occlude"),
        (["occlude", "--network", "cars", "--images", "{photographs}", "--patch", "big"], 2, "big"),
        (["occlude", "--network", "cars", "--images", "{photographs}", "--patch", "97"], 2, "does not fit"),
        (
            ["occlude", "--network", "cars", "--images", "{photographs}", "--out", "a.txt"],
            2,
            "may end in .html, .htm, .png",
        ),
        (
            ["occlude", "--network", "cars", "--images", "{photographs}", "--mean", "--out", "a.html"],
            2,
            "may end in .png",
        ),
        (["occlude", "--network", "cars", "--images", "{photographs}", "--lang", "fr"], 2, "lang='fr' is not a choice"),
        (["occlude", "--network", "cars", "--images", "{photographs}", "--unit", "prob:lynks"], 2, "lynx"),
        (["occlude", "--network", "cars", "--images", "{photographs}", "--fill", "grey"], 2, "fill='grey'"),
        (["occlude", "--network", "cars", "--images", "{photographs}", "--device", "tpu"], 2, "tpu"),
        (
            ["occlude", "--network", "cars", "--images", "{photographs}", "--store", "{photographs}"],
            1,
            "something else in it",
        ),
        (["occlude", "--network", "cars", "--images", "nosuch/"], 1, "nosuch"),
        (["predict", "--network", "cars", "--checkpoint", "nosuch.safetensors", "--images", "."], 1, "does not exist"),
        (["report", "--store", "nosuch"], 1, "holds no result"),
        (["demo", "--count", "0"], 2, "count=0"),
        (["occlude", "--network", "cars", "--images", "{photographs}", "--memory", "plenty"], 2, "500MB, 2GB"),
        (["occlude", "--network", "cars", "--images", "{photographs}", "--memory", "1kB"], 2, "too little"),
        (["occlude", "--network", "cars", "--images", "{photographs}", "--patch", "16,big"], 2, "'big' is not a size"),
        (["occlude", "--network", "cars", "--images", "{photographs}", "--patch", "16,97"], 2, "does not fit"),
        (["occlude", "--network", "cars", "--images", "{photographs}", "--fill", "grey"], 2, "fill='grey'"),
        (["occlude", "--network", "cars", "--images", "{photographs}", "--mean", "--fill", "zero,mean"], 2, "one fill"),
    ],
)
def test_an_error_is_a_clear_line_and_a_hint(capsys, photographs, tmp_path, monkeypatch, arguments, status, says):
    monkeypatch.chdir(tmp_path)
    found, out, err = run(capsys, *(argument.format(photographs=photographs) for argument in arguments))
    assert (found, out) == (status, "")
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and says in err
    assert "Traceback" not in err


@pytest.mark.parametrize("command", sorted(set(REMOVED_COMMANDS) - set(COMMANDS)))
def test_a_command_that_has_gone_says_what_to_type_now(capsys, command):
    status, out, err = run(capsys, command, "--network", "cars", "--quiet")
    assert (status, out) == (2, "")
    assert err == f"error: The command {command} has gone.\nhint: {REMOVED_COMMANDS[command]}\n"


def test_debug_shows_where(capsys):
    status, _, err = run(capsys, "layers", "--network", "nosuch", "--debug")
    assert status == 2 and "Traceback" in err and "NetworkNameError" in err


def bad_files(folder):
    """The files that arrive in real folders."""
    whole = (folder / "bison").glob("*.png").__next__().read_bytes()
    (folder / "lynx" / "text.png").write_text("this is not a picture")
    (folder / "lynx" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "lynx" / "empty.jpg").write_bytes(b"")
    Image.new("1", (20_000, 20_000)).save(folder / "lynx" / "bomb.png")


def test_bad_files_are_counted_and_named(capsys, photographs):
    bad_files(photographs)
    status, out, err = occlude(capsys, photographs)
    assert status == 0 and out.count("/run/occlude/") == 4
    assert "note: 4 of 8 images could not be read and were left out" in err
    for name in ("bomb.png", "cut.png", "empty.jpg", "text.png"):
        assert name in err
        status, out, told = occlude(capsys, photographs / "lynx" / name)
        assert (status, out) == (1, "") and name in told
    assert "400,000,000" in err or "20000" in err


def test_a_broken_checkpoint(capsys, tmp_path, photographs):
    whole = (ROOT / "src/iconoscope/subject/builtin/weights/cars.safetensors").read_bytes()
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(whole[:100_000])
    status, _, err = run(capsys, "predict", "--network", "cars", "--checkpoint", broken, "--images", photographs)
    assert status == 1 and "broken.safetensors is not a whole safetensors file" in err


def test_interrupted(capsys, photographs, no_graph, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("iconoscope.occlusion.incremental.exact.scan_dense", interrupt)
    status, _, err = occlude(capsys, photographs)
    assert status == 130 and "Interrupted" in err


@pytest.fixture(scope="module")
def helps():
    """What every command says of itself, the program under an empty name, and whether torch had been imported by then."""
    code = """if True:
        import contextlib, io, json, sys
        from iconoscope.cli import main
        helps = {}
        for name in ["", *sys.argv[1:]]:
            with contextlib.redirect_stdout(io.StringIO()) as output:
                main([*name.split(), "--help"])
            helps[name] = [output.getvalue(), "torch" in sys.modules]
        print(json.dumps(helps))
    """
    command = [sys.executable, "-c", code, *COMMANDS]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_help_does_not_wait_for_torch(helps, name):
    text, has_torch = helps[name]
    assert not has_torch and "Usage: iconoscope" in text
    if name:
        assert "Examples:" in text
        assert "--json" in text


@pytest.mark.parametrize(
    ("own", "spins"), [({}, "3000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "ACTIVE"}, None)]
)
def test_threads_of_torch_sleep_soon_unless_the_environment_says_how_long_they_look_for_work(
    capsys, monkeypatch, own, spins
):
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.setenv(name, "so that it is put back")
        monkeypatch.delenv(name)
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    seen = []
    monkeypatch.setattr(cli, "_answer", lambda _: seen.append(os.environ.get("GOMP_SPINCOUNT")) or 0)
    before = dict(os.environ)
    assert main(["--version"]) == 0
    assert seen == [spins] and dict(os.environ) == before


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have another OpenMP")
def test_openmp_reads_how_long_threads_look_for_work():
    code = "from iconoscope.cli import main; main(['layers', '--network', 'cars'])"
    environment = {
        name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    }
    environment |= {"OMP_DISPLAY_ENV": "verbose"}
    told = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment
    ).stderr
    assert "GOMP_SPINCOUNT = '3000'" in told


def test_help_is_there_at_once():
    """By the processor's clock, the best of some: other work on the machine only ever adds."""
    seconds = []
    for _ in range(3):
        before = os.times()
        subprocess.run([sys.executable, "-m", "iconoscope", "--help"], check=True, capture_output=True)
        after = os.times()
        seconds.append(after.children_user + after.children_system - before.children_user - before.children_system)
    assert min(seconds) < 0.5


@pytest.mark.parametrize("name", COMMANDS)
def test_options_are_the_functions_own(helps, name):
    """Every parameter of a technique is an option, with the text of its docstring."""
    import inspect

    missing = [
        parameter
        for parameter in inspect.signature(COMMANDS[name].load()).parameters
        if f"--{parameter.replace('_', '-')}" not in helps[name][0]
    ]
    assert not missing


def test_a_prior_is_fitted_and_pictures_are_made_along_it(capsys, tmp_path):
    keep_photographs(ico.demo_images(24, seed=5), tmp_path)
    file, store = tmp_path / "cars.safetensors", tmp_path / "run"
    fit = ("prior", "fit", "--images", tmp_path / "photographs", "--size", 96, "--out", file)
    status, out, err = run(capsys, *fit, "--json")
    told = json.loads(out)
    assert status == 0 and told["classes"] == ["bison", "lynx"] and told["file"] == str(file)
    assert ico.load_prior(file).digest() == told["digest"] and "reading images" in err
    make = ("optimize", "logit:lynx", "--network", "cars-honest", "--device", "cpu", "--steps", 3, "--store", store)
    status, out, _ = run(capsys, *make, "--prior", file)
    assert status == 0 and "of real images are less likely" in out
    status, out, _ = run(capsys, "report", "--store", store, "--path", tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert status == 0 and "the real image that is nearest to it" in page and "gaussian prior cars" in page
    for arguments, hint in (
        (("--prior", "cifar11"), "cifar10"),
        (("--prior", file, "--style", "none"), "Leave one out"),
    ):
        status, _, err = run(capsys, *make, *arguments)
        assert status in (1, 2) and hint in err and "Traceback" not in err
    status, _, err = run(capsys, "prior", "fit", "--images", tmp_path / "nothing")
    assert status in (1, 2) and "nothing" in err
    status, _, err = run(capsys, "prior", "fti")
    assert status == 2 and "fti" in err


def test_a_closed_pipe_is_no_traceback():
    command = f"{sys.executable} -m iconoscope layers --network cars | head -n 1"
    told = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert "Traceback" not in told.stderr and told.stdout.startswith("layer")


def test_the_defaults_that_help_states_are_used(capsys, photographs, monkeypatch):
    """Each command as the README has it, with no folder named."""
    monkeypatch.chdir(photographs.parent)
    assert run(capsys, "occlude", "--network", "cars", "--images", "photographs", "--limit", 1, "--patch", 48)[0] == 0
    average = ("--network", "cars", "--images", "photographs", "--limit", 1, "--patch", 48, "--mean")
    assert run(capsys, "occlude", *average)[0] == 0
    status, _, _ = run(capsys, "report")
    assert status == 0 and (photographs.parent / "report.html").is_file()
    assert len(list((photographs.parent / "iconoscope-run").glob("*/*/result.json"))) == 2


def test_labels_that_the_network_does_not_have_are_said(capsys, photographs):
    (photographs / "lynx").rename(photographs / "leopard")
    _, _, err = run(capsys, "predict", "--network", "cars", "--images", photographs)
    assert "'leopard' (2)" in err


def test_two_classes_of_one_name_are_both_there(capsys, photographs):
    _, out, _ = run(
        capsys, "predict", "--network", "cars", "--classes", '["a", "a"]', "--images", photographs, "--json"
    )
    first = json.loads(out)["images"][0]["probabilities"]
    assert {(found["class"], found["index"]) for found in first} == {("a", 0), ("a", 1)}


def test_our_own_mistakes_are_a_sentence_too(capsys, photographs, no_graph, monkeypatch):
    monkeypatch.setattr("iconoscope.occlusion.incremental.exact.scan_dense", lambda *_, **__: 1 / 0)
    status, _, err = occlude(capsys, photographs)
    assert status == 1 and "mistake in iconoscope" in err and "Traceback" not in err
    status, _, err = occlude(capsys, photographs, "--debug")
    assert status == 1 and "Traceback" in err


def test_names_do_not_steer_the_terminal(capsys, tmp_path):
    (tmp_path / "\x1b[31mred.png").write_text("no picture")
    (tmp_path / "also.png").write_text("no picture")
    _, _, err = run(capsys, "predict", "--network", "cars", "--images", tmp_path)
    assert "\x1b" not in err and "\\x1b[31mred.png" in err


def test_a_picture_of_a_unit_from_the_shell(capsys, tmp_path):
    common = ("--network", "cars", "--device", "cpu", "--store", tmp_path / "run", "--steps", 2)
    status, out, _ = run(capsys, "optimize", "2*logit:lynx - conv4:3", *common, "--json")
    told = json.loads(out)
    assert status == 0 and told["pictures"][0]["unit"] == "2*logit:lynx - conv4:3" and told["steps"] == 2
    assert Path(told["folders"][0], "picture.png").is_file()
    status, out, _ = run(capsys, "optimize", "conv4:0-2", *common)
    assert status == 0 and out.count("picture.png") == 3
    assert f"The figure is at {tmp_path / 'optimize.png'}" in out and (tmp_path / "optimize.png").is_file()
    assert len(ico.Store(tmp_path / "run")) == 4
    status, _, err = run(capsys, "optimize", "conv5:0", *common)
    assert status != 0 and "no layer 'conv5'" in err and "conv4" in err
    status, _, err = run(capsys, "optimize", *common)
    assert status == 2 and "unit" in err.lower()


def test_what_silences_a_unit_can_be_typed(capsys, tmp_path):
    """A unit that begins with a minus looks like an option; as people write it in shells, it is none."""
    common = ("--network", "cars", "--device", "cpu", "--store", tmp_path / "run", "--steps", 1, "--json")
    told = [
        run(capsys, "optimize", *arguments)
        for arguments in (
            ("--unit=-logit:lynx", *common),
            (" -logit:lynx", *common),
            (*common, "--", "-logit:lynx"),
        )
    ]
    assert [status for status, _, _ in told] == [0, 0, 0]
    assert len({json.loads(out)["key"] for _, out, _ in told}) == 1
    assert len(ico.Store(tmp_path / "run")) == 1


def test_a_picture_asked_for_twice_is_made_once(capsys, tmp_path):
    common = ("--network", "cars", "--device", "cpu", "--store", tmp_path / "run", "--steps", 1, "--json")
    arguments = ("optimize", "conv4:3", "--size", "40x56", "--count", 2, *common)
    _, first, _ = run(capsys, *arguments)
    kept = {place: place.stat().st_mtime_ns for place in (tmp_path / "run").rglob("*")}
    status, out, _ = run(capsys, *arguments)
    told = json.loads(out)
    assert status == 0 and told == json.loads(first) and len(told["pictures"]) == 2
    assert {place: place.stat().st_mtime_ns for place in (tmp_path / "run").rglob("*")} == kept
    found = ico.load_result(told["folders"][0])
    assert isinstance(found, ico.Visualization) and found.images.shape == (2, 40, 56, 3)
    network = ico.load_network("cars", device="cpu")
    assert told["key"] == ico.optimize(network, "conv4:3", size=(40, 56), count=2, steps=1).question.key


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["logit:lynks"], 2, "Did you mean lynx?"),
        (["conv4:64"], 2, "its channels are 0 to 63"),
        (["conv4:60-64"], 2, "its channels are 0 to 63"),
        (["conv4:0@50,0"], 2, "no position 50,0"),
        (["a b:3"], 2, "Units look like"),
        (["logit:lynx", "--style", "robst"], 2, "Did you mean robust?"),
        (["logit:lynx", "--start", "nosuch.png"], 2, "Give noise, grey"),
        (["logit:lynx", "--compare", "nosuch/"], 2, "compare='nosuch/' does not exist"),
        (["logit:lynx", "--diversity", "1"], 2, "Give count=2 or more"),
        (["logit:lynx", "--size", "big"], 2, "big"),
        (["logit:lynx", "--steps", "0"], 2, "steps=0"),
        (["logit:lynx", "--memory", "1kB"], 2, "or more"),
        (["logit:lynx", "--stpes", "3"], 2, "--stpes"),
        (["logit:lynx", "conv4:3"], 2, "conv4:3"),
    ],
)
def test_a_picture_that_cannot_be_made_is_a_line_and_a_hint(capsys, tmp_path, arguments, status, says):
    common = ("--network", "cars", "--device", "cpu", "--store", tmp_path / "run")
    found, out, err = run(capsys, "optimize", *arguments, *common)
    assert (found, out) == (status, "") and says in err and "Traceback" not in err
    assert len([line for line in err.splitlines() if line.startswith("error: ")]) == 1


def test_gradient_methods_and_their_comparison(capsys, photographs, tmp_path):
    pytest.importorskip("captum.attr")
    common = ("--network", "cars-honest", "--device", "cpu", "--quiet", "--limit", 2, "--store", tmp_path / "run")
    asked = ("--method", "captum:LayerGradCam", "--layer", "relu3", "--out", tmp_path / "map.png")
    status, out, _ = run(capsys, "attribute", "--images", photographs, *common, *asked, "--json")
    assert status == 0 and [each["layer"] for each in json.loads(out)] == ["relu3", "relu3"]
    assert [path.name for path in sorted(tmp_path.glob("*.png"))] == ["map-1.png", "map-2.png"]
    asked = ("--maps", "occlusion,captum:Saliency", "--patch", 48, "--stride", 24, "--steps", 4)
    status, out, _ = run(capsys, "faithfulness", "--images", photographs, *common, *asked)
    assert status == 0 and out.count("of 2 maps for the probability") == 2 and out.count("/run/faithfulness/") == 4
    status, _, err = run(capsys, "attribute", "--images", photographs, *common, "--method", "captum:Salience")
    assert status == 2 and "captum:Saliency" in err
