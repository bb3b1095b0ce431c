"""Imports the S5 of the JAX code (lindermanlab/S5): the flax tree of its classifier, flattened to keys with slashes.

    flat = flax.traverse_util.flatten_dict({"params": state.params, "batch_stats": state.batch_stats}, sep="/")
    numpy.savez("s5.npz", **flat)                     # or safetensors.numpy.save_file(flat, "s5.safetensors")

The two top levels may be left out, and dots may replace slashes. Options that the tree does not tell have the code's defaults:
prenorm, conjugate symmetry, the mean over all steps. Kernels are (in, out) there and (out, in) here. Tokens go through a Dense
there, one-hot; here they go through the equivalent table.
"""

import re
from typing import Any, get_args

from torch import Tensor

from ssm_hdl.errors import SsmHdlError
from ssm_hdl.sw.data import InputSpec
from ssm_hdl.sw.importers.arrays import Arrays
from ssm_hdl.sw.models.s5 import S5Config
from ssm_hdl.sw.models.s5_ssm import Discretization

EPSILON = {"layer": 1e-6, "layer_bias": 1e-6, "batch": 1e-5}
"""Flax's defaults, which the code does not change."""

GATES = ("half_glu1", "half_glu2")
"""Gates that have ``out2`` as their only dense; the tree does not tell them apart."""


def read(
    arrays: Arrays, inputs: InputSpec, gate: str = "half_glu1", discretization: str = "zoh", clip: bool = False
) -> tuple[S5Config, dict[str, Tensor]]:
    """Config and tensors of the model.

    Args:
        arrays: the flattened tree.
        inputs: the samples that the model takes.
        gate: ``half_glu1`` or ``half_glu2`` (``--activation_fn`` there), if the tree has ``out2`` only.
        discretization: ``zoh`` or ``bilinear``.
        clip: whether it was trained with ``--clip_eigs``.

    Raises:
        SsmHdlError: another layout, a bidirectional model, or an array that is missing or misshapen.
    """
    arrays.tensors = {_plain(name): tensor for name, tensor in arrays.tensors.items()}
    layers = {int(match[1]) for name in arrays.tensors if (match := re.match(r"encoder/layers_(\d+)/seq/", name))}
    if layers != set(range(len(layers))) or not layers:
        names = ", ".join(sorted(arrays.tensors)[:3])
        raise SsmHdlError(
            f"{arrays.path} has another layout: an S5 of the JAX code has encoder/layers_0/seq/Lambda_re and so on, "
            f"this has layers {sorted(layers)} and begins with {names}"
        )
    first = "encoder/layers_0"
    (modes,) = arrays.shape(f"{first}/seq/Lambda_re", "(P,)")
    (width,) = arrays.shape(f"{first}/seq/D", "(H,)")
    for name, tensor in arrays.tensors.items():
        if name.endswith(("/seq/C1", "/seq/C2")) or (name.endswith("/seq/C") and tensor.shape[1:2] == (2 * modes,)):
            raise SsmHdlError(f"{arrays.path} is bidirectional ({name}), so it cannot be streamed; train one in one direction")
    norm = "batch" if f"{first}/norm/mean" in arrays else "layer_bias" if f"{first}/norm/bias" in arrays else "layer"
    if f"{first}/out1/kernel" in arrays:
        gate = "full_glu"
    elif f"{first}/out2/kernel" not in arrays:
        gate = "none"
    elif gate not in GATES:
        raise SsmHdlError(f"a gate of {gate!r} is not what {arrays.path} has ({first}/out2); it is one of {', '.join(GATES)}")
    if discretization not in get_args(Discretization):
        raise SsmHdlError(f"no discretization is called {discretization!r}; there are {', '.join(get_args(Discretization))}")
    config = S5Config.model_validate(
        {"width": width, "modes": modes, "layers": len(layers), "norm": norm, "epsilon": EPSILON[norm]}
        | {"gate": gate, "discretization": discretization, "clip": clip}
    )
    tensors: dict[str, Tensor] = {}

    def dense(source: str, name: str, inward: int, outward: int) -> None:
        tensors[f"{name}.weight"] = arrays.take(f"{source}/kernel", inward, outward).mT
        tensors[f"{name}.bias"] = arrays.take(f"{source}/bias", outward)

    dense("encoder/encoder", "encoder", inputs.tokens or 1, width)
    dense("decoder", "decoder", width, inputs.classes)
    if inputs.tokens:
        tensors["encoder.weight"] = tensors["encoder.weight"].mT + tensors.pop("encoder.bias")
    for i in range(len(layers)):
        source, name = f"encoder/layers_{i}", f"layers.{i}"
        tensors |= {f"{name}.{key}": value for key, value in _block(arrays, source, config).items()}
        for out in {"none": (), "full_glu": ("out1", "out2")}.get(gate, ("out2",)):
            dense(f"{source}/{out}", f"{name}.{out}", width, width)
    return config, tensors


def _block(arrays: Arrays, source: str, config: S5Config) -> dict[str, Tensor]:
    """Tensors of the norm and the SSM of a block."""
    width, modes = config.width, config.modes
    shapes: dict[str, tuple[int, ...]] = {"Lambda_re": (modes,), "Lambda_im": (modes,), "D": (width,)}
    shapes |= {"B": (modes, width, 2), "C": (width, modes, 2)}
    tensors: dict[str, Any] = {f"seq.{key}": arrays.take(f"{source}/seq/{key}", *shape) for key, shape in shapes.items()}
    tensors["seq.log_step"] = arrays.take(f"{source}/seq/log_step", modes, 1)[:, 0]
    norm = {"weight": "scale"}
    if config.norm != "layer":
        norm["bias"] = "bias"
    if config.norm == "batch":
        norm |= {"running_mean": "mean", "running_var": "var"}
    return tensors | {f"norm.{ours}": arrays.take(f"{source}/norm/{theirs}", width) for ours, theirs in norm.items()}


def _plain(name: str) -> str:
    return re.sub(r"^(params|batch_stats)/", "", name.replace(".", "/"))
