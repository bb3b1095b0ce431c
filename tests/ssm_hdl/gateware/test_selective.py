# amaranth: UnusedElaboratable=no
"""The gateware of the selective scan, as that of the other operations."""

import numpy as np
import pytest

from ssm_hdl import SQ, UQ
from ssm_hdl.families.ice40 import ICE40
from ssm_hdl.gateware.layers import Layers
from ssm_hdl.gateware.selective import Selective
from ssm_hdl.gateware.selective_folding import SelectiveFolding
from ssm_hdl.operations import Edge, Tensor, Tensors
from ssm_hdl.operations import Selective as Operation
from ssm_hdl.sim.golden import evaluate

KINDS = ("dsp", "lut")
PACKETS = 24
FORMATS = {
    "usual": {"state": SQ(3, 5)},
    "fine": {"rate": SQ(5, 9), "alpha": SQ(3, 7), "state": SQ(4, 8), "y": SQ(5, 11), "exponents": (-3, 3)},
    "coarse": {"rate": SQ(6, -1), "alpha": UQ(2, 1), "drive": UQ(2, 4), "b": UQ(1, 5), "state": UQ(3, 5), "c": UQ(0, 4)},
    "wide": {"drive": SQ(4, 15), "b": SQ(2, 14), "state": SQ(6, 12), "c": SQ(3, 16), "exponents": (0, 1)},
}


def selective(channels, modes, name="usual", seed=0):
    f = {"rate": SQ(5, 6), "drive": SQ(3, 5), "b": SQ(2, 5), "c": SQ(1, 7), "alpha": SQ(4, 4), "y": SQ(5, 3), "exponents": (-2, 2)}
    f |= FORMATS[name]
    dice = np.random.default_rng(seed)
    codes = {"a": dice.integers(f["alpha"].min, f["alpha"].max + 1, (channels, modes))}
    codes["e"] = dice.integers(*f["exponents"], channels)
    op = Operation(
        name="y", inputs=tuple("rvbc"), alpha=Tensor(tensor="a", format=f["alpha"]), exponent="e", state=f["state"], format=f["y"]
    )
    sizes = {"rate": channels, "drive": channels, "b": modes, "c": modes}
    return op.bind(tuple(Edge(name, size, f[name]) for name, size in sizes.items()), Tensors(codes, {}), PACKETS)


SIZES = [(4, 4, 4), (4, 4, 2), (3, 6, 1), (1, 1, 1), (8, 3, 3), (2, 9, 3), (24, 2, 1)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("channels,modes,folding", SIZES)
def test_selective(channels, modes, folding, kind, check):
    node = selective(channels, modes)
    check(lambda: Selective(node, f"1x{folding}", kind), node)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("folding", ("1x1", "1x4"))
def test_formats(name, folding, check):
    node = selective(5, 4, name, seed=3)
    check(lambda: Selective(node, folding), node)
    check(lambda: Selective(Layers([node], family=ICE40), folding, "lut"), node)
