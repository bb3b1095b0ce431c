"""Scores: what counts as a label, and what has no score."""

import numpy as np
import pytest

from ssm_hdl.sw.score import by_target, recalls, score, score_text, scores


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("accuracy", 0.98, "98.00%"),
        ("bits_per_character", 1.9, "1.9000"),
        ("bits_per_character", 11.98765, "11.9877"),
        ("mse", 1234567, "1.23457e+06"),
    ],
)
def test_scores_in_words(name, value, text):
    assert score_text(name, value) == text


@pytest.mark.parametrize("shape", [(6,), (2, 3)])
def test_steps_without_a_class_are_not_scored(shape):
    labels, answers = (
        np.array([0, 0, 1, -1, -1, 3]).reshape(shape),
        np.array([0, 2, 1, 0, 1, 1]).reshape(shape),
    )
    # a class that only the model knows, and one that it does not know
    found = scores(np.eye(3)[answers], labels)
    assert found == {
        "accuracy": 0.5,
        "balanced_accuracy": 0.5,
        "f1": pytest.approx((2 / 3 + 2 / 3) / 4),
    }
    assert recalls(np.eye(3)[answers], labels) == [0.5, 1.0, None, 0.0]
    assert score(np.eye(3)[answers], labels) == 0.5


@pytest.mark.parametrize("shape", [(4, 2), (2, 2, 2)])
def test_each_target_is_scored_over_the_steps_with_numbers(shape):
    labels = np.array([[0, 1], [2, 1], [np.nan, 7], [4, 1]]).reshape(shape)
    outputs = np.array([[0, 1], [2, 1], [9, 9], [1, 1]]).reshape(shape)
    assert by_target(outputs, labels) == {"r2": [1 - 9 / 8, 1.0], "mse": [3.0, 0.0]}
    assert scores(outputs, labels) == {"r2": (2 - 9 / 8) / 2, "mse": 1.5}
    assert scores(
        outputs[:1, ..., :1].reshape(-1, 1)[:1], labels[:1, ..., :1].reshape(-1, 1)[:1]
    ) == {"r2": 0.0, "mse": 0.0}


def test_no_labels_have_no_scores():
    assert (
        scores(np.zeros((2, 3)), np.array([-1, -1]))
        == scores(np.zeros((2, 3)), np.full((2, 3), np.nan))
        == {}
    )
