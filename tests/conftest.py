"""Fixtures that several folders of tests share."""

from collections.abc import Callable, Collection
from pathlib import Path

import numpy as np
import pytest
import yaml

from ssm_hdl import Format, Manifest
from ssm_hdl.fixed import Codes
from ssm_hdl.manifest import Graph
from ssm_hdl.operations import Tensors

WIDE = ("SQ(1, 15)", "SQ(1, 15)", "SQ(1, 7)")
NARROW = ("SQ(1, 3)", "SQ(1, 5)", "SQ(1, 3)")
"""Formats of the transition, the states and the weights behind them."""

_S4D = """
schema_version: 1
name: random_s4d
steps: {steps}
input: {{name: pixel, size: 1, format: "UQ(0, 8)"}}
operations:
- {{name: encoder, op: dense, input: pixel, weight: {{tensor: encoder.weight, format: "SQ(2, 6)"}},
   bias: {{tensor: encoder.bias, format: "SQ(2, 10)"}}, format: "SQ(3, 5)"}}
- {{name: ssm, op: scan, input: encoder, transition: {{tensor: ssm.transition, format: "{pole}"}}, delta: {delta},
   exponent: ssm.exponent, dither: {dither}, format: "{state}"}}
- {{name: readout, op: dense, input: ssm, weight: {{tensor: readout.weight, format: "{weight}"}}, format: "SQ(3, 5)"}}
- {{name: gelu, op: lookup, input: readout, function: gelu, format: "SQ(3, 5)"}}
- {{name: mixing, op: dense, input: gelu, weight: {{tensor: mixing.weight, format: "{weight}"}},
   bias: {{tensor: mixing.bias, format: "SQ(2, 10)"}}, format: "SQ(4, 4)"}}
- {{name: value, op: slice, input: mixing, start: 0, size: {channels}}}
- {{name: gate, op: slice, input: mixing, start: {channels}, size: {channels}}}
- {{name: sigmoid, op: lookup, input: gate, function: sigmoid, format: "UQ(0, 8)"}}
- {{name: glu, op: multiply, inputs: [value, sigmoid], format: "SQ(3, 5)"}}
- {{name: residual, op: add, inputs: [encoder, glu], format: "SQ(4, 4)"}}
"""

_POOLED = """\
- {{name: pool, op: pool, input: residual, shift: {shift}, format: "SQ(4, 8)"}}
- {{name: decoder, op: dense, input: pool, weight: {{tensor: decoder.weight, format: "{weight}"}},
   bias: {{tensor: decoder.bias, format: "SQ(2, 10)"}}, format: "SQ(6, 10)"}}
output: decoder
"""


@pytest.fixture(scope="session")
def random_manifest() -> Callable[..., Manifest]:
    """``random_manifest(channels, modes, steps, classes, seed, pooled, features)``: an S4D-shaped manifest with random codes.

    ``channels`` (H) heads of ``modes`` (N) complex modes, the last of which has its pole at 0; ``steps`` time steps;
    ``classes`` outputs a sequence. With ``pooled=False`` it ends with the residual: ``channels`` outputs a time step.
    ``features`` are any of: ``exponent``, the channels of the transition and of the weights behind it have random scales;
    ``delta`` and ``dither``, as the scan has them; ``narrow``, codes of 4 bits and states of 6.
    """

    def make(
        channels: int = 2,
        modes: int = 3,
        steps: int = 6,
        classes: int = 3,
        seed: int = 0,
        pooled: bool = True,
        features: Collection[str] = (),
    ) -> Manifest:
        assert set(features) <= {"exponent", "delta", "dither", "narrow"}
        random = np.random.default_rng(seed)
        pole_format, state_format, weight_format = NARROW if "narrow" in features else WIDE
        codes: dict[str, Codes] = {}
        formats: dict[str, Format] = {}

        def store(name: str, values: np.ndarray, format: str, channels: int = 0) -> None:
            formats[name] = Format.parse(format)
            codes[name] = np.trunc(values / formats[name].lsb).astype(np.int64)
            if channels and "exponent" in features:
                codes[name + ".exponent"] = random.integers(0, 8, values.shape[:channels])

        store("encoder.weight", random.uniform(-2, 2, (channels, 1)), "SQ(2, 6)")
        store("encoder.bias", random.uniform(-2, 2, channels), "SQ(2, 10)")
        magnitude = 1 - 10 ** random.uniform(-3, -1, (channels, modes))
        pole = magnitude * np.exp(1j * random.uniform(-1.5, 1.5, (channels, modes)))
        pole[:, -1] = 0
        lsb = Format.parse(pole_format).lsb
        real = np.floor((pole.real - ("delta" in features)) / lsb) * lsb  # not towards zero, where the unit circle may be
        store("ssm.transition", np.stack([real, pole.imag], axis=-1), pole_format, channels=2)
        codes["ssm.exponent"] = random.integers(-3, 0, (channels, modes))
        store("readout.weight", random.uniform(-1, 1, (channels, 1, modes, 2)), weight_format, channels=2)
        store("mixing.weight", random.uniform(-0.7, 0.7, (2 * channels, channels)), weight_format, channels=1)
        store("mixing.bias", random.uniform(-2, 2, 2 * channels), "SQ(2, 10)")
        if pooled:
            store("decoder.weight", random.uniform(-1, 1, (classes, channels)), weight_format, channels=1)
            store("decoder.bias", random.uniform(-2, 2, classes), "SQ(2, 10)")
        text = (_S4D + (_POOLED if pooled else "output: residual\n")).format(
            channels=channels,
            steps=steps,
            shift=int(np.log2(steps)),
            pole=pole_format,
            state=state_format,
            weight=weight_format,
            delta="delta" in features,
            dither="dither" in features,
        )
        fields = yaml.safe_load(text)
        for tensor in (op[key] for op in fields["operations"] for key in ("weight", "transition") if key in op):
            if tensor["tensor"] + ".exponent" in codes:
                tensor["exponent"] = tensor["tensor"] + ".exponent"
        return Manifest(Graph.model_validate(fields), Tensors(codes, formats))

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
