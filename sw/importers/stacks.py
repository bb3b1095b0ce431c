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

NORM = r"norm|\b[lb]n(?:s|_?\d+|_?f)?\b"
"""In the name of a norm: norm, layernorm, ln, ln_1, bn and so on."""

NORM_PARTS = {"weight": ("weight", "scale"), "bias": ("bias",)}
NORM_PARTS |= {"running_mean": ("running_mean", "mean"), "running_var": ("running_var", "var")}
"""Names of a norm's arrays, in torch and flax."""


def blocks_of(arrays: Arrays, suffix: str) -> list[str]:
    """The prefixes of the blocks, such as ``layers.0.``, of which each has an array with the pattern ``suffix``, in their order.

    Raises:
        SsmHdlError: their numbers are not 0, 1, 2 and so on.
    """
    lists: dict[str, set[int]] = {}
    for name in arrays.tensors:
        if match := re.fullmatch(rf"(.*?)(\d+)([./]){suffix}", name):
            if not re.fullmatch("0|[1-9][0-9]*", match[2]):
                arrays.fail(f"has a layer numbered {match[2]} ({name}); layers are numbered 0, 1, 2 and so on")
            lists.setdefault(match[1], set()).add(int(match[2]))
            separator = match[3]
    if len(lists) != 1 or (numbers := next(iter(lists.values()))) != set(range(len(numbers))):
        numbered = ", ".join(f"{name}{sorted(numbers)}" for name, numbers in lists.items()) or "none"
        arrays.fail(f"has another layout: layers {numbered}; one list of 0, 1, 2 and so on is wanted")
    prefix = next(iter(lists))
    return [f"{prefix}{number}{separator}" for number in range(len(numbers))]


def read_norms(arrays: Arrays, blocks: Sequence[str], width: int) -> tuple[str, list[dict[str, Tensor]], dict[str, Tensor]]:
    """The kind of norm of all blocks, the tensors of each, and of a norm after the last one.

    A norm is in its block, or in a list of norms; the one after the blocks has no number.
    """
    kinds, norms = set[str](), []
    names = [name for name in arrays.tensors if re.search(rf"(?:{NORM}).*[./](weight|scale)$", name, re.IGNORECASE)]
    outside = [name for name in names if not any(map(name.startswith, blocks))]
    for number, block in enumerate(blocks):
        listed = [name for name in outside if re.search(rf"(?:{NORM})\w*[./]{number}[./]", name, re.IGNORECASE)]
        named = [name for name in names if name.startswith(block)] or listed
        if len(named) > 1:
            arrays.fail(f"has several norms in layer {number}: {', '.join(named)}; models of one norm a layer can be imported")
        kind, tensors = _read_norm(arrays, named[0], "norm", width) if named else ("none", {})
        kinds.add(kind)
        norms.append(tensors)
    final = dict[str, Tensor]()
    for name in outside:
        if not re.search(r"[./]\d+[./]", name):
            kind, final = _read_norm(arrays, name, "norm_f", width)
            kinds.add(kind)
    if len(kinds) != 1:
        arrays.fail(f"has layers with different norms: {', '.join(sorted(kinds))}")
    return kinds.pop(), norms, final


def _read_norm(arrays: Arrays, gain: str, ours: str, width: int) -> tuple[str, dict[str, Tensor]]:
    """The kind of a norm, and its tensors; ``gain`` is the array of its gain, ``ours`` the name that we give it."""
    prefix = re.sub(r"\w+$", "", gain)
    there = {part: arrays.first(*(f"{prefix}{name}" for name in names)) for part, names in NORM_PARTS.items()}
    tensors = {f"{ours}.{part}": arrays.take(name, width) for part, name in there.items() if name in arrays}
    if f"{ours}.bias" not in tensors and gain.endswith("weight"):
        arrays.fail(f"has {gain} without a bias, as an RMSNorm has; models with LayerNorm or BatchNorm can be imported")
    if (tensors.get(f"{ours}.running_var", torch.zeros(1)) < 0).any():
        name = there["running_var"]
        arrays.fail(f"has {name} with values below 0, which no variance has; the file is damaged, or it is another array")
    affine = "layer_bias" if f"{ours}.bias" in tensors else "layer"
    return ("batch" if f"{ours}.running_mean" in tensors else affine), tensors


def check_pooling(arrays: Arrays, inputs: InputSpec, pooling: str | None) -> str:
    """The pooling that was given, or else the usual one for the labels of the samples."""
    usual = "none" if inputs.per_step else "mean"
    return arrays.ask("pooling", pooling or usual, POOLINGS, "the steps are pooled in one of a few ways")


def refuse_growth(arrays: Arrays, name: str, real: Tensor, way_out: str = "") -> None:
    """Refuse eigenvalues, by their real parts, of modes whose state grows."""
    if count := int((real > 0).sum()):
        arrays.fail(f"has {count} eigenvalues of a real part above 0 ({name}, up to {real.max():.3g}), so a state grows{way_out}")


def read_ends(arrays: Arrays, inputs: InputSpec, width: int) -> dict[str, Tensor]:
    """Encoder and decoder."""
    shape = (inputs.tokens, width) if inputs.tokens else (width, inputs.channels)
    tensors = {"encoder.weight": arrays.take("encoder.weight", *shape)}
    if not inputs.tokens:
        tensors["encoder.bias"] = arrays.bias("encoder.weight", width)
    tensors["decoder.weight"] = arrays.take("decoder.weight", inputs.outputs, width)
    return tensors | {"decoder.bias": arrays.bias("decoder.weight", inputs.outputs)}
