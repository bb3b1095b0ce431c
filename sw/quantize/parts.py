"""Names for the parts of a model that have a width of their own in a recipe,
such as ``weights.mixing`` or ``state``."""

from collections.abc import Mapping
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from ssm_hdl.errors import SsmHdlError, reason
from ssm_hdl.sw.quantize.recipe import Activations, Recipe, Weights

WIDTH_FIELDS: dict[str, type[BaseModel]] = {"weights": Weights, "activations": Activations}
"""The fields of a recipe that hold several widths."""

PARTS = (
    *(
        f"{kind}.{name}"
        for kind, fields in WIDTH_FIELDS.items()
        for name in fields.model_fields
        if name != "default"
    ),
    *("transition", "state", "biases", "pool", "output"),
)
"""All parts, in the order of the recipe's fields."""

_S4D = {
    "weights": ("encoder", "readout", "mixing", "decoder"),
    "activations": ("encoder", "readout", "gelu", "mixing", "sigmoid", "glu", "residual"),
}
_DEEP_S4D = {
    "weights": (*_S4D["weights"], "carry"),
    "activations": ("readout", "gelu", "mixing", "sigmoid", "stream"),
}
_S5 = {
    "weights": (
        "encoder",
        "drive",
        "readout",
        "skip",
        "value",
        "gate",
        "carry",
        "ff_enc",
        "ff_dec",
        "decoder",
    ),
    "activations": (
        *(
            "encoder",
            "norm",
            "drive",
            "readout",
            "skip",
            "sum",
            "gelu",
            "value",
            "gate",
            "sigmoid",
            "glu",
            "residual",
        ),
        *("carry", "ff_enc", "ff_dec"),
    ),
}
_MAMBA = {
    "weights": ("encoder", "inner", "gate", "conv", "select", "dt", "skip", "out", "decoder"),
    "activations": (
        *(
            "encoder",
            "norm",
            "inner",
            "gate",
            "conv",
            "active",
            "select",
            "dt",
            "rate",
            "step",
            "drive",
            "scan",
            "skip",
            "sum",
        ),
        *("opened", "gated", "hadamard", "out", "residual"),
    ),
}
FAMILY_PARTS = {
    family: tuple(
        part
        for part in PARTS
        if "." not in part or part.partition(".")[2] in own[part.partition(".")[0]]
    )
    for family, own in (("s4d", _S4D), ("s4d_deep", _DEEP_S4D), ("s5", _S5), ("mamba", _MAMBA))
}
"""The parts that the models of a family have, in the same order."""

WIDTHS = tuple(range(2, 17))
"""Widths that a recipe allows."""


def width_of(recipe: Recipe, part: str) -> int:
    """Bits of a part in a recipe."""
    kind, _, name = part.partition(".")
    width: int = getattr(recipe, kind)[name] if name else getattr(recipe, kind)
    return width


def with_widths(recipe: Recipe, widths: Mapping[str, int], **fields: Any) -> Recipe:
    """A recipe with other widths for some parts, and other fields.

    Args:
        recipe: gives all other widths and fields.
        widths: bits by part.
        fields: of the recipe, such as ``samples``.

    Raises:
        SsmHdlError: there is no such part, or a width is not allowed.
    """
    changed: dict[str, Any] = recipe.model_dump() | fields
    for part, width in widths.items():
        if part not in PARTS:
            raise SsmHdlError(f"a recipe has no part {part!r}; there are {', '.join(PARTS)}")
        kind, _, name = part.partition(".")
        if name:
            changed[kind] = changed[kind] | {name: width}
        else:
            changed[kind] = width
    try:
        return Recipe.model_validate(changed)
    except ValidationError as error:
        given = ", ".join(f"{part} {width}" for part, width in widths.items())
        reasons = "; ".join(map(reason, error.errors()))
        raise SsmHdlError(f"a recipe cannot have {given} bits: {reasons}") from error


def to_yaml(recipe: Recipe, header: str) -> str:
    """A recipe as YAML for ``Recipe.load``, with the lines of ``header`` as comments before it."""
    fields = recipe.model_dump(
        exclude={*WIDTH_FIELDS, "percentile"} if recipe.clip != "percentile" else set(WIDTH_FIELDS)
    )
    for kind in WIDTH_FIELDS:
        fields[kind] = getattr(recipe, kind).model_dump(exclude_none=True)
    order = [name for name in Recipe.model_fields if name in fields]
    lines = "".join(f"# {line}\n" for line in header.splitlines())
    return lines + yaml.safe_dump(
        {name: fields[name] for name in order}, sort_keys=False, width=120, default_flow_style=None
    )
