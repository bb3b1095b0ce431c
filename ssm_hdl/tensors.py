"""The integer arrays of a manifest, the formats they are stored in,
and the formats they are used in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel, ConfigDict

from ssm_hdl.errors import SsmHdlError, brief, listing
from ssm_hdl.exact import rescale, width_of
from ssm_hdl.fixed import MAX_WIDTH, Codes, Format, saturate

MAX_SPREAD = 15
"""Octaves between the largest and the smallest exponent of a tensor:
the longest shift before a sum."""


class Strict(BaseModel):
    """A part of the manifest; an unknown field is an error, so a misspelt one cannot be ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)


class Tensor(Strict):
    """Integer codes in the safetensors file, and the format they are used in.

    The file remembers the format that a tensor was stored in. A manifest that was edited may ask
    for another format; the codes are then rounded and saturated to it by the rules
    of `ssm_hdl.fixed`.

    Attributes:
        tensor: name of the codes.
        format: their format.
        exponent: name of a tensor of plain integers x, one per channel; its axes are the leading
            axes of the codes. A code c then stands for c 2**-(f_bits + x). A power of two per
            channel costs wires, or a shift where channels share a multiplier.
    """

    tensor: str
    format: Format
    exponent: str | None = None

    def __str__(self) -> str:
        return f"{brief(repr(self.tensor))} in {self.format}"


@dataclass(frozen=True)
class Scaled:
    """Codes whose channels have scales of their own.

    Attributes:
        codes: integers.
        shift: left shift from the scale of a channel to the common scale,
            (leading axes of ``codes``); 0 at least.
        f_bits: fraction bits of the shifted codes.
    """

    codes: Codes
    shift: Codes
    f_bits: int

    @property
    def values(self) -> Codes:
        """The codes at the common scale, in the shape of ``codes``."""
        shift = self.shift.reshape(self.shift.shape + (1,) * (self.codes.ndim - self.shift.ndim))
        return np.asarray(self.codes << shift)


class Tensors:
    """The arrays of a manifest, with the format that each was stored in."""

    def __init__(self, codes: Mapping[str, Codes], formats: Mapping[str, Format]) -> None:
        self.codes = dict(codes)
        self.formats = dict(formats)

    def get(self, owner: str, name: str, format: Format | None, ndim: Sequence[int]) -> Codes:
        """The codes of a tensor, converted to ``format`` (none: plain integers).

        Args:
            owner: the operation that asks, for messages.
            name: name of the tensor.
            format: format wanted, or None for a tensor of plain integers.
            ndim: numbers of axes that are accepted.

        Raises:
            SsmHdlError: the tensor is missing, has another number of axes or an empty one,
                or its codes do not fit.
        """
        what = f"tensor {brief(repr(name))}"
        if name not in self.codes:
            raise SsmHdlError(
                f"{owner}: {what} is not in the weights file; "
                f"it holds {listing(sorted(self.codes))}"
            )
        codes = self.codes[name]
        if codes.ndim not in ndim:
            wanted = " or ".join(map(str, ndim))
            raise SsmHdlError(f"{owner}: {what} has shape {codes.shape}; {wanted} axes are needed")
        if not codes.size:
            raise SsmHdlError(
                f"{owner}: {what} has shape {codes.shape}; every axis needs at least one element"
            )
        if format is None:
            return codes
        stored = self.formats.get(name, format)
        if codes.min() < stored.min or codes.max() > stored.max:
            raise SsmHdlError(
                f"{owner}: {what} holds codes from {codes.min()} to {codes.max()}, "
                f"outside {stored} ({stored.min} to {stored.max}); give it a wider format"
            )
        if stored == format:
            return codes
        converted: Codes = saturate(
            rescale(owner, f"{what} in {stored}", codes, stored.f_bits - format.f_bits), format
        )
        return converted

    def scaled(self, owner: str, tensor: Tensor, ndim: Sequence[int], channels: int) -> Scaled:
        """The codes of a tensor with their exponents.

        Args:
            owner: the operation that asks, for messages.
            tensor: the field of the operation.
            ndim: numbers of axes that are accepted.
            channels: number of leading axes that exponents have.

        Raises:
            SsmHdlError: as `get`; exponents of another shape or more than `MAX_SPREAD` apart;
                codes that pass `MAX_WIDTH` bits.
        """
        codes, f_bits = self.get(owner, tensor.tensor, tensor.format, ndim), tensor.format.f_bits
        if tensor.exponent is None:
            return Scaled(codes, np.zeros(codes.shape[:channels], np.int64), f_bits)
        exponent = self.get(owner, tensor.exponent, None, (channels,))
        what, whose = f"exponents {brief(repr(tensor.exponent))}", brief(repr(tensor.tensor))
        if exponent.shape != codes.shape[:channels]:
            raise SsmHdlError(
                f"{owner}: {what} have shape {exponent.shape}; "
                f"the channels of {whose} are {codes.shape[:channels]}"
            )
        least, most = int(exponent.min()), int(exponent.max())
        if most - least > MAX_SPREAD:
            raise SsmHdlError(
                f"{owner}: {what} go from {least} to {most}; they may be at most {MAX_SPREAD} apart"
            )
        if width_of(codes) + most - least > MAX_WIDTH:
            raise SsmHdlError(
                f"{owner}: {tensor} and exponents from {least} to {most} pass {MAX_WIDTH} bits; "
                f"give {whose} a narrower format, or exponents closer to each other"
            )
        return Scaled(codes, most - exponent, f_bits + most)
