"""Fixtures that several folders of tests share."""

from collections.abc import Callable, Collection
from pathlib import Path

import numpy as np
import pytest
import yaml

from ssm_hdl import Format, Manifest, registry
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
- {{name: ssm, op: scan, input: encoder, transition: {{tensor: ssm.transition, format: "{pole}"}},
   delta: {delta}, exponent: ssm.exponent, dither: {dither}, format: "{state}"}}
- {{name: readout, op: dense, input: ssm, weight: {{tensor: readout.weight, format: "{weight}"}},
   format: "SQ(3, 5)"}}
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
- {{name: pool, op: {pool}, input: {end}, format: "SQ(4, 8)"}}
- {{name: decoder, op: dense, input: pool, weight: {{tensor: decoder.weight, format: "{weight}"}},
   bias: {{tensor: decoder.bias, format: "SQ(2, 10)"}}, format: "SQ(6, 10)"}}
output: decoder
"""

_HEAD = """
schema_version: 1
name: random_s5
steps: {steps}
input: {{name: pixel, size: 1, format: "UQ(0, 8)"}}
operations:
- {{name: residual_0, op: dense, input: pixel,
   weight: {{tensor: encoder.weight, format: "SQ(2, 6)"}},
   bias: {{tensor: encoder.bias, format: "SQ(2, 10)"}}, format: "SQ(4, 4)"}}
"""

_TOKENS = """
schema_version: 1
name: random_s5
steps: {steps}
input: {{name: token, size: 1, format: "UQ(4, 0)"}}
operations:
- {{name: residual_0, op: embedding, input: token,
   weight: {{tensor: encoder.weight, format: "SQ(4, 4)"}}}}
"""

_LAYER = """\
- {{name: norm_{k}, op: norm, input: residual_{before}, epsilon: {epsilon}, center: {center},
   format: "{norm}"}}
- {{name: drive_{k}, op: dense, input: norm_{k},
   weight: {{tensor: drive_{k}.weight, format: "{weight}"}}, result: complex,
   bias: {{tensor: drive_{k}.bias, format: "SQ(2, 10)"}}, format: "{driven}"}}
- {{name: ssm_{k}, op: scan, input: drive_{k},
   transition: {{tensor: ssm_{k}.transition, format: "{pole}"}}, delta: {delta},
   exponent: ssm_{k}.exponent, dither: {dither}, format: "{state}"}}
- {{name: readout_{k}, op: dense, input: ssm_{k},
   weight: {{tensor: readout_{k}.weight, format: "{weight}"}}, format: "{read}"}}
- {{name: skip_{k}, op: dense, input: norm_{k},
   weight: {{tensor: skip_{k}.weight, format: "{weight}"}}, format: "SQ(3, 6)"}}
- {{name: sum_{k}, op: add, inputs: [readout_{k}, skip_{k}], format: "{summed}"}}
- {{name: gelu_{k}, op: lookup, input: sum_{k}, function: gelu, format: "{gelu}"}}
- {{name: mixing_{k}, op: dense, input: gelu_{k},
   weight: {{tensor: mixing_{k}.weight, format: "{weight}"}},
   bias: {{tensor: mixing_{k}.bias, format: "SQ(2, 10)"}}, format: "SQ(4, 4)"}}
- {{name: sigmoid_{k}, op: lookup, input: mixing_{k}, function: sigmoid, format: "UQ(0, 8)"}}
- {{name: glu_{k}, op: multiply, inputs: [gelu_{k}, sigmoid_{k}], format: "{glu}"}}
- {{name: residual_{k}, op: add, inputs: [residual_{before}, glu_{k}], format: "{residual}"}}
"""


_EDGES = {"norm": 3, "driven": 3, "read": 3, "summed": 3, "gelu": 3, "glu": 3, "residual": 4}
"""Integer bits of the edges of a layer, of 8; its states have formats of their own."""


def _layer(k: int, alike: bool) -> str:
    """Layer ``k``, from 1 on; of those that are alike, any two that follow one another differ in
    the format of every edge."""
    text = (
        _LAYER.replace("{k}", str(k))
        .replace("{before}", str(k - 1))
        .replace("{center}", str(alike or k % 2 == 1))
    )
    text = text.replace("{epsilon}", str(20 * k if alike else 20))
    for index, (name, i_bits) in enumerate(_EDGES.items()):
        i_bits += (k + index) % 2 if alike else 0
        text = text.replace(f"{{{name}}}", f"SQ({i_bits}, {8 - i_bits})")
    return text.replace("{state}", f"SQ({1 + k % 2}, {15 - k % 2})") if alike else text


class _Draw:
    """Random codes of a manifest's tensors, and the formats that they are stored in."""

    def __init__(self, seed: int, features: Collection[str]) -> None:
        assert set(features) <= {"exponent", "delta", "dither", "narrow", "mean"}
        self.random, self.features = np.random.default_rng(seed), features
        self.pole_format, self.state_format, self.weight_format = (
            NARROW if "narrow" in features else WIDE
        )
        self.codes: dict[str, Codes] = {}
        self.formats: dict[str, Format] = {}

    def store(self, name: str, values: np.ndarray, format: str, channels: int = 0) -> None:
        """Values, with random exponents for the leading axes if there is the feature."""
        self.formats[name] = Format.parse(format)
        self.codes[name] = np.trunc(values / self.formats[name].lsb).astype(np.int64)
        if channels and "exponent" in self.features:
            self.codes[name + ".exponent"] = self.random.integers(0, 8, values.shape[:channels])

    def dense(self, name: str, limit: float, *shape: int, bias: bool = True) -> None:
        """Weights (rows, columns), or (groups, rows, columns, ..),
        and a bias of as many numbers as there are rows."""
        self.store(
            name + ".weight",
            self.random.uniform(-limit, limit, shape),
            self.weight_format,
            1 if len(shape) == 2 else 2,
        )
        if bias:
            self.store(name + ".bias", self.random.uniform(-2, 2, shape[0]), "SQ(2, 10)")

    def ssm(self, name: str, channels: int, modes: int, straight: int) -> None:
        """Poles near the unit circle, ``straight`` of every channel at 0."""
        magnitude = 1 - 10 ** self.random.uniform(-3, -1, (channels, modes))
        pole = magnitude * np.exp(1j * self.random.uniform(-1.5, 1.5, (channels, modes)))
        pole[:, modes - straight :] = 0
        lsb = Format.parse(self.pole_format).lsb
        # not to 0, where the unit circle may be
        real = np.floor((pole.real - ("delta" in self.features)) / lsb) * lsb
        self.store(
            name + ".transition", np.stack([real, pole.imag], axis=-1), self.pole_format, channels=2
        )
        self.codes[name + ".exponent"] = self.random.integers(-3, 0, (channels, modes))

    def manifest(self, text: str, **fields: object) -> Manifest:
        """The manifest of a text with fields."""
        features = {name: name in self.features for name in ("delta", "dither")}
        formats = {
            "pole": self.pole_format,
            "state": self.state_format,
            "weight": self.weight_format,
        }
        graph = yaml.safe_load(text.format(**fields, **features, **formats))
        for tensor in (
            op[key] for op in graph["operations"] for key in ("weight", "transition") if key in op
        ):
            if tensor["tensor"] + ".exponent" in self.codes:
                tensor["exponent"] = tensor["tensor"] + ".exponent"
        return Manifest(Graph.model_validate(graph), Tensors(self.codes, self.formats))


