"""Recipes: the bit widths of a quantised model, and the rules for its formats."""

from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from ssm_hdl import document
from ssm_hdl.errors import SsmHdlError, UsageError, brief, problems


def _number(value: object) -> object:
    """The value; as a text, which is no number, where it is true or false."""
    return str(value) if isinstance(value, bool) else value


Width = Annotated[int, Field(ge=2, le=16, strict=True)]
"""Bits of a code, its sign included."""

Number = Annotated[float, BeforeValidator(_number)]
"""A float, which YAML has as a text."""

PRESETS = (
    *("w8a8", "w8a8x8", "w4a8", "w4a6x8", "w4a6x6", "a6", "a4x8", "tenth"),
    *("mamba-plain", "mamba-percentile", "mamba-hadamard", "mamba-quamba"),
    *("mamba-w8a8", "mamba-w8a8h", "mamba-w8a8x8", "mamba-w4a8"),
)
"""Names of the built-in recipes, which are files of `ssm_hdl.recipes`."""


def usual(widths: str, family: str) -> str:
    """The recipe of these widths for a family of models, where none is named. In 8 bits alone,
    the steps of time of a Mamba are too coarse: `mamba-digits` has 60.57 % by ``w8a8``,
    88.29 % by ``mamba-w8a8``."""
    return f"mamba-{widths}" if family == "mamba" else widths


