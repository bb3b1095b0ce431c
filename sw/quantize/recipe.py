"""Recipes: the bit widths of a quantised model, and how its formats are found."""

from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ssm_hdl.errors import SsmHdlError

Width = Annotated[int, Field(ge=2, le=16, strict=True)]
"""Bits of a code, its sign included."""

PRESETS = ("w8a8", "w8a8x8", "w4a8", "w4a6x8", "w4a6x6", "a6", "a4x8", "tenth")
"""The recipes that have a name; each is a file of `ssm_hdl.recipes`."""


class _Strict(BaseModel):
    """A field that is not known is an error, so that a misspelt one cannot be ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class _Widths(_Strict):
    """A width for all of a kind, and others for some by name; in YAML a plain number will do."""

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
    decoder: Width | None = None


class Activations(_Widths):
    """Widths of the edges that carry a value every time step."""

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


class Recipe(_Strict):
    """What post-training quantization is asked for.

    Attributes:
        name: of the recipe.
        weights: bits of the weights of encoder, readout, mixing and decoder; of an S5 encoder, drive, readout, skip, gate,
            value and decoder, in all layers, and of its feed-forward network (ff_enc, ff_dec) and carry.
        activations: bits of encoder, readout, gelu, mixing (value and gate), sigmoid, glu and residual; of an S5 those of norm,
            drive, skip, sum, gate and the rest, in all layers.
        transition: bits of each part of Abar.
        state: bits of each part of a state.
        biases: bits of all biases.
        pool: bits of the mean over time.
        output: bits of the decoder's output.
        delta: store Abar - 1 with an exponent for each mode, instead of Abar.
        dither: round the states by a fixed sequence with the mean of one half, instead of half up.
        per_channel: an exponent for each row of the weights, instead of one format for a tensor.
        samples: calibration sequences, from the training samples.
        clip: ``mse`` takes the format with the least squared error, ``minmax`` clips nothing, ``percentile`` clips
            what is beyond ``percentile``.
        percentile: in %, for ``clip: percentile``.
        state_margin: the state that may not saturate, in parts of the largest one of the calibration: above 1 for safety, below
            for finer states. ``fit`` tries some and takes for each channel the one that the read-out makes most of.
    """

    name: str = Field(min_length=1)
    weights: Weights = Weights(default=8)
    activations: Activations = Activations(default=8)
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
    percentile: Annotated[float, Field(gt=50, le=100)] = 99.999
    state_margin: Annotated[float, Field(ge=0.1, le=1000)] | Literal["fit"] = "fit"

    @classmethod
    def load(cls, recipe: Path | str) -> "Recipe":
        """A recipe by its name or from a YAML file, whose stem is the name unless the file has one.

        Raises:
            SsmHdlError: there is none, or a field or a width that is not one.
        """
        if str(recipe) in PRESETS:
            text = (files("ssm_hdl.recipes") / f"{recipe}.yaml").read_text(encoding="utf-8")
        else:
            text = _read(Path(recipe))
        try:
            fields = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise SsmHdlError(f"{recipe} is not YAML: {' '.join(str(error).split())}") from error
        if not isinstance(fields, dict):
            raise SsmHdlError(f"{recipe} is not a recipe: it holds no fields, such as `weights: 8`")
        try:
            return cls.model_validate({"name": Path(recipe).stem, **fields})
        except ValidationError as error:
            raise SsmHdlError(f"recipe {recipe}: {_explain(error)}") from error


def _read(path: Path) -> str:
    """The text of a recipe file."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise SsmHdlError(
            f"no recipe is called {str(path)!r}, and there is no such file; there are {', '.join(PRESETS)}"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise SsmHdlError(f"recipe {path} cannot be read: {error}") from error


def _explain(error: ValidationError) -> str:
    """The problems that pydantic found, on one line."""
    lines = []
    for problem in error.errors():
        where, text = ".".join(map(str, problem["loc"])), problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            text = "there is no such field, tensor or edge"
        shown = "" if isinstance(problem["input"], dict) else f" (it is {problem['input']!r})"
        lines.append(f"{where}: {text}{shown}")
    return "; ".join(lines)
