"""Fixtures that several folders of tests share."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from ssm_hdl import Format, Manifest
from ssm_hdl.fixed import Codes
from ssm_hdl.manifest import Graph
from ssm_hdl.operations import Tensors

_S4D = """
schema_version: 1
name: random_s4d
steps: {steps}
input: {{name: pixel, size: 1, format: "UQ(0, 8)"}}
operations:
- {{name: encoder, op: dense, input: pixel, weight: {{tensor: encoder.weight, format: "SQ(2, 6)"}},
   bias: {{tensor: encoder.bias, format: "SQ(2, 10)"}}, format: "SQ(3, 5)"}}
- {{name: ssm, op: scan, input: encoder, transition: {{tensor: ssm.transition, format: "SQ(1, 15)"}},
   exponent: ssm.exponent, format: "SQ(1, 15)"}}
- {{name: readout, op: dense, input: ssm, weight: {{tensor: readout.weight, format: "SQ(1, 7)"}}, format: "SQ(3, 5)"}}
- {{name: gelu, op: lookup, input: readout, function: gelu, format: "SQ(3, 5)"}}
- {{name: mixing, op: dense, input: gelu, weight: {{tensor: mixing.weight, format: "SQ(1, 7)"}},
   bias: {{tensor: mixing.bias, format: "SQ(2, 10)"}}, format: "SQ(4, 4)"}}
- {{name: value, op: slice, input: mixing, start: 0, size: {channels}}}
- {{name: gate, op: slice, input: mixing, start: {channels}, size: {channels}}}
- {{name: sigmoid, op: lookup, input: gate, function: sigmoid, format: "UQ(0, 8)"}}
- {{name: glu, op: multiply, inputs: [value, sigmoid], format: "SQ(3, 5)"}}
- {{name: residual, op: add, inputs: [encoder, glu], format: "SQ(4, 4)"}}
"""

_POOLED = """\
- {{name: pool, op: pool, input: residual, shift: {shift}, format: "SQ(4, 8)"}}
- {{name: decoder, op: dense, input: pool, weight: {{tensor: decoder.weight, format: "SQ(1, 7)"}},
   bias: {{tensor: decoder.bias, format: "SQ(2, 10)"}}, format: "SQ(6, 10)"}}
output: decoder
"""


@pytest.fixture(scope="session")
def random_manifest() -> Callable[..., Manifest]:
    """``random_manifest(channels, modes, steps, classes, seed, pooled)``: an S4D-shaped manifest with random codes.

    ``channels`` (H) heads of ``modes`` (N) complex modes, the last of which has its pole at 0; ``steps`` time steps;
    ``classes`` outputs a sequence. With ``pooled=False`` it ends with the residual: ``channels`` outputs a time step.
    """

    def make(channels: int = 2, modes: int = 3, steps: int = 6, classes: int = 3, seed: int = 0, pooled: bool = True) -> Manifest:
        random = np.random.default_rng(seed)
        codes: dict[str, Codes] = {}
        formats: dict[str, Format] = {}

        def store(name: str, values: np.ndarray, format: str) -> None:
            formats[name] = Format.parse(format)
            codes[name] = np.trunc(values / formats[name].lsb).astype(np.int64)

        store("encoder.weight", random.uniform(-2, 2, (channels, 1)), "SQ(2, 6)")
        store("encoder.bias", random.uniform(-2, 2, channels), "SQ(2, 10)")
        magnitude = 1 - 10 ** random.uniform(-3, -1, (channels, modes))
        pole = magnitude * np.exp(1j * random.uniform(0, 1.5, (channels, modes)))
        pole[:, -1] = 0
        store("ssm.transition", np.stack([pole.real, pole.imag], axis=-1), "SQ(1, 15)")
        codes["ssm.exponent"] = random.integers(-7, -3, (channels, modes))
        store("readout.weight", random.uniform(-1, 1, (channels, 1, modes, 2)), "SQ(1, 7)")
        store("mixing.weight", random.uniform(-0.7, 0.7, (2 * channels, channels)), "SQ(1, 7)")
        store("mixing.bias", random.uniform(-2, 2, 2 * channels), "SQ(2, 10)")
        if pooled:
            store("decoder.weight", random.uniform(-1, 1, (classes, channels)), "SQ(1, 7)")
            store("decoder.bias", random.uniform(-2, 2, classes), "SQ(2, 10)")
        text = _S4D + (_POOLED if pooled else "output: residual\n")
        text = text.format(channels=channels, steps=steps, shift=int(np.log2(steps)))
        return Manifest(Graph.model_validate(yaml.safe_load(text)), Tensors(codes, formats))

    return make


@pytest.fixture(scope="session")
def random_samples() -> Callable[..., Codes]:
    """``random_samples(manifest, batch, steps, seed)``: codes over the whole input format, (batch, steps, size)."""

    def make(manifest: Manifest, batch: int = 2, steps: int | None = None, seed: int = 0) -> Codes:
        edge = manifest.input
        shape = (batch, steps or manifest.steps, edge.size)
        return np.random.default_rng(seed).integers(edge.format.min, edge.format.max + 1, shape)

    return make


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The folder that keeps compiled designs, one for all workers of a test run."""
    folder = tmp_path_factory.getbasetemp()
    return (folder if worker_id == "master" else folder.parent) / "verilated"