class _Strict(BaseModel):
    """Refuses unknown fields, so that a misspelt one is not ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class _Widths(_Strict):
    """A default width, and widths by name that override it; in YAML,
    a plain number is the default."""

    default: Width

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, value: Any) -> Any:
        return value if isinstance(value, dict) else {"default": value}

    def __getitem__(self, name: str) -> int:
        """The width of one tensor or edge."""
        own: int | None = getattr(self, name)
        return self.default if own is None else own


class Weights(_Widths):
    """Widths of the weight tensors."""

    encoder: Width | None = None
    readout: Width | None = None
    mixing: Width | None = None
    drive: Width | None = None
    skip: Width | None = None
    value: Width | None = None
    gate: Width | None = None
    carry: Width | None = None
    ff_enc: Width | None = None
    ff_dec: Width | None = None
    inner: Width | None = None
    conv: Width | None = None
    select: Width | None = None
    dt: Width | None = None
    out: Width | None = None
    decoder: Width | None = None


class Activations(_Widths):
    """Widths of the edges with a packet every time step."""

    encoder: Width | None = None
    readout: Width | None = None
    gelu: Width | None = None
    mixing: Width | None = None
    sigmoid: Width | None = None
    glu: Width | None = None
    residual: Width | None = None
    norm: Width | None = None
    drive: Width | None = None
    skip: Width | None = None
    sum: Width | None = None
    value: Width | None = None
    gate: Width | None = None
    carry: Width | None = None
    ff_enc: Width | None = None
    ff_dec: Width | None = None
    stream: Width | None = None
    inner: Width | None = None
    conv: Width | None = None
    active: Width | None = None
    select: Width | None = None
    dt: Width | None = None
    rate: Width | None = None
    step: Width | None = None
    scan: Width | None = None
    opened: Width | None = None
    gated: Width | None = None
    hadamard: Width | None = None
    out: Width | None = None


class Recipe(_Strict):
    """The widths and rules of PTQ.

    Attributes:
        name: of the recipe.
        weights: bits of the weights. An S4D has encoder, readout, mixing and decoder. An S5 has
            encoder, drive, readout, skip, value, gate, carry and decoder, and with a feed-forward
            network ff_enc and ff_dec; all layers share them. A Mamba has encoder,
            inner and gate (in_proj), conv, select (x_proj), dt, skip, out and decoder.
        activations: bits of the edges. An S4D has encoder, readout, gelu, mixing (value and gate),
            sigmoid, glu and residual. An S5 also has norm, drive, skip, sum, value, gate, carry,
            ff_enc and ff_dec, but no mixing; all layers share them. A deep S4D also has norm and
            carry, and ``stream`` is for the edges from layer to layer. docs/mamba.md has the
            edges of a Mamba.
        transition: bits of each part of Abar; of a Mamba, of log2(-A).
        state: bits of each part of a state.
        biases: bits of all biases.
        pool: bits of the mean over time.
        output: bits of the decoder's output.
        delta: store Abar - 1 with an exponent per mode, instead of Abar.
        dither: round the states with a fixed sequence of mean one half, instead of half up.
        per_channel: an exponent per row of the weights, instead of one format for a tensor.
        samples: calibration sequences, from the training samples.
        clip: ``mse`` takes the format with the least squared error, ``minmax`` clips nothing,
            ``percentile`` clips values beyond ``percentile``.
        percentile: in %, for ``clip: percentile``.
        clipped: parts that ``percentile`` is for, the others are as by ``minmax``;
            all parts if empty.
        fit: fit weights and biases to the outputs of the float model, one dense after the other;
            otherwise they are rounded.
        hadamard: of a Mamba: transform the input of ``out``, against outliers;
            the weights of ``out`` hold the inverse.
        state_margin: largest state without saturation, relative to the largest one in calibration.
            Above 1 it is safer, below 1 states are finer. ``fit`` tries several and takes,
            per channel, the one with the least error at the read-out.
    """

    name: str = Field(min_length=1)
    weights: Weights = Weights(default=8)
    activations: Activations = Activations(default=8, stream=12)
    transition: Width = 16
    state: Width = 16
    biases: Width = 16
    pool: Width = 15
    output: Width = 16
    delta: Annotated[bool, Field(strict=True)] = True
    dither: Annotated[bool, Field(strict=True)] = True
    per_channel: Annotated[bool, Field(strict=True)] = True
    samples: Annotated[int, Field(ge=1, strict=True)] = 512
    clip: Literal["mse", "minmax", "percentile"] = "mse"
    percentile: Annotated[Number, Field(gt=50, le=100)] = 99.999
    clipped: tuple[str, ...] = ()
    fit: Annotated[bool, Field(strict=True)] = True
    hadamard: Annotated[bool, Field(strict=True)] = False
    state_margin: Annotated[Number, Field(ge=0.1, le=1000)] | Literal["fit"] = "fit"

    @field_validator("clipped")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := sorted(set(value) - set(Activations.model_fields)):
            raise ValueError(f"there is no edge {', '.join(unknown)}")
        return value

    def rule(self, part: str) -> "Recipe":
        """The recipe with the rule for a part."""
        exempt = self.clip == "percentile" and self.clipped and part not in self.clipped
        return self.model_copy(update={"clip": "minmax"}) if exempt else self

    @classmethod
    def load(cls, recipe: Path | str) -> "Recipe":
        """Load a recipe by its name or from a YAML file. The stem of the file is the name,
        unless the file has a name.

        Raises:
            SsmHdlError: there is no such recipe, or it has an unknown field or an invalid width.
        """
        if str(recipe) in PRESETS:
            text = (files("ssm_hdl.recipes") / f"{recipe}.yaml").read_text(encoding="utf-8")
        else:
            text = _read(Path(recipe))
        try:
            fields = document.parse(text)
        except yaml.YAMLError as error:
            raise SsmHdlError(f"{recipe} is not YAML: {brief(str(error), 300)}") from error
        except SsmHdlError as error:
            raise SsmHdlError(f"{recipe}: {error}") from error
        if not isinstance(fields, dict):
            raise SsmHdlError(f"{recipe} is not a recipe: it holds no fields, such as `weights: 8`")
        try:
            return cls.model_validate({"name": Path(recipe).stem, **fields})
        except ValidationError as error:
            raise SsmHdlError(f"recipe {recipe}: {_explain(error, fields)}") from error


def _read(path: Path) -> str:
    """The text of a recipe file."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise UsageError(
            f"no recipe is called {str(path)!r}, and there is no such file; "
            f"there are {', '.join(PRESETS)}"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise SsmHdlError(f"recipe {path} cannot be read: {error}") from error


def _explain(error: ValidationError, fields: object) -> str:
    """The problems that pydantic found, on one line."""
    lines = []
    for problem in problems(error, fields):
        text = problem.text.replace("is not known", "there is no such field, tensor or edge")
        shown = "" if isinstance(problem.value, dict) else f" (it is {brief(repr(problem.value))})"
        lines.append(f"{'.'.join(brief(str(part)) for part in problem.where)}: {text}{shown}")
    return "; ".join(lines)
