"""Pictures of units: kept, read back, drawn, set in motion."""

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
from PIL import Image

import iconoscope as ico
from specimens import visualized


def test_what_is_kept_is_read_back(tmp_path):
    found = visualized(count=3)
    again = ico.load_result(found.save(tmp_path / "kept"))
    assert isinstance(again, ico.Visualization)
    for field in dataclasses.fields(found):
        one, other = getattr(found, field.name), getattr(again, field.name)
        assert np.array_equal(one, other, equal_nan=True) if isinstance(one, np.ndarray) else one == other
    kept = [
        np.asarray(Image.open(tmp_path / "kept" / name)) for name in ("picture.png", "picture-1.png", "picture-2.png")
    ]
    assert all(np.array_equal(pixels, found.bytes_of(place)) for place, pixels in enumerate(kept))


def test_the_dead_are_named_and_nan_is_null():
    found = visualized(count=2)
    assert "1 of 2 dead" in found.summary() and "conv:1" in found.summary().partition("dead")[2]
    told = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert [each["dead"] for each in told["pictures"]] == [False, True]
    assert told["pictures"][0]["natural_activation"] is None
    alone = dataclasses.replace(visualized(count=1), natural_activation=np.array([2.5], np.float32))
    assert "the best of the images given 2.5" in alone.summary()


@pytest.mark.parametrize("count", [1, 5, 20])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_every_number_of_pictures_is_drawn(count, channels, tmp_path):
    found = visualized(count=count, channels=channels)
    with Image.open(found.save(tmp_path / "sheet.png")) as sheet:
        assert min(sheet.size) > 100
    assert found.bytes_of(0).shape == (9, 12, 3)
    axes = found.plot()
    assert sum(bool(each.get_images()) for each in axes.figure.axes) == (2 if count == 1 else count)


def test_the_gradient_is_drawn_about_grey():
    found = visualized()
    drawn = found.gradient_picture(0)
    place = np.unravel_index(np.abs(found.last_gradient[0]).argmax(), drawn.shape)
    assert drawn[place] == (255 if found.last_gradient[0][place] > 0 else 0)
    still = dataclasses.replace(found, last_gradient=np.zeros_like(found.last_gradient))
    assert np.ptp(still.gradient_picture(0)) == 0


def test_a_record_from_before_there_were_two_gradients_has_that_of_the_loss():
    both = visualized()
    again = ico.Visualization.from_record(both.to_record())
    assert again.loss_gradient is None and np.array_equal(again.last_gradient, both.last_gradient)
    record = both.to_record()
    former = dataclasses.replace(
        record, fields={name: each for name, each in record.fields.items() if name != "loss_gradient"}
    )
    opened = ico.Visualization.from_record(former)
    assert np.array_equal(opened.last_gradient, both.last_gradient)
    assert opened.loss_gradient is not None and np.array_equal(opened.loss_gradient, -both.last_gradient)
    charged = dataclasses.replace(both, loss_gradient=np.ones_like(both.last_gradient))
    restored = ico.Visualization.from_record(charged.to_record())
    assert restored.loss_gradient is not None and bool((restored.loss_gradient == 1).all())


@pytest.mark.parametrize("name", ["moving.gif", "moving.webp"])
def test_frames_move(name, tmp_path):
    found = visualized(frames=4)
    with Image.open(found.animate(tmp_path / "in" / name, index=1)) as moving:
        assert getattr(moving, "n_frames", 1) == 4 and moving.size == (12, 9)
    assert found.strip(1).shape == (9, 4 * 12, 3)


def test_what_does_not_move_is_said(tmp_path):
    with pytest.raises(ico.errors.QuestionError, match="not written as"):
        visualized().animate(tmp_path / "moving.png")
    with pytest.raises(ico.errors.QuestionError, match="no picture 2"):
        visualized().animate(tmp_path / "moving.gif", index=2)


