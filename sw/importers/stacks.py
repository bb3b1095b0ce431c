"""What layouts of torch code share: encoder, blocks with their norms, decoder."""

import re
from collections.abc import Sequence

import torch
from torch import Tensor

from ssm_hdl.sw.data import InputSpec
from ssm_hdl.sw.importers.arrays import Arrays

POOLED = ("mean", "last", "max")
POOLINGS = (*POOLED, "none")
ORDERS = ("prenorm", "postnorm")
WHERE = "whether the norm comes before the SSM or after the residual"
ACTIVATIONS = {"gelu": "erf", "gelu_tanh": "tanh"}
"""Activations by their name in options, and the kind of GELU of a config."""

ENCODERS, DECODERS = ("encoder.0", "encoder"), ("decoder.0.output_transform", "decoder")
"""Names of the two, of which the first are those of the experiments of state-spaces/s4."""

GIVE = "give the samples that it was trained on with --inputs or --data"
"""The way out of an encoder or a decoder for others."""

NORM = r"norm|\b[lb]n(?:s|_?\d+|_?f)?\b"
"""In the name of a norm: norm, layernorm, ln, ln_1, bn and so on."""

NORM_PARTS = {"weight": ("weight", "scale"), "bias": ("bias",)}
NORM_PARTS |= {"running_mean": ("running_mean", "mean"), "running_var": ("running_var", "var")}
"""Names of a norm's arrays, in torch and flax."""


def blocks_of(arrays: Arrays, suffix: str) -> list[str]:
    """The prefixes of the blocks, such as ``layers.0.``, of which each has an array with the
    pattern ``suffix``, in their order.

    Raises:
        SsmHdlError: their numbers are not consecutive, from 0 or 1.
    """
    lists: dict[str, set[int]] = {}
    for name in arrays.tensors:
        if match := re.fullmatch(rf"(.*?)(\d+)([./]){suffix}", name):
            if not re.fullmatch("0|[1-9][0-9]*", match[2]):
                arrays.fail(
                    f"has a layer numbered {match[2]} ({name}); layers are numbered 0, "
                    "1, 2 and so on"
                )
            lists.setdefault(match[1], set()).add(int(match[2]))
            separator = match[3]
    if len(lists) != 1:
        numbered = (
            ", ".join(f"{name}{sorted(numbers)}" for name, numbers in lists.items()) or "none"
        )
        arrays.fail(
            f"has another layout: layers {numbered}; one list of 0, 1, 2 and so on is wanted"
        )
    prefix, numbers = next((prefix, sorted(numbers)) for prefix, numbers in lists.items())
    first = numbers[0] if numbers[0] == 1 else 0
    zero = f"{prefix}0{separator}"
    if first and (other := next((name for name in arrays.tensors if name.startswith(zero)), None)):
        arrays.fail(
            f"has another layout: layers {prefix}{numbers}, and {other} is of no SSM; "
            f"if it is the encoder, give --map {prefix}0=encoder"
        )
    for place, number in enumerate(numbers, first):
        if number != place:
            arrays.fail(
                f"has another layout: layers {prefix}{numbers}; one list of 0, 1, 2 and so on is "
                "wanted; if none is missing, and nothing between them computes, "
                f"give --map {prefix}{number}={prefix}{place}"
            )
    return [f"{prefix}{number}{separator}" for number in numbers]


