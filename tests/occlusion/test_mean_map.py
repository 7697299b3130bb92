"""The mean map against the same numbers taken at once; and a run that is killed."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
import torch
from torch import nn

import iconoscope as ico
from iconoscope.errors import IconoscopeWarning, ImageFileError, QuestionError
from iconoscope.results import MeanMap


@pytest.fixture
def images():
    """Nine bright pictures: the label of five is seen, of three unseen, one has none (and is answered seen)."""
    pixels = np.random.default_rng(1).integers(150, 256, (9, 24, 24, 3), dtype=np.uint8)
    labels = ["seen", "unseen", "seen", None, "seen", "unseen", "seen", "seen", "unseen"]
    return ico.load_images(pixels, labels=labels)


def calls(network):
    """Count the passes of a network."""
    counted, run = [], network.run
    # No hook counts: it would change, and the network with it.
    object.__setattr__(network, "run", lambda batch: counted.append(1) or run(batch))
    return counted


@pytest.mark.filterwarnings("ignore:1 of 9 images have no label")
def test_against_the_maps_one_by_one(planted, images):
    found = ico.occlude(planted, images, patch=6, stride=3, mean=True)
    each = ico.occlude(planted, images, patch=6, stride=3)
    drops = np.stack([result.clean[result.target] - result.occluded[..., result.target] for result in each]).astype(
        float
    )
    target = np.array([0, 1, 0, 0, 0, 1, 0, 0, 1])
    assert found.classes == ("seen", "unseen") and found.unlabelled == 1
    for group, of in enumerate([np.ones(9, bool), target == 0, target == 1]):
        assert found.count[group] == of.sum()
        assert np.allclose(found.mean[group], drops[of].mean(0), atol=1e-12)
        assert np.allclose(found.deviation[group], drops[of].std(0), atol=1e-12)
        assert found.minima[group].sum() == of.sum()
        clean = [result.clean[result.target] for result, taken in zip(each, of, strict=True) if taken]
        assert found.clean[group] == pytest.approx(np.mean(clean))
        turned = [(result.occluded.argmax(2) != result.clean.argmax()).any() for result in each]
        assert found.changed[group] == pytest.approx(np.mean(np.array(turned)[of]))
        for row, column in np.argwhere(found.minima[group]):
            lowest = [np.unravel_index(d.argmax(), d.shape) for d in drops[of]]
            assert lowest.count((row, column)) == found.minima[group][row, column]
    assert found.group("unseen") == 2 and found.group() == 0
    with pytest.raises(QuestionError, match="'third class'"):
        found.group("third class")


@pytest.mark.filterwarnings("ignore:1 of 9 images have no label")
def test_the_mean_shows_what_is_always_in_one_place(planted, images):
    """The planted network looks at rows 4..11 and columns 8..15 of every image."""
    found = ico.occlude(planted, images, patch=4, stride=4, fill="zero", mean=True)
    looked = np.zeros((6, 6), bool)
    looked[1:3, 2:4] = True
    assert (np.abs(found.mean[1][looked]) > 1e-3).all() and (np.abs(found.mean[:, ~looked]) < 1e-6).all()
    assert looked[found.worst(1)]
    assert (found.mean[2][looked] < 0).all()  # hiding what is seen helps the other class


@pytest.mark.filterwarnings("ignore:1 of 9 images have no label")
def test_asked_again_no_image_is_asked(planted, images, tmp_path):
    counted = calls(planted)
    labelled = images[[0, 1, 2, 4, 5, 6, 7, 8]]
    first = ico.occlude(planted, labelled, patch=8, store=tmp_path / "run", mean=True)
    asked = len(counted)
    second = ico.occlude(planted, labelled, patch=8, store=tmp_path / "run", mean=True)
    # Only one picture, by which each store knows the network again.
    assert asked > 8 and len(counted) <= asked + 2
    assert first.question == second.question and first.mean.tobytes() == second.mean.tobytes()
    store, again = ico.Store(tmp_path / "run"), len(counted)
    assert len(store) == 9 and isinstance(store.get(first.question), MeanMap)
    ico.occlude(planted, images, patch=8, store=tmp_path / "run", mean=True)  # one more, which must first be predicted
    assert len(counted) - again <= asked // 8 + 4
    assert len(store) == 11


def test_the_key_knows_the_images_and_the_fills(planted, images):
    def key(images, **settings):
        return ico.occlude(planted, images, patch=24, **settings, mean=True).question.key

    some = images.where(label="seen")
    same = key(some)
    assert same == key(some, memory="1GB")
    relabelled = ico.load_images(some, labels=["unseen"] * len(some))
    assert len({same, key(some[:4]), key(relabelled), key(some, fill="black"), key(some, fill=lambda x: 255 - x)}) == 5


def test_bad_files_are_left_out_and_none_is_an_error(planted, bright, tmp_path):
    from PIL import Image

    for name in ("a.png", "c.png"):
        Image.fromarray(bright).save(tmp_path / name)
    (tmp_path / "b.png").write_text("this is text")
    with pytest.warns(IconoscopeWarning, match=r"1 of 3 images.*b\.png"):
        assert ico.occlude(planted, tmp_path, patch=24, mean=True).count.tolist() == [2, 2]
    with pytest.raises(ImageFileError, match=r"b\.png"):
        ico.occlude(planted, tmp_path / "b.png", mean=True)


RUN = """
    import sys
    import numpy as np
    import iconoscope as ico
    network = ico.load_network("cars-honest", device="cpu")
    images = ico.demo_images(24, seed=2)
    found = ico.occlude(network, images, patch=24, stride=6, fill="mean", store=sys.argv[1], mean=True)
    np.savez(sys.argv[2], mean=found.mean, deviation=found.deviation, minima=found.minima, clean=found.clean)
