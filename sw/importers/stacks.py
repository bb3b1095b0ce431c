"""What layouts of torch code share: encoder, blocks with their norms, decoder."""

import re

from torch import Tensor

from ssm_hdl.sw.data import InputSpec
from ssm_hdl.sw.importers.arrays import Arrays

POOLINGS = ("mean", "last", "max", "none")
ORDERS = ("prenorm", "postnorm")
ACTIVATIONS = {"gelu": "erf", "gelu_tanh": "tanh"}
"""Activations by their name in options, and the kind of GELU of a config."""

NORM_PARTS = {"weight": "weight", "bias": "bias", "running_mean": "running_mean", "running_var": "running_var"}


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


def read_norm(arrays: Arrays, number: int, block: str, width: int) -> tuple[str, dict[str, Tensor]]:
    """The kind of norm of a block, and its tensors; it is in the block, or in a list of norms."""
    names = [name for name in arrays.tensors if re.search("norm", name, re.IGNORECASE) and name.endswith(".weight")]
    own = [name for name in names if name.startswith(block)]
    listed = [name for name in names if re.search(rf"norms?\w*\.{number}\.", name, re.IGNORECASE) and not name.startswith(block)]
    found = own or listed
    if not found:
        return "none", {}
    if len(found) > 1:
        arrays.fail(f"has several norms in layer {number}: {', '.join(found)}; models of one norm a layer can be imported")
    prefix = found[0].removesuffix("weight")
    parts = {part: arrays.take(f"{prefix}{part}", width) for part in NORM_PARTS if f"{prefix}{part}" in arrays}
    if "bias" not in parts:
        arrays.fail(f"has {prefix}weight without a bias, as an RMSNorm has; models with LayerNorm or BatchNorm can be imported")
    check_variance(arrays, f"{prefix}running_var")
    return ("batch" if "running_mean" in parts else "layer_bias"), {f"norm.{part}": tensor for part, tensor in parts.items()}


def check_pooling(arrays: Arrays, inputs: InputSpec, pooling: str | None) -> str:
    """The pooling that was given, or else the usual one for the labels of the samples."""
    usual = "none" if inputs.per_step else "mean"
    return arrays.ask("pooling", pooling or usual, POOLINGS, "the steps are pooled in one of a few ways")


def check_variance(arrays: Arrays, name: str) -> None:
    """Refuse a variance below 0, whose root is not a number."""
    if name in arrays and (arrays.tensors[name] < 0).any():
        arrays.fail(f"has {name} with values below 0, which no variance has; the file is damaged, or it is another array")


def read_ends(arrays: Arrays, inputs: InputSpec, width: int) -> dict[str, Tensor]:
    """Encoder and decoder."""
    shape = (inputs.tokens, width) if inputs.tokens else (width, inputs.channels)
    tensors = {"encoder.weight": arrays.take("encoder.weight", *shape)}
    if not inputs.tokens:
        tensors["encoder.bias"] = arrays.take("encoder.bias", width)
    tensors["decoder.weight"] = arrays.take("decoder.weight", inputs.outputs, width)
    return tensors | {"decoder.bias": arrays.take("decoder.bias", inputs.outputs)}