def test_a_moving_picture_takes_the_time_it_was_given_and_stays_at_the_end(tmp_path):
    found = visualized(frames=5)
    path = found.animate(tmp_path / "moving.GIF", duration=1.0)
    durations = []
    with Image.open(path) as moving:
        for place in range(5):
            moving.seek(place)
            durations.append(moving.info["duration"])
    assert durations == [200] * 4 + [1200]
    again = found.animate(tmp_path / "moving.GIF", index=-1)
    assert again == path and again.stat().st_size > 0


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_the_frames_of_a_webp_are_those_of_the_result(channels, tmp_path):
    found = visualized(frames=3, channels=channels)
    smooth = dataclasses.replace(
        found, frames=np.broadcast_to(np.array([0, 120, 250], np.uint8)[:, None, None, None], found.frames.shape).copy()
    )
    with Image.open(smooth.animate(tmp_path / "moving.webp")) as moving:
        for place, level in enumerate((0, 120, 250)):
            moving.seek(place)
            assert np.abs(np.asarray(moving.convert("RGB")).astype(int) - level).max() <= 4


def test_one_channel_is_grey_and_a_fourth_is_not_shown():
    grey, four = visualized(channels=1), visualized(channels=4)
    assert np.array_equal(grey.bytes_of(1), (grey.images[1] * 255).round().astype(np.uint8).repeat(3, 2))
    assert np.array_equal(four.bytes_of(1), (four.images[1, ..., :3] * 255).round().astype(np.uint8))
    frames = four.frames[0, ..., :3]
    assert np.array_equal(four.strip(), np.concatenate(list(frames), 1))


def test_one_picture_is_drawn_on_given_axes():
    import matplotlib.pyplot as plt

    found = visualized(count=3)
    figure, axes = plt.subplots()
    assert found.plot(axes) is axes and len(figure.axes) == 1
    assert (
        np.array_equal(np.asarray(axes.get_images()[0].get_array()), found.bytes_of(0)) and "conv:0" in axes.get_title()
    )
    plt.close(figure)


def test_the_dead_are_marked_in_a_sheet():
    import matplotlib.pyplot as plt

    axes = visualized(count=5).plot()
    plt.close("all")
    titles = [each.get_title().replace("\n", " ") for each in axes.figure.axes]
    assert [title for title in titles if "dead" in title] == ["conv:1 (dead)"]


def changed(count=1, moved=True):
    found = visualized(count=count)
    generator = np.random.default_rng(1)
    settings = {"style": {"transforms": {"jitter": 4} if moved else None}}
    return dataclasses.replace(
        found,
        question=dataclasses.replace(found.question, settings=settings),
        start_images=np.clip(found.images + 0.01 * generator.normal(size=found.images.shape), 0, 1).astype(np.float32),
        asked_class=np.full(count, 2),
        classes=("airplane", "ship", "truck"),
        start_probabilities=np.tile(np.array([0.9, 0.1, 0.0], np.float32), (count, 1)),
        probabilities=np.tile(np.array([0.1, 0.2, 0.7], np.float32), (count, 1)),
    )


def titles(axes):
    return [each.get_title() for each in axes.figure.figure.axes]


@pytest.mark.parametrize("moved", [True, False])
def test_the_figure_of_a_photograph_shows_what_became_of_it(moved):
    import matplotlib.pyplot as plt

    found = changed(moved=moved)
    axes = found.plot()
    plt.close("all")
    course = "what it answers while it is moved" if moved else "what it answers at every step"
    assert titles(axes)[3:] == ["gradient of the last step", "probability before and after", course]
    word, factor = titles(axes)[2].split(" x")
    assert word == "difference" and found.start_images is not None
    shown = np.asarray(axes.figure.figure.axes[2].get_images()[0].get_array()).astype(int)
    expected = 0.5 + int(factor) * (found.images[0] - found.start_images[0])
    assert np.abs(shown - (expected * 255).round().clip(0, 255)).max() <= 1
    bars: Any = axes.figure.figure.axes[4]
    assert [label.get_text() for label in bars.get_yticklabels()] == ["airplane", "truck"]
    assert [round(bar.get_width(), 3) for bar in bars.patches] == [0.9, 0.0, 0.1, 0.7]


def test_several_photographs_are_rows_and_very_many_a_sheet():
    import matplotlib.pyplot as plt

    rows, sheet = changed(count=3).plot(), changed(count=7).plot()
    plt.close("all")
    assert titles(rows)[:2] == ["airplane 0.900", "truck 0.700"] and len(titles(rows)) == 12
    assert titles(sheet)[0] == "conv:0"


def test_the_title_says_the_prior():
    import matplotlib.pyplot as plt

    figure = dataclasses.replace(visualized(count=1), prior="gaussian prior cars: 9x12x3 from 20 numbers").plot().figure
    plt.close("all")
    assert figure.get_suptitle() == "planted, from noise, along the gaussian prior cars"
