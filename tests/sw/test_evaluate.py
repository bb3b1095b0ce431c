"""Accuracy of float models and of integer programs."""

import json

import numpy as np
import pytest

from ssm_hdl import SsmHdlError
from ssm_hdl.sim.golden import run
from ssm_hdl.sw.checkpoint import Checkpoint
from ssm_hdl.sw.data import SPECS, Split, load
from ssm_hdl.sw.evaluate import evaluate_float, evaluate_integer
from ssm_hdl.sw.models.s4d import S4D
from ssm_hdl.sw.train import accuracy


@pytest.fixture
def split(random_manifest, random_samples):
    """Samples of the random manifest; two thirds of the labels are its answers."""
    samples = random_samples(random_manifest(), batch=250)
    answers = run(random_manifest(), samples).outputs.argmax(1)
    return Split(samples, np.where(np.arange(250) % 3 == 0, answers + 1, answers))


def test_float_accuracy_is_that_of_training():
    digits = load("digits")
    checkpoint = Checkpoint(S4D(2, 3), SPECS["digits"], {"name": "untrained"})
    done = []
    evaluation = evaluate_float(checkpoint, digits.test, done.append)
    assert evaluation.accuracy == accuracy(checkpoint.model, digits, digits.test)
    assert (evaluation.name, evaluation.sequences, done) == ("untrained", 350, [100, 100, 100, 50])


def test_integer_accuracy(random_manifest, split):
    manifest = random_manifest()
    done = []
    evaluation = evaluate_integer(manifest, split, progress=done.append)
    whole = run(manifest, split.codes)
    assert evaluation.correct == 250 - 84
    assert evaluation.accuracy == (250 - 84) / 250
    assert np.array_equal(evaluation.classes, whole.outputs.argmax(1))
    assert evaluation.saturations == whole.saturations
    assert evaluation.elements == whole.elements
    assert sum(done) == 250
    assert json.loads(json.dumps(evaluation.to_json())) == {
        "name": "random_s4d",
        "sequences": 250,
        "labelled": 250,
        "correct": 166,
        "recall": [1.0, 0.0, None],
        **evaluation.scores,
        "saturations": whole.saturations,
        "elements": whole.elements,
    }


def test_processes_make_no_difference(random_manifest, split):
    one, two = (evaluate_integer(random_manifest(), split, processes) for processes in (1, 2))
    assert np.array_equal(one.classes, two.classes)
    assert one.to_json() == two.to_json()


def test_what_cannot_be_evaluated_is_refused(random_manifest, split):
    with pytest.raises(
        SsmHdlError,
        match="random_s4d has one answer for each step, "
        "and the samples have a label for a sequence",
    ):
        evaluate_integer(random_manifest(pooled=False), split)
    with pytest.raises(SsmHdlError, match="0 processes"):
        evaluate_integer(random_manifest(), split, 0)
    with pytest.raises(SsmHdlError, match="no samples to run"):
        evaluate_integer(random_manifest(), split.head(0))
    with pytest.raises(SsmHdlError, match="random_s4d takes 1 to 6"):
        evaluate_integer(
            random_manifest(), Split(np.zeros((2, 7, 1), np.uint8), np.zeros(2, np.int64))
        )


def test_sequences_of_different_lengths_are_run_without_their_padding(random_manifest, split):
    manifest = random_manifest(pooled=False)
    lengths = 1 + np.arange(250) % 6
    labels = np.where(np.arange(6) < lengths[:, np.newaxis], 1, -1)
    found = evaluate_integer(manifest, Split(split.codes, labels, lengths))
    for number in (0, 4, 5):
        expected = run(manifest, split.codes[number : number + 1, : lengths[number]]).outputs[0]
        assert np.array_equal(found.outputs[number, : lengths[number]], expected)
        assert not found.outputs[number, lengths[number] :].any()
    assert found.elements["encoder"] == lengths.sum() * manifest.nodes["encoder"].output.size
    assert found.labelled == lengths.sum()


def test_numbers_are_scored_in_the_unit_of_the_labels(random_manifest, split):
    manifest = random_manifest()
    outputs = run(manifest, split.codes).outputs * manifest.output.format.lsb
    scores = evaluate_integer(manifest, Split(split.codes, outputs + 0.5)).scores
    assert scores["mse"] == pytest.approx(0.25) and scores["r2"] < 1


def test_outputs_that_are_no_numbers_are_not_scored():
    checkpoint = Checkpoint(S4D(2, 3), SPECS["digits"], {"name": "broken"})
    checkpoint.model.decoder.bias.data[0] = float("nan")
    with pytest.raises(SsmHdlError, match="20 of 200 outputs of broken are not finite numbers"):
        evaluate_float(checkpoint, load("digits").test.head(20))
