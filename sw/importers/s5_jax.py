"""Imports the S5 of the JAX code (lindermanlab/S5) and the LRU (NicolasZucchet/minimal-LRU):
the flax tree of a classifier.

    tree = {"params": state.params, "batch_stats": state.batch_stats}
    flat = flax.traverse_util.flatten_dict(tree, sep="/")
    numpy.savez("s5.npz", **flat)  # or safetensors.numpy.save_file(flat, "s5.safetensors")

The two top levels may be left out, and dots may replace slashes. Options that the tree does not
tell have the code's defaults: prenorm, conjugate symmetry, the mean over all steps. Norms without
``batch_stats`` are LayerNorms. Kernels are (in, out) there and (out, in) here. Tokens go through a
Dense there, one-hot; here they go through the equivalent table.

A state dict of torch with the same modules (``layers.0.seq``, ``norm``, ``out1``, ``out2``)
is read too. Its norm order, activation and pooling are asked for.

An LRU, h' = Lambda h + exp(gamma_log) B u and y = Re(C h) + D u with Lambda = exp(-exp(nu_log) + i
exp(theta_log)), is an S5 of steps of 1 whose Bbar is B, and of half the C.
"""

import re
from typing import Any

import torch
from torch import Tensor

from ssm_hdl.errors import UsageError
from ssm_hdl.sw.data import InputSpec
from ssm_hdl.sw.importers.arrays import Arrays
from ssm_hdl.sw.importers.stacks import (
    ACTIVATIONS,
    ORDERS,
    WHERE,
    blocks_of,
    check_pooling,
    gives,
    read_norms,
    refuse_growth,
    takes,
)
from ssm_hdl.sw.models.s5 import S5Config

EPSILON = {"layer": 1e-6, "layer_bias": 1e-6, "batch": 1e-5}
"""Flax's defaults, which the code does not change; torch has 1e-5."""

GATES = ("half_glu1", "half_glu2")
"""Gates that have ``out2`` as their only dense; the tree does not tell them apart,
and scripts of S5 have either."""

DISCRETIZATIONS = ("zoh", "bilinear")


def recognise(arrays: Arrays) -> bool:
    """Whether a block has Lambda_re or nu_log."""
    return any(re.search(r"[./](Lambda_re|nu_log)$", name) for name in arrays.tensors)


def read(
    arrays: Arrays,
    inputs: InputSpec,
    gate: str | None = None,
    discretization: str | None = None,
    clip_eigs: bool | None = None,
    norm_order: str | None = None,
    activation: str | None = None,
    pooling: str | None = None,
) -> tuple[S5Config, dict[str, Tensor]]:
    """Config and tensors of the model.

    Args:
        arrays: the flattened tree.
        inputs: the samples that the model takes.
        gate: ``half_glu1`` or ``half_glu2`` (``--activation_fn`` there),
            if the tree has ``out2`` only.
        discretization: ``zoh`` or ``bilinear`` of an S5; the first if None.
        clip_eigs: whether an S5 was trained with ``--clip_eigs``.
        norm_order: ``prenorm`` or ``postnorm``; the first, if it is a flax tree.
        activation: ``gelu`` or ``gelu_tanh``; the second, if it is a flax tree.
        pooling: of the steps; the mean, if it is a flax tree.

    Raises:
        SsmHdlError: another layout, a bidirectional model,
            or an array that is missing or misshapen.
    """
    arrays.tensors = {
        re.sub(r"^((params|batch_stats)/)+", "", name.replace(".", "/")): t
        for name, t in arrays.tensors.items()
    }
    blocks = blocks_of(arrays, r"(?:\w+/)?(?:Lambda_re|nu_log)")
    first = next(
        name
        for name in arrays.tensors
        if name.startswith(blocks[0]) and name.endswith(("/Lambda_re", "/nu_log"))
    )
    seq, lru = re.sub(r"\w+$", "", first.removeprefix(blocks[0])), first.endswith("nu_log")
    (modes,) = arrays.shape(first, "(P,)")
    d = f"{blocks[0]}{seq}D"
    if d in arrays and arrays.tensors[d].ndim == 2:
        arrays.fail(
            f"has a dense D ({d} of shape {tuple(arrays.tensors[d].shape)}); "
            "models with one D a channel can be imported"
        )
    (width,) = arrays.shape(d, "(H,)")
    for name, tensor in arrays.tensors.items():
        if name.endswith(("/C1", "/C2")) or (
            name.endswith(f"{seq}C") and tensor.shape[1:2] == (2 * modes,)
        ):
            arrays.fail(
                f"is bidirectional ({name}), so it cannot be streamed; train one in one direction"
            )
    flax = any(name.endswith("/kernel") for name in arrays.tensors)
    norm, norms, final = read_norms(arrays, blocks, width)
    outs = [
        name
        for name in ("out1", "out2")
        if any(f"{blocks[0]}{name}/{kind}" in arrays for kind in ("kernel", "weight"))
    ]
    if outs != ["out2"]:
        arrays.refuse(
            "gate",
            gate,
            f"has {' and '.join(outs) or 'neither out1 nor out2'}, which tells its gate",
        )
        gate = "full_glu" if len(outs) == 2 else "none"
    else:
        gate = arrays.ask(
            "gate", gate, GATES, f"which of two gates the only dense is of ({blocks[0]}out2)"
        )
    if lru:
        for option, given in (("discretization", discretization), ("clip_eigs", clip_eigs)):
            arrays.refuse(option, given, "is an LRU, which has discrete poles")
    if discretization not in (None, *DISCRETIZATIONS):
        raise UsageError(
            f"no discretization is called {discretization!r}; "
            f"there are {', '.join(DISCRETIZATIONS)}"
        )
    if norm == "none":
        arrays.refuse("norm_order", norm_order, "has no norm")
    order = norm_order or ("prenorm" if flax or norm == "none" else None)
    order = arrays.ask("norm_order", order, ORDERS, WHERE)
    active = arrays.ask(
        "activation",
        activation or ("gelu_tanh" if flax else None),
        tuple(ACTIVATIONS),
        "the activation after the SSM",
    )
    pooling = check_pooling(arrays, inputs, pooling, usual="mean" if flax else None)
    options: dict[str, Any] = {
        "width": width,
        "modes": modes,
        "layers": len(blocks),
        "norm": norm,
        "order": order,
        "gate": gate,
    }
    options |= {
        "epsilon": EPSILON.get(norm, 1e-5) if flax else 1e-5,
        "gelu": ACTIVATIONS[active],
        "pooling": pooling,
        "final_norm": bool(final),
    }
    options |= {
        "discretization": "none" if lru else discretization or "zoh",
        "clip": bool(clip_eigs),
    }
    config = S5Config.model_validate(options)
    tensors: dict[str, Tensor] = final

    def dense(source: str, name: str, inward: int, outward: int, why: str = "") -> None:
        if flax:
            tensors[f"{name}.weight"] = arrays.take(f"{source}/kernel", inward, outward, why=why).mT
        else:
            tensors[f"{name}.weight"] = arrays.take(f"{source}/weight", outward, inward, why=why)
        tensors[f"{name}.bias"] = arrays.bias(f"{source}/weight", outward)

    nested = any(name.startswith("encoder/encoder/") for name in arrays.tensors)
    if inputs.tokens and "encoder/weight" in arrays:  # an embedding of torch
        tensors["encoder.weight"] = arrays.take(
            "encoder/weight", inputs.tokens, width, why=takes(inputs)
        )
    else:
        source = "encoder/encoder" if flax or nested else "encoder"
        dense(source, "encoder", inputs.tokens or inputs.channels, width, takes(inputs))
        if inputs.tokens:
            tensors["encoder.weight"] = tensors["encoder.weight"].mT + tensors.pop("encoder.bias")
    dense("decoder", "decoder", width, inputs.outputs, gives(inputs))
    for number, (source, of_norm) in enumerate(zip(blocks, norms, strict=True)):
        name = f"layers.{number}"
        of_seq = arrays, f"{source}{seq}", width, modes
        own = _lru(*of_seq) if lru else _s5(*of_seq, config.clip)
        tensors |= {
            f"{name}.{key}": value
            for key, value in (
                {f"seq.{key}": value for key, value in own.items()} | of_norm
            ).items()
        }
        for out in outs:
            dense(f"{source}{out}", f"{name}.{out}", width, width)
    return config, tensors