"""


def test_a_killed_run_goes_on_where_it_was(tmp_path):
    """`kill -9` in the middle; the numbers of the resumed run are those of one that was left in peace, to the last bit."""
    script = tmp_path / "run.py"
    script.write_text(textwrap.dedent(RUN))

    def command(store):
        return [sys.executable, str(script), str(tmp_path / store), str(tmp_path / f"{store}.npz")]

    subprocess.run(command("peace"), check=True)
    process = subprocess.Popen(command("killed"))
    kept = tmp_path / "killed" / "occlude"
    deadline = time.monotonic() + 60
    while not kept.is_dir() or len([place for place in kept.iterdir() if place.name[0] != "."]) < 5:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "killed.npz").exists()
    answered = {place: place.stat().st_mtime_ns for place in kept.glob("[!.]*/*")}
    assert 3 * 5 <= len(answered) < 3 * 24
    subprocess.run(command("killed"), check=True)
    assert {place: place.stat().st_mtime_ns for place in answered} == answered
    assert len(list(kept.glob("[!.]*"))) == 24
    with np.load(tmp_path / "peace.npz") as peace, np.load(tmp_path / "killed.npz") as killed:
        for name in peace.files:
            assert peace[name].tobytes() == killed[name].tobytes(), name


def test_what_is_kept_of_a_set_does_not_grow_with_it(planted):
    """Memory after 8 images and after 40: only the digests and sums are kept, and no result."""
    import gc
    import weakref

    pixels = np.random.default_rng(0).integers(0, 256, (40, 24, 24, 3), dtype=np.uint8)

    most = []
    for count in (8, 40):
        made, alive = [], []
        original = ico.Occlusion.__init__

        def watched(self, *given, original=original, made=made, alive=alive, **named):
            original(self, *given, **named)
            made.append(weakref.ref(self))
            gc.collect(1)  # all that was made since the last one; what is older, of other tests, would take a second
            alive.append(sum(result() is not None for result in made))

        ico.Occlusion.__init__ = watched
        try:
            ico.occlude(planted, ico.load_images(pixels[:count], labels=["seen"] * count), patch=12, mean=True)
        finally:
            ico.Occlusion.__init__ = original
        most.append(max(alive))
    assert 1 <= most[0] == most[1] <= 3


def test_a_class_without_images_is_not_there(planted, images):
    class Flat(nn.Module):
        def forward(self, x):
            return torch.zeros(len(x), 3)

    network = ico.load_network(
        Flat(), classes=["a", "b", "c"], preprocessing={"size": 24, "mean": (0,) * 3, "std": (1,) * 3}
    )
    found = ico.occlude(network, ico.load_images(images, labels=["c"] * 9), patch=12, mean=True)
    assert found.classes == ("c",) and found.count.tolist() == [9, 9]
    assert not found.mean.any() and not found.deviation.any() and found.changed.tolist() == [0, 0]
    assert found.shown() == [1] and found.limit == 0.05
