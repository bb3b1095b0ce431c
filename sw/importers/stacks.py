"""What layouts of torch code share: encoder, blocks with their norms, decoder."""

import re
from collections.abc import Sequence

import torch
from torch import Tensor

from ssm_hdl.sw.data import InputSpec
from ssm_hdl.sw.importers.arrays import Arrays

POOLINGS = ("mean", "last", "max", "none")
ORDERS = ("prenorm", "postnorm")
ACTIVATIONS = {"gelu": "erf", "gelu_tanh": "tanh"}
"""Activations by their name in options, and the kind of GELU of a config."""

NORM = r"norm|\b[lb]n(?:s|_?\d+)?\b"
"""In the name of a norm: norm, layernorm, ln, ln_1, bn and so on."""

NORM_PARTS = {"weight": ("weight", "scale"), "bias": ("bias",)}
NORM_PARTS |= {"running_mean": ("running_mean", "mean"), "running_var": ("running_var", "var")}
"""Names of a norm's arrays, in torch and flax."""


def blocks_of(arrays: Arrays, suffix: str) -> list[str]:
    """The prefixes of the blocks, such as ``layers.0.``, of which each has an array with the pattern ``suffix``, in their order.

    Raises:
        SsmHdlError: their numbers are not 0, 1, 2 and so on.
    """
    found: dict[str, set[int]] = {}
    for name in arrays.tensors:
        if match := re.fullmatch(rf"(.*?)(\d+)([./]){suffix}", name):
            if not re.fullmatch("0|[1-9][0-9]*", match[2]):
                arrays.fail(f"has a layer numbered {match[2]} ({name}); layers are numbered 0, 1, 2 and so on")
            found.setdefault(match[1], set()).add(int(match[2]))
            separator = match[3]
    if len(found) != 1 or (numbers := next(iter(found.values()))) != set(range(len(numbers))):
        numbered = ", ".join(f"{name}{sorted(numbers)}" for name, numbers in found.items()) or "none"
        arrays.fail(f"has another layout: layers {numbered}; one list of 0, 1, 2 and so on is wanted")
    prefix = next(iter(found))
    return [f"{prefix}{number}{separator}" for number in range(len(numbers))]


def read_norms(arrays: Arrays, blocks: Sequence[str], width: int) -> tuple[str, list[dict[str, Tensor]]]:
    """The kind of norm of all blocks, and the tensors of each; a norm is in its block, or in a list of norms."""
    kinds, norms = set[str](), []
    for number, block in enumerate(blocks):
        names = [name for name in arrays.tensors if re.search(rf"(?:{NORM}).*[./](weight|scale)$", name, re.IGNORECASE)]
        own = [name for name in names if name.startswith(block)]
        listed = [name for name in names if re.search(rf"(?:{NORM})\w*[./]{number}[./]", name, re.IGNORECASE)]
        found = own or [name for name in listed if not any(map(name.startswith, blocks))]
        if len(found) > 1:
            arrays.fail(f"has several norms in layer {number}: {', '.join(found)}; models of one norm a layer can be imported")
        prefix = re.sub(r"\w+$", "", found[0]) if found else ""
        there = (
            {ours: arrays.first(*(f"{prefix}{name}" for name in theirs)) for ours, theirs in NORM_PARTS.items()} if found else {}
        )
        tensors = {f"norm.{ours}": arrays.take(name, width) for ours, name in there.items() if name in arrays}
        if found and "norm.bias" not in tensors and found[0].endswith("weight"):
            arrays.fail(f"has {found[0]} without a bias, as an RMSNorm has; models with LayerNorm or BatchNorm can be imported")
        if (tensors.get("norm.running_var", torch.zeros(1)) < 0).any():
            name = there["running_var"]
            arrays.fail(f"has {name} with values below 0, which no variance has; the file is damaged, or it is another array")
        affine = "layer_bias" if "norm.bias" in tensors else "layer"
        kinds.add("none" if not found else "batch" if "norm.running_mean" in tensors else affine)
        norms.append(tensors)
    if len(kinds) != 1:
        arrays.fail(f"has layers with different norms: {', '.join(sorted(kinds))}")
    return kinds.pop(), norms


def check_pooling(arrays: Arrays, inputs: InputSpec, pooling: str | None) -> str:
    """The pooling that was given, or else the usual one for the labels of the samples."""
    usual = "none" if inputs.per_step else "mean"
    return arrays.ask("pooling", pooling or usual, POOLINGS, "the steps are pooled in one of a few ways")


def read_ends(arrays: Arrays, inputs: InputSpec, width: int) -> dict[str, Tensor]:
    """Encoder and decoder."""
    shape = (inputs.tokens, width) if inputs.tokens else (width, inputs.channels)
    tensors = {"encoder.weight": arrays.take("encoder.weight", *shape)}
    if not inputs.tokens:
        tensors["encoder.bias"] = arrays.bias("encoder.weight", width)
    tensors["decoder.weight"] = arrays.take("decoder.weight", inputs.outputs, width)
    return tensors | {"decoder.bias": arrays.bias("decoder.weight", inputs.outputs)}
