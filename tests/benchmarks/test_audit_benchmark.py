"""What the audit's benchmark says of what was found, and what is planted in photographs."""

from benchmarks.audit import REPORTED, TUNED, UNSEEN, Row, share, table
from benchmarks.audit_photographs import ClassRow
from benchmarks.audit_photographs import table as table_of_photographs
from benchmarks.shortcut_suite import honest_cases


def row(shortcut="border", family="border", trained=1.0, audited=1.0, fall=0.9, word="shortcut", names=("border",)):
    return Row(shortcut, family, trained, audited, 100, 0.99, fall, word, names, 9.0)


def test_the_two_halves_have_no_seed_in_common():
    for tuned, reported in zip(TUNED, REPORTED, strict=True):
        assert not set(tuned) & {*reported, *UNSEEN}
    assert len(honest_cases(REPORTED[1])) >= 200


def test_a_share_has_its_exact_interval():
    assert share(0, 100) == "0 of 100, 0.0% (0.0% to 3.6%)"
    assert share(0, 0) == "0 of 0"


def test_every_kind_of_network_is_counted_where_it_belongs():
    rows = [
        row(),
        row(fall=0.3, word="mixed"),
        row(fall=0.3, word="object", names=()),  # missed
        row(word="shortcut", names=("background hue",)),  # misnamed
        row(fall=0.1, word="object", names=()),  # planted, and hardly learned
        row(trained=0.5, audited=0.5, fall=0.0, word="object", names=()),
        row(trained=0.5, audited=1.0, fall=0.0),  # a false alarm
        row("lamp", "", word="unnamed", names=("background",)),
        row("lamp", "", word="mixed", names=("border",)),
        row("lamp", "", fall=0.1, word="object", names=()),
    ]
    text = "\n".join(table(rows))
    assert "more than 20 points | 3 of 4, 75.0%" in text and "more than 50 points | 2 of 2, 100.0%" in text
    assert "of the detected | 2 of 3" in text and "honest networks accused | 1 of 2" in text
    assert "images like their own | 0 of 1" in text and "confounded images | 1 of 1" in text
    assert (
        "flagged | 2 of 2" in text
        and "unnamed` | 1 of 2" in text
        and "less weight than 20 points: accused | 0 of 1" in text
    )
    assert "| border | 4 | 3 | 2 | background hue 1 | 2 | 1 |" in text


def test_every_class_of_a_photograph_network_is_counted_where_it_belongs():
    def of(kind="", fall=0.0, word="nothing", names=(), half="frozen"):
        return ClassRow("frozen-vgg-1", half, 0, "ship", kind, fall, word, names, "")

    rows = [
        of("buoy", 90, "shortcut", ("thing",)),
        of("blurred", 60, "shortcut", ("layout",)),  # shown as what it is not
        of("ring", 50, "borderline", ("spectrum",)),  # missed
        of("companion", 10),  # hardly learned
        of(),
        of(word="shortcut", names=("layout",)),  # a false alarm
        of(word="undecided"),  # no verdict
        of("buoy", 90, half="unseen"),
    ]
    text = "\n".join(table_of_photographs(rows))
    assert "over 20 points | 0 of 0 | 2 of 3, 66.7%" in text
    assert "| 0 of 1, 0.0% (0.0% to 97.5%) | 0 of 0 | 0 of 0 | 95% |" in text
    assert "rightly, of these | 0 of 0 | 1 of 2" in text and "cannot be judged | 0 of 0 | 1 of 3" in text
    assert "weaker ones, accused | 0 of 0 | 0 of 1" in text and "without a shortcut, accused | 0 of 0 | 1 of 2" in text
    assert "| buoy | ship, frozen-vgg-1 | 90 | shortcut: thing |" in text


def test_figures_are_of_the_first_sample_and_the_second_says_whether_they_repeat():
    def of(name, sample, word):
        return ClassRow(
            "fresh-vgg-1", "fresh", sample, name, "buoy" if name == "ship" else "", 90.0, word, ("thing",), ""
        )

    rows = [of("ship", 0, "shortcut"), of("cat", 0, "nothing"), of("dog", 0, "nothing"), of("owl", 0, "nothing")]
    rows += [of("ship", 1, "nothing"), of("cat", 1, "borderline"), of("dog", 1, "mixed")]
    text = "\n".join(table_of_photographs(rows))
    assert "disjoint sample | 0 of 0 | 0 of 0 | 0 of 0 | 1 of 3, 33.3%" in text
    assert "over 20 points | 0 of 0 | 0 of 0 | 0 of 0 | 1 of 1, 100.0%" in text
    assert "without a shortcut, accused | 0 of 0 | 0 of 0 | 0 of 0 | 0 of 3" in text