@pytest.fixture(scope="session")
def random_manifest() -> Callable[..., Manifest]:
    """``random_manifest(channels, modes, steps, ..., tokens)``: a manifest with random codes.

    ``channels`` (H) heads of ``modes`` (N) complex modes, the last of which has its pole at 0;
    ``steps`` time steps; ``classes`` outputs per sequence. With ``pooled=False`` it ends with the
    residual: ``channels`` outputs a time step. ``features`` are any of: ``exponent``, the channels
    of the transition and of the weights behind it have random scales; ``delta`` and ``dither``, as
    the scan has them; ``narrow``, codes of 4 bits and states of 6; ``mean``, a mean over time in
    place of a pool. It has the shape of an S4D, or with ``layers`` that of an S5: so many blocks of
    norm, one state of ``modes`` modes for all channels, gate and residual. They cannot share
    stages, unless they are to be ``alike``; then they differ in their binary points and tables.
    With ``tokens`` its input is one of so many tokens, or a code past them.
    """

    def make(
        channels: int = 2,
        modes: int = 3,
        steps: int = 6,
        classes: int = 3,
        seed: int = 0,
        pooled: bool = True,
        features: Collection[str] = (),
        layers: int = 0,
        alike: bool = False,
        tokens: int = 0,
    ) -> Manifest:
        draw = _Draw(seed, features)
        draw.store("encoder.weight", draw.random.uniform(-2, 2, (channels, 1)), "SQ(2, 6)")
        draw.store("encoder.bias", draw.random.uniform(-2, 2, channels), "SQ(2, 10)")
        if layers:
            text, end = _TOKENS if tokens else _HEAD, f"residual_{layers}"
            if tokens:
                draw.store(
                    "encoder.weight", draw.random.uniform(-8, 8, (tokens, channels)), "SQ(4, 4)"
                )
            for k in range(1, layers + 1):
                draw.dense(f"drive_{k}", 0.7, 2 * modes, channels)
                draw.ssm(f"ssm_{k}", modes, 1, straight=0)
                draw.dense(f"readout_{k}", 1, 1, channels, modes, 2, bias=False)
                draw.dense(f"skip_{k}", 1, channels, 1, 1, bias=False)
                draw.dense(f"mixing_{k}", 0.7, channels, channels)
                text += _layer(k, alike)
        else:
            text, end = _S4D, "residual"
            draw.ssm("ssm", channels, modes, straight=1)
            draw.dense("readout", 1, channels, 1, modes, 2, bias=False)
            draw.dense("mixing", 0.7, 2 * channels, channels)
        if pooled:
            draw.dense("decoder", 1, classes, channels)
        pool = "mean" if "mean" in features else f"pool, shift: {int(np.log2(steps))}"
        text += _POOLED if pooled else "output: {end}\n"
        return draw.manifest(text, channels=channels, steps=steps, pool=pool, end=end)

    return make


@pytest.fixture(scope="session")
def random_samples() -> Callable[..., Codes]:
    """``random_samples(manifest, batch, steps, seed)``: codes over the whole input format,
    (batch, steps, size)."""

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


@pytest.fixture
def outside(monkeypatch):
    """The operations of the package `tests/outside` are known, for this test."""
    monkeypatch.syspath_prepend(Path(__file__).parent)
    monkeypatch.setattr(registry, "_packages", {})
    registry.register("clip", "outside")
    registry.register("difference", "outside")
