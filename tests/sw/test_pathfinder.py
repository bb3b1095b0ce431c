"""Pathfinder: every rule of its geometry,
and the classes by one who sees dashes and discs alone."""

import numpy as np
import pytest

from ssm_hdl.sw.data import SPECS, generated, pathfinder


@pytest.fixture(scope="module")
def scenes():
    return pathfinder.make_scenes(np.random.default_rng(3))


def dashes_of(scenes, picture):
    """All dashes (m, 2, 2) of a picture, and the path that each is on."""
    short = scenes.short[picture][scenes.placed[picture]]
    paths = [*scenes.long[picture], *short]
    return (
        np.concatenate(paths),
        np.concatenate([np.full(len(path), number) for number, path in enumerate(paths)]),
    )


def distances(dashes):
    """Of any two dashes, (m, m), through 33 points on each."""
    points = dashes[:, :1] + np.linspace(0, 1, 33)[:, np.newaxis] * (dashes[:, 1:] - dashes[:, :1])
    return np.array(
        [[np.linalg.norm(a[:, np.newaxis] - b, axis=-1).min() for b in points] for a in points]
    )


def test_a_batch_has_pictures(scenes):
    assert len(scenes.long) >= 10
    assert scenes.long.shape[1:] == (2, 14, 2, 2) and scenes.short.shape[1:] == (5, 4, 2, 2)
    assert scenes.placed.any(1).all() and scenes.placed.mean() > 0.5


def test_dashes_have_their_length_and_are_inside(scenes):
    for picture in range(len(scenes.long)):
        dashes, _ = dashes_of(scenes, picture)
        np.testing.assert_allclose(np.linalg.norm(dashes[:, 1] - dashes[:, 0], axis=1), 2)
        assert dashes.min() >= 1 and dashes.max() <= 31


def test_a_path_goes_on_after_its_margins_and_turns_by_90_degrees_at_most(scenes):
    paths = [*scenes.long.reshape(-1, 14, 2, 2), *scenes.short[scenes.placed]]
    for path in paths:
        along = (path[:, 1] - path[:, 0]) / 2
        np.testing.assert_allclose(path[:-1, 1] + along[:-1], path[1:, 0] - along[1:], atol=1e-9)
        assert ((along[:-1] * along[1:]).sum(1) > -1e-9).all()


def test_turns_prefer_straight_on(scenes):
    """A density of cos^2 has half of its turns within 24 degrees;
    obstacles change this a little."""
    along = (scenes.long[:, :, :, 1] - scenes.long[:, :, :, 0]) / 2
    turns = np.degrees(np.arccos(np.clip((along[:, :, 1:] * along[:, :, :-1]).sum(-1), -1, 1)))
    assert 18 < np.median(turns) < 32


def test_only_neighbours_on_a_path_come_near_each_other(scenes):
    for picture in range(8):
        dashes, path = dashes_of(scenes, picture)
        apart = distances(dashes)
        number = np.arange(len(dashes))
        follow = (path[:, np.newaxis] == path) & (abs(number[:, np.newaxis] - number) <= 1)
        assert (
            apart[~follow].min() > 2.05
        )  # 2.5 but for the diagonal of a cell of the masks, and the points that stand for a dash
        assert apart[follow].max() <= 2 + 1e-9


def test_long_paths_begin_7_pixels_apart_in_the_middle(scenes):
    starts = scenes.long[:, :, 0, 0]
    np.testing.assert_allclose(np.linalg.norm(starts[:, 0] - starts[:, 1], axis=1), 7)
    assert starts[:, 0].min() >= 14 and starts[:, 0].max() <= 18


def test_discs_are_on_the_ends_of_one_path_or_of_two(scenes):
    count = len(scenes.long)
    for label in (0, 1):
        for first in (0, 1):
            discs = scenes.discs(np.full(count, label), np.full(count, first))
            assert np.array_equal(discs[:, 0], scenes.long[:, first, 0, 0])
            assert np.array_equal(discs[:, 1], scenes.long[:, first if label else 1 - first, -1, 1])


def test_who_sees_dashes_and_discs_alone_finds_the_class(scenes):
    """Dashes closer than 2.02 pixels hang together: they follow each other if it is 2 at most,
    and not if it is 2.05."""
    for picture in range(8):
        dashes, _ = dashes_of(scenes, picture)
        linked = np.linalg.matrix_power((distances(dashes) < 2.02).astype(float), len(dashes)) > 0
        for label in (0, 1):
            discs = scenes.discs(np.full(len(scenes.long), label), np.zeros(len(scenes.long), int))[
                picture
            ]
            start, end = (np.linalg.norm(dashes - disc, axis=-1).min(1).argmin() for disc in discs)
            assert linked[start, end] == label


def test_a_picture_shows_its_dashes_and_discs_and_nothing_else(scenes):
    count = len(scenes.long)
    discs = scenes.discs(np.ones(count, int), np.zeros(count, int))
    pictures = pathfinder.draw(scenes, discs).astype(int)
    middles = np.stack(np.meshgrid(np.arange(32) + 0.5, np.arange(32) + 0.5, indexing="ij"), -1)
    for picture, image in enumerate(pictures):
        dashes, _ = dashes_of(scenes, picture)
        points = (
            dashes[:, :1] + np.linspace(0, 1, 33)[:, np.newaxis] * (dashes[:, 1:] - dashes[:, :1])
        ).reshape(-1, 2)
        to_dash = np.linalg.norm(middles[:, :, np.newaxis] - points, axis=-1).min(-1)
        to_disc = np.linalg.norm(middles[:, :, np.newaxis] - discs[picture], axis=-1).min(-1)
        assert (image[to_disc < 0.7] == 255).all()
        assert (image[(to_dash < 0.2) & (to_disc > 2.5)] > 60).all()
        assert (image[(to_dash > 1) & (to_disc > 2.3)] == 0).all()
        # 2 x 0.5 pixels a dash, times the contrast, and a little for the roundings
        lit = image[(to_disc > 2.3)].sum() / 255
        assert 0.8 < lit / (1.5 * 0.97 * (len(dashes))) < 1.3


def test_classes_are_balanced_and_the_seed_decides_the_pictures():
    codes, labels = pathfinder.generate(30, seed=4)
    assert codes.shape == (30, 1024, 1) and codes.dtype == np.uint8
    assert labels.tolist() == [0, 1] * 15
    again, _ = pathfinder.generate(11, seed=4)
    assert np.array_equal(again, codes[:11])
    assert not np.array_equal(pathfinder.generate(11, seed=5)[0], codes[:11])
    assert len({picture.tobytes() for picture in codes}) == 30


def test_normalised_pictures_have_mean_0_and_deviation_1():
    values = SPECS["pathfinder"].normalise(pathfinder.generate(100)[0])
    assert abs(values.mean()) < 0.02
    assert abs(values.std() - 1) < 0.02


def test_the_samples_are_kept_and_read_again(tmp_path, monkeypatch):
    made = generated.load(pathfinder, tmp_path, sizes=(4, 2, 2))
    assert made.spec == SPECS["pathfinder"]
    monkeypatch.setattr(pathfinder, "generate", None)
    again = generated.load(pathfinder, tmp_path, sizes=(4, 2, 2))
    assert np.array_equal(again.val.codes, made.val.codes) and again.val.labels.tolist() == [0, 1]
