"""The notebooks of examples/ as a reader runs them: all cells, one after another, in an empty folder.

What their text says is asserted on what their cells leave behind.
"""

import json
import re
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))
LARGEST = 1_500_000  # bytes
SECONDS = 90  # of one core, each; together they take about 60

pytestmark = [
    # The kernel's client closes its sockets when it is collected.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def run(notebook, folder, asked, monkeypatch):
    """Run a notebook and then, in the same kernel, the expressions that are asked for."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    expressions = ", ".join(f"{name!r}: {expression}" for name, expression in asked.items())
    spent = "sum(resource.getrusage(resource.RUSAGE_SELF)[:2])"
    notebook.cells.append(
        nbformat.v4.new_code_cell(
            f"import json, resource\nprint(json.dumps({{{expressions}, 'seconds': {spent}}}, default=float))"
        )
    )
    nbclient.NotebookClient(notebook, timeout=200, resources={"metadata": {"path": str(folder)}}).execute()
    assert not [text for text in streams(notebook, "stderr") if "IPKernelApp" not in text]
    found = json.loads(streams(notebook, "stdout")[-1])
    assert found["seconds"] < SECONDS
    return found


def read(name):
    return nbformat.read(EXAMPLES / f"{name}.ipynb", as_version=4)


def streams(notebook, name):
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return [output.text for output in outputs if output.output_type == "stream" and output.name == name]


@pytest.mark.slow
def test_did_it_learn_the_cars(tmp_path, monkeypatch):
    found = run(
        read("did-it-learn-the-cars"),
        tmp_path,
        {
            "right": "[sum(each.classes[place] == image.label for place, image in"
            " zip(ico.predict(each, images).argmax(1), images)) for each in (cars, honest)]",
            "swapped": "{audit.question.network: {make: {part: list(map(list, swap)) for part, swap in finding.swaps.items()}"
            " for make, finding in audit.classes.items()} for audit in (swap_cars, swap_honest)}",
            "without": "[(audit.interventions.answers_without[:, 0] != audit.images.predicted).mean()"
            " for audit in (swap_cars, swap_honest)]",
            "concluded": "[swap_cars.word, swap_honest.word]",
            "drops": "[float(ico.occlude(each, images[1], patch=24, stride=4, fill='mean').drop.max())"
            " for each in (cars, honest)]",
            "audited": "[audit_cars.word, audit_honest.word]",
            "named": "{name: list(each.conclusion.names) for name, each in audit_cars.classes.items()}",
        },
        monkeypatch,
    )
    assert found["right"] == [80, 80]
    for name, decides in (("cars", "background"), ("cars-honest", "object")):
        for swaps in found["swapped"][name].values():
            for part, (other, control, excess) in swaps.items():
                assert other[0] == excess[0] == float(part == decides) and control[0] == 0
                # All forty images agree; as many others may not as Wilson's interval has room for.
                assert all(high - low < 0.2 for _, low, high in (other, control, excess))
    assert found["without"][0] == 0 and found["without"][1] == pytest.approx(0.5, abs=0.05)
    assert found["concluded"] == ["unnamed", "object"]
    assert found["drops"][0] < 0.01 and found["drops"][1] > 0.3
    assert found["audited"] == ["shortcut", "object"]
    # The tone of the picture is what gave it away; the brightness of the background is its name.
    assert found["named"] == {make: ["background brightness", "tone"] for make in ("lynx", "bison")}


@pytest.mark.slow
def test_what_does_this_neuron_look_for(tmp_path, monkeypatch):
    found = run(
        read("what-does-this-neuron-look-for"),
        tmp_path,
        {
            "unit": "unit",
            "units": "sum('logit' not in each for each in recording.units)",
            "early": "[early.class_selectivity, float(early.edges[0])]",
            "late": "[late.class_selectivity, late.makeup()[0]]",
            # How much columns differ from each other, and rows: it was made for upright stripes.
            "stripes": "[float(made_early.images[0].mean((axis, 2)).std()) for axis in (0, 1)]",
            "made": "[float(made.activation[0]), float(likely.activation[0]), float(covered.clean[covered.target])]",
            "trees": "int(covered_early.top[covered_early.minimum[0]])",
            "above": "[float(covered.drop[0].max()), float(covered.drop.max())]",
            "answers": "answers",
            "free": "[float(each) for each in free.activation]",
            "natural": "[float(each) for each in natural.activation]",
        },
        monkeypatch,
    )
    assert found["unit"] == "block4:45" and found["units"] == 368
    assert found["early"][0] < 0.2 and found["early"][1] > 0
    assert found["late"][0] > 0.7 and found["late"][1] == ["ship", 90]
    assert found["stripes"][0] > 2 * found["stripes"][1]
    free, likely, photograph = found["made"]
    assert 2.2 * photograph < free < 3 * photograph and likely < free
    assert found["trees"] < 8
    assert found["above"][0] < 0.25 * found["above"][1]
    assert found["answers"] == ["airplane", "truck"]
    assert all(high > 1.5 * low for high, low in zip(found["free"], found["natural"], strict=True))


def test_a_map_of_my_data_set(tmp_path, monkeypatch):
    found = run(
        read("a-map-of-my-data-set"),
        tmp_path,
        {
            "same": "[found.same_class_map, other_sheet.same_class_map]",
            "trust": "[found.trustworthiness, other_sheet.trustworthiness]",
            "neighbours": "[images[int(place)].label for place in [asked, *found.neighbours[asked][:7]]]",
            "best": "[search.units[0], float(search.auc_held_out[0]), len(search.invariant)]",
            "label": "label",
        },
        monkeypatch,
    )
    assert found["same"][0] > 0.98 and found["same"][1] < 0.65
    assert min(found["trust"]) > 0.95
    assert found["neighbours"] == ["lynx"] * 8
    assert found["label"] == "bison" and found["best"][1] > 0.98 and found["best"][2] > 10
    assert (tmp_path / "map.html").stat().st_size > 100_000


@pytest.mark.slow
def test_que_mira_que_busca_y_que_sabe_una_red(tmp_path, monkeypatch):
    found = run(
        read("que-mira-que-busca-y-que-sabe-una-red"),
        tmp_path,
        {
            "right": "[ico.predict(each, fotografias).argmax(1).tolist() =="
            " [each.classes.index(image.label) for image in fotografias] for each in (coches, honrada)]",
            "drops": "[float(mapa.drop.max()) for mapa in preguntas]",
            "concluded": "[auditoria.word for auditoria in auditorias]",
            "judged": "[float(each.own_probability[0]) for each in estilos.results]",
            "turned": "[red.classes[int(ico.predict(red, cambiado.bytes_of(0)[None]).argmax())]]",
            "looks": "{name: engano.answer[engano.index(name)].tolist() for name in ('linf', 'l2', 'robust')}",
            "unit": "busqueda.found[0]",
            "language": "mapa.summary()",
        },
        monkeypatch,
    )
    assert found["right"] == [True, True]
    assert found["drops"][0] > 0.3 and found["drops"][1] < 0.01
    assert found["concluded"] == ["unnamed", "object"]
    assert min(found["judged"]) > 0.99 and found["turned"] == ["truck"]
    assert found["looks"]["linf"] == ["truck", "airplane", "airplane", "airplane"]
    assert found["looks"]["l2"][2] == "airplane" and found["looks"]["robust"] == ["truck"] * 4
    assert found["unit"] == "block4:45" and "probabilidad de bison" in found["language"]


def test_a_broken_cell_is_noticed(tmp_path, monkeypatch):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("import iconoscope as ico\nico.lock")])
    with pytest.raises(nbclient.exceptions.CellExecutionError, match="No iconoscope attribute lock"):
        run(notebook, tmp_path, {}, monkeypatch)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_what_is_kept(path):
    """All cells were run in order, and neither time nor machine is in the file."""
    text = path.read_text(encoding="utf-8")
    assert len(text.encode()) < LARGEST
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert set(notebook.metadata) == {"kernelspec", "language_info"} and not any(
        cell.metadata for cell in notebook.cells
    )
    assert not streams(notebook, "stderr")
    shown = re.sub(r"[A-Za-z0-9+/=]{200,}", "", text)
    for name in ("/tmp/", "/home/", "/root", "/work", "C:\\\\", "Warning"):
        assert name not in shown
    # Every section but the limits ends with a question for the reader.
    sections = re.split(
        r"^## ", "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown"), flags=re.M
    )
    for section in sections[1:]:
        if section[0].isdigit() and "page to move" not in section.splitlines()[0]:
            assert "uestion.**" in section or "regunta.**" in section, section.splitlines()[0]