def _s5(arrays: Arrays, source: str, width: int, modes: int, clip: bool) -> dict[str, Tensor]:
    """Tensors of the SSM of an S5."""
    shapes: dict[str, tuple[int, ...]] = {
        "Lambda_re": (modes,),
        "Lambda_im": (modes,),
        "D": (width,),
    }
    shapes |= {"B": (modes, width, 2), "C": (width, modes, 2)}
    tensors = {key: arrays.take(f"{source}{key}", *shape) for key, shape in shapes.items()}
    if not clip:
        refuse_growth(
            arrays,
            f"{source}Lambda_re",
            tensors["Lambda_re"],
            "; give --clip-eigs if it was trained with --clip_eigs",
        )
    return tensors | {"log_step": arrays.take(f"{source}log_step", modes)}


def _lru(arrays: Arrays, source: str, width: int, modes: int) -> dict[str, Tensor]:
    """Tensors of the S5 that an LRU is."""
    nu, theta, gamma = (
        arrays.take(f"{source}{name}_log", modes).double() for name in ("nu", "theta", "gamma")
    )
    b, c = _matrix(arrays, f"{source}B", modes, width), _matrix(arrays, f"{source}C", width, modes)
    tensors = {"Lambda_re": -nu.exp(), "Lambda_im": theta.exp(), "log_step": torch.zeros(modes)}
    tensors |= {"B": torch.view_as_real(b * gamma.exp()[:, None]), "C": torch.view_as_real(c / 2)}
    return {name: tensor.float() for name, tensor in tensors.items()} | {
        "D": arrays.take(f"{source}D", width)
    }


def _matrix(arrays: Arrays, name: str, *shape: int) -> Tensor:
    """A complex matrix: of complex numbers, of pairs, or of two real matrices."""
    if name in arrays:
        pairs = arrays.tensors[name].is_floating_point()
        matrix = arrays.take(name, *shape, *((2,) * pairs), is_complex=not pairs)
        return (torch.view_as_complex(matrix.double()) if pairs else matrix).to(torch.complex128)
    real = arrays.first(f"{name}_real", f"{name}_re")
    imaginary = arrays.first(f"{name}_imag", f"{name}_img", f"{name}_im")
    return torch.complex(
        arrays.take(real, *shape).double(), arrays.take(imaginary, *shape).double()
    )