def read_norms(
    arrays: Arrays, blocks: Sequence[str], width: int
) -> tuple[str, list[dict[str, Tensor]], dict[str, Tensor]]:
    """The kind of norm of all blocks, the tensors of each, and of a norm after the last one.

    A norm is in its block, or in a list of norms; the one after the blocks has no number.
    """
    kinds, norms = set[str](), []
    names = [
        name
        for name in arrays.tensors
        if re.search(rf"(?:{NORM}).*[./](weight|scale)$", name, re.IGNORECASE)
    ]
    outside = [name for name in names if not any(map(name.startswith, blocks))]
    numbered = (
        (name, re.search(rf"(?:{NORM})\w*[./](\d+)[./]", name, re.IGNORECASE)) for name in outside
    )
    places = {name: int(match[1]) for name, match in numbered if match}
    first = min(places.values(), default=0)  # the list may begin at 1, as that of the layers
    for number, block in enumerate(blocks):
        listed = [name for name, place in places.items() if place == number + first]
        named = [name for name in names if name.startswith(block)] or listed
        if len(named) > 1:
            arrays.fail(
                f"has several norms in layer {number}: {', '.join(named)}; "
                "models of one norm a layer can be imported"
            )
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
    """The kind of a norm, and its tensors; ``gain`` is the array of its gain,
    ``ours`` the name that we give it."""
    prefix = re.sub(r"\w+$", "", gain)
    there = {
        part: arrays.first(*(f"{prefix}{name}" for name in names))
        for part, names in NORM_PARTS.items()
    }
    tensors = {
        f"{ours}.{part}": arrays.take(name, width) for part, name in there.items() if name in arrays
    }
    if f"{ours}.bias" not in tensors and gain.endswith("weight"):
        arrays.fail(
            f"has {gain} without a bias, as an RMSNorm has; "
            "models with LayerNorm or BatchNorm can be imported"
        )
    if (tensors.get(f"{ours}.running_var", torch.zeros(1)) < 0).any():
        name = there["running_var"]
        arrays.fail(
            f"has {name} with values below 0, which no variance has; the file is damaged, "
            "or it is another array"
        )
    affine = "layer_bias" if f"{ours}.bias" in tensors else "layer"
    return ("batch" if f"{ours}.running_mean" in tensors else affine), tensors


def check_pooling(arrays: Arrays, inputs: InputSpec, pooling: str | None, usual: str | None) -> str:
    """The pooling of the steps.

    Args:
        arrays: of the checkpoint.
        inputs: the samples; with a label for each step, there is none.
        pooling: that was given.
        usual: of the code that the layout is of; None if it has none.

    Raises:
        UsageError: the layout has none, and none was given.
    """
    given = pooling or ("none" if inputs.per_step else usual)
    choices = POOLINGS if given else POOLED
    return arrays.ask("pooling", given, choices, "how the steps are pooled")


def refuse_growth(arrays: Arrays, name: str, real: Tensor, way_out: str = "") -> None:
    """Refuse eigenvalues, by their real parts, of modes whose state grows."""
    if count := int((real > 0).sum()):
        arrays.fail(
            f"has {count} eigenvalues of a real part above 0 ({name}, up to {real.max():.3g}), "
            f"so a state grows{way_out}"
        )


def read_ends(arrays: Arrays, inputs: InputSpec, width: int) -> dict[str, Tensor]:
    """Encoder and decoder."""
    shape = (inputs.tokens, width) if inputs.tokens else (width, inputs.channels)
    encoder, decoder = (
        arrays.first(*(f"{name}.weight" for name in names)) for names in (ENCODERS, DECODERS)
    )
    tensors = {"encoder.weight": arrays.take(encoder, *shape, why=takes(inputs))}
    if not inputs.tokens:
        tensors["encoder.bias"] = arrays.bias(encoder, width)
    tensors["decoder.weight"] = arrays.take(decoder, inputs.outputs, width, why=gives(inputs))
    return tensors | {"decoder.bias": arrays.bias(decoder, inputs.outputs)}


def takes(inputs: InputSpec) -> str:
    """What the samples have that an encoder takes, as the reason of its shape."""
    count, what = (inputs.tokens, "token") if inputs.tokens else (inputs.channels, "channel")
    return f"{inputs.name} has {count} {what}{'s' * (count > 1)}; {GIVE}"


def gives(inputs: InputSpec) -> str:
    """What the samples have that a decoder gives, as the reason of its shape."""
    what = "class" if inputs.classes else "target"
    plural = "" if inputs.outputs == 1 else "es" if inputs.classes else "s"
    return f"{inputs.name} has {inputs.outputs} {what}{plural}; {GIVE}"
