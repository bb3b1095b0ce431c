"""The scores are those of scikit-learn."""

import warnings

import numpy as np
import pytest
from sklearn import metrics

from ssm_hdl.sw.score import recalls, score, scores


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("shape", [(40,), (5, 12)])
def test_scores_of_classes(seed, shape):
    random = np.random.default_rng(seed)
    outputs, labels = random.normal(size=(*shape, 5)), random.integers(-1, 4, shape)
    labels[labels == seed] = 0  # a class that only the model knows
    wanted, answers = labels[labels >= 0], outputs[labels >= 0].argmax(-1)
    found = scores(outputs, labels)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert found["balanced_accuracy"] == pytest.approx(metrics.balanced_accuracy_score(wanted, answers))
        by_class = metrics.recall_score(wanted, answers, labels=range(5), average=None, zero_division=np.nan)
        assert recalls(outputs, labels) == [None if np.isnan(one) else one for one in by_class]
        assert found["f1"] == pytest.approx(metrics.f1_score(wanted, answers, average="macro"))
    assert found["accuracy"] == score(outputs, labels) == metrics.accuracy_score(wanted, answers)


@pytest.mark.parametrize("shape", [(40, 3), (5, 12, 2)])
def test_scores_of_numbers(shape):
    random = np.random.default_rng(0)
    labels = random.normal(size=shape) * 10
    outputs = labels + random.normal(size=shape)
    labels.reshape(-1, shape[-1])[3] = np.nan
    known = ~np.isnan(labels).any(-1)
    found = scores(outputs, labels)
    assert recalls(outputs, labels) == []
    assert found["r2"] == pytest.approx(metrics.r2_score(labels[known], outputs[known])) == score(outputs, labels)
    assert found["mse"] == pytest.approx(metrics.mean_squared_error(labels[known], outputs[known]))


def test_no_labels_have_no_scores():
    assert scores(np.zeros((2, 3)), np.array([-1, -1])) == scores(np.zeros((2, 3)), np.full((2, 3), np.nan)) == {}
