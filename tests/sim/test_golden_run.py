"""Runs of whole manifests through the golden model: traces, saturations, batches,
and refused samples."""

import numpy as np
import pytest

from ssm_hdl import SsmHdlError
from ssm_hdl.sim import golden
from ssm_hdl.sim.golden import evaluate, run


def test_states_are_kept_in_few_bytes_and_traced_as_the_rest(random_manifest, random_samples):
    manifest = random_manifest()
    samples = random_samples(manifest)
    trace = run(manifest, samples, trace=True).trace
    assert {codes.dtype for codes in trace.values()} == {np.dtype(np.int64)}
    states = evaluate(manifest.nodes["ssm"], trace["encoder"]).codes
    assert states.dtype == np.int16
    assert np.array_equal(states, trace["ssm"])


def test_a_run_does_not_depend_on_how_it_is_cut(random_manifest, random_samples, monkeypatch):
    manifest = random_manifest(channels=3, modes=4, steps=90)
    samples = random_samples(manifest, batch=7)
    whole = run(manifest, samples, trace=True)
    monkeypatch.setattr(golden, "_STATES_AT_ONCE", 2 * 90 * 12)
    done = []
    parts = run(manifest, samples, trace=True, progress=done.append)
    assert done == [2, 2, 2, 1]
    assert np.array_equal(whole.outputs, parts.outputs)
    assert whole.saturations == parts.saturations
    assert sum(whole.saturations.values()) > 0
    assert (
        whole.elements
        == parts.elements
        == {name: whole.trace[name].size for name in manifest.nodes}
    )
    assert all(np.array_equal(whole.trace[name], parts.trace[name]) for name in whole.trace)
    singly = np.concatenate([run(manifest, samples[i : i + 1]).outputs for i in range(7)])
    assert np.array_equal(singly, whole.outputs)


def test_no_sequences_give_no_outputs(random_manifest):
    manifest = random_manifest()
    result = run(manifest, np.zeros((0, manifest.steps, 1), np.int64))
    assert result.outputs.shape == (0, 3)
    assert set(result.saturations.values()) == {0}


def test_samples_outside_the_format_are_refused(random_manifest, random_samples):
    manifest = random_manifest()
    samples = random_samples(manifest)
    samples[1, 2, 0] = 256
    with pytest.raises(
        SsmHdlError, match=r"sample 256 \(sequence 1, step 2, element 0\) is outside UQ\(0, 8\)"
    ):
        run(manifest, samples)
