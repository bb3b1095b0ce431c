"""The builder of a manifest: its operations so far, and the tensors that they name."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch

from ssm_hdl import Format, Manifest, SsmHdlError
from ssm_hdl.errors import brief
from ssm_hdl.fixed import Codes
from ssm_hdl.fixed import quantize as to_codes
from ssm_hdl.identifiers import top_name
from ssm_hdl.manifest import Graph
from ssm_hdl.operations import Tensors
from ssm_hdl.operations.lookup import MAX_ADDRESS_BITS
from ssm_hdl.schema import SCHEMA_VERSION
from ssm_hdl.sw.checkpoint import Checkpoint
from ssm_hdl.sw.quantize.formats import edge_format, tensor_format
from ssm_hdl.sw.quantize.histogram import Floats, Histogram
from ssm_hdl.sw.quantize.recipe import Recipe
from ssm_hdl.sw.quantize.rows import Rows, nearest
from ssm_hdl.sw.quantize.transition import Transition

T = TypeVar("T")


@dataclass(frozen=True)
class Lowered:
    """A lowered model.

    Attributes:
        manifest: the integer program.
        weights: float weights (G, M, K) of every dense; the columns of a complex one are pairs.
        scales: factors of edges, where not 1: a value in the manifest is the factor times the value
            of the float model.
    """

    manifest: Manifest
    weights: Mapping[str, Floats]
    scales: Mapping[str, Floats]


class Draft:
    """Builds a manifest, operation by operation.

    A name that ends in ``_`` and a number belongs to a layer. The name without this suffix is the
    part of the recipe. The last norm ends in ``_f``.

    Args:
        recipe: widths and rule.
        edges: a histogram for every edge that needs a format.
        fitted: weights and biases by the name of their dense; they replace the float model's.
        memory: formats and codes of earlier drafts of the same calibration and recipe,
            which need not be found again.

    Attributes:
        formats: formats of the edges so far.
        scales: as in `Lowered`.
    """

    def __init__(
        self,
        recipe: Recipe,
        edges: Mapping[str, Histogram],
        fitted: Mapping[str, Rows],
        memory: dict[object, Any],
    ) -> None:
        self.recipe, self._edges, self._fitted, self._memory = recipe, edges, fitted, memory
        self.formats: dict[str, Format] = {}
        self.scales: dict[str, Floats] = {}
        self._operations: list[dict[str, Any]] = []
        self._weights: dict[str, Floats] = {}
        self._codes: dict[str, Codes] = {}
        self._stored: dict[str, Format] = {}

    def add(self, op: str, name: str, **fields: Any) -> str:
        """Append an operation with these fields; without a format, it gets the format of its edge.
        Returns its name."""
        if op in ("slice", "taps", "last", "largest"):
            self.formats[name] = self.formats[fields["input"]]
        elif op == "embedding":
            self.formats[name] = fields["weight"]["format"]
        else:
            if "format" not in fields:
                fields["format"] = self.edge(name)
            self.formats[name] = fields["format"]
        self._operations.append({"name": name, "op": op, **fields})
        return name

    def table(
        self, name: str, function: str, source: str, part: str | None = None, **fields: Any
    ) -> str:
        """Append a lookup of ``function``; returns its name. The ``part`` of the recipe gives the
        width of its input."""
        if (width := self.formats[source].width) > MAX_ADDRESS_BITS:
            part = part or part_of(source)
            raise SsmHdlError(
                f"recipe {self.recipe.name}: {part} has {width} bits, and the table of {function} "
                f"after it takes at most {MAX_ADDRESS_BITS}; give {part} a width of its own"
            )
        return self.add("lookup", name, input=source, function=function, **fields)

    def dense(self, name: str, source: str, weight: Floats, bias: Floats, **fields: Any) -> str:
        """Append a dense with float weights (G, M, K), in pairs of columns for complex inputs,
        and a bias (G, M); its name."""
        self._weights[name] = weight
        rows = self._fitted.get(name) or self.once(
            (name, weight.tobytes(), bias.tobytes()),
            lambda: nearest(weight, bias, self.recipe.weights[part_of(name)], self.recipe),
        )
        codes, exponent = rows.codes, rows.exponent
        if fields.pop("pairs", False):
            codes = codes.reshape(*codes.shape[:2], -1, 2)
        if len(codes) == 1:
            codes, exponent = codes[0], None if exponent is None else exponent[0]
        biases = tensor_format(rows.bias, self.recipe.biases, self.recipe)
        tensors = {
            "weight": self.tensor(f"{name}.weight", codes, rows.format, exponent),
            "bias": self.tensor(f"{name}.bias", to_codes(rows.bias.ravel(), biases), biases),
        }
        return self.add("dense", name, input=source, **tensors, **fields)

    def scan(
        self, name: str, source: str, transition: Transition, exponent: Codes, format: Format
    ) -> str:
        """Append a scan by ``transition`` with the exponents (C, N) of its input;
        returns its name."""
        stored = self.tensor(
            f"{name}.transition", transition.codes, transition.format, transition.exponent
        )
        self._codes[f"{name}.exponent"] = exponent
        rules = {"delta": self.recipe.delta, "dither": self.recipe.dither}
        return self.add(
            "scan",
            name,
            input=source,
            transition=stored,
            exponent=f"{name}.exponent",
            format=format,
            **rules,
        )

    def selective(
        self,
        name: str,
        sources: Sequence[str],
        alpha: Floats,
        stored: Format,
        exponent: Codes,
        state: Format,
    ) -> str:
        """Append a selective scan of rate, drive, B and C, with alpha (C, N) and the exponents (C,)
        of its input; its name."""
        self._codes[f"{name}.exponent"] = exponent
        tensor = self.tensor(f"{name}.alpha", to_codes(alpha, stored), stored)
        return self.add(
            "selective",
            name,
            inputs=list(sources),
            alpha=tensor,
            exponent=f"{name}.exponent",
            state=state,
        )

    def tensor(
        self, name: str, codes: Codes, format: Format, exponent: Codes | None = None
    ) -> dict[str, Any]:
        """Store codes; returns the field of an operation that names them."""
        self._codes[name], self._stored[name] = codes, format
        if exponent is None or not exponent.any():
            return {"tensor": name, "format": format}
        self._codes[f"{name}.exponent"] = exponent
        return {"tensor": name, "format": format, "exponent": f"{name}.exponent"}

    def edge(
        self,
        name: str,
        width: int | None = None,
        function: Callable[[Floats], Floats] | None = None,
        signed: bool = True,
    ) -> Format:
        """The format of an edge, with the width of its part in the recipe."""
        part, scale = part_of(name), self.scales.get(name, 1.0)
        width, rule = width or self.recipe.activations[part], self.recipe.rule(part)
        return self.once(
            (name, width),
            lambda: edge_format(self._edges[name], width, rule, function, scale, signed),
        )

    def once(self, key: object, make: Callable[[], T]) -> T:
        """The result of ``make``, which depends on nothing but ``key``,
        the recipe and the calibration."""
        if key not in self._memory:
            self._memory[key] = make()
        result: T = self._memory[key]
        return result

    def lowered(self, checkpoint: Checkpoint, what: str, source: str, output: str) -> Lowered:
        """Finish the manifest of a checkpoint; ``what`` describes the model,
        ``source`` names the input."""
        inputs, family = checkpoint.inputs, checkpoint.model.config.family
        fields = {
            "schema_version": SCHEMA_VERSION,
            "name": top_name(checkpoint.metadata.get("name", family), family),
            "description": f"{what}, for {inputs.name}; "
            f"quantized by recipe {brief(self.recipe.name)}",
            "steps": inputs.steps,
            "input": {"name": source, "size": inputs.channels, "format": inputs.input_format},
            "samples": inputs,
            "operations": self._operations,
            "output": output,
        }
        manifest = Manifest(Graph.model_validate(fields), Tensors(self._codes, self._stored))
        return Lowered(manifest, self._weights, self.scales)


def part_of(name: str) -> str:
    """The part of a recipe for an edge or a tensor: its name without the number of a layer.

    The feed-forward network of a layer shares the widths of the layer,
    except for its own ``ff_enc`` and ``ff_dec``.
    """
    part = re.sub(r"_(\d+|f)$", "", name)
    return re.sub(r"^ff_(?!enc|dec)", "", part)


def gelu(x: Floats) -> Floats:
    """The exact GELU."""
    return np.asarray(torch.nn.functional.gelu(torch.tensor(x)).numpy())


def silu(x: Floats) -> Floats:
    """x sigmoid(x)."""
    return np.asarray(torch.nn.functional.silu(torch.tensor(x)).numpy())


def linear(layer: torch.nn.Linear) -> tuple[Floats, Floats]:
    """The weight (M, K) and the bias (M,) of a layer, zeros without one."""
    weight = numpy(layer.weight)
    return weight, np.zeros(len(weight)) if layer.bias is None else numpy(layer.bias)


def numpy(tensor: torch.Tensor) -> Any:
    """A parameter in double precision."""
    return tensor.detach().numpy().astype(np.complex128 if tensor.is_complex() else np.float64)
