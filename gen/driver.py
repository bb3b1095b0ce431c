"""The C of a pipeline on a bus: constants of the model, the driver,
and vectors to check it on its target."""

from enum import IntEnum, IntFlag

from ssm_hdl import Manifest
from ssm_hdl.errors import UsageError
from ssm_hdl.fingerprint import fingerprint
from ssm_hdl.fixed import Codes, Format
from ssm_hdl.gateware.stream import reals
from ssm_hdl.gen.package import Vectors, filled
from ssm_hdl.gen.wrappers.base import Status
from ssm_hdl.gen.wrappers.registers import BYTES, Control, Register
from ssm_hdl.gen.wrappers.spi import Command

DRIVER = "ssm_hdl"
"""Name of the driver's files, the same for all models."""

CODE_BITS = 32
"""Bits of the driver's signed numbers."""


def driver(manifest: Manifest, name: str, vectors: Vectors) -> dict[str, str]:
    """The files by name: ``NAME.h``, ``NAME_vectors.h``, ``ssm_hdl.h``, ``ssm_hdl.c``.

    Args:
        manifest: the integer program.
        name: of the module.
        vectors: samples and results of whole sequences.

    Raises:
        UsageError: a number does not fit the driver's, or the module has the driver's name.
    """
    if name.lower() == DRIVER:
        raise UsageError(f"the C driver is called {DRIVER}; give the module another --name")
    for edge in (manifest.input, manifest.output):
        if edge.format.width + (not edge.format.signed) > CODE_BITS:
            raise UsageError(
                f"{edge} does not fit the {CODE_BITS} bits of a signed number in C; "
                "narrow the format"
            )
    return {
        f"{name}.h": _model(manifest, name),
        f"{name}_vectors.h": _vectors(name, vectors),
        f"{DRIVER}.h": filled("ssm_hdl.h", **_map(), SIZE=f"0x{BYTES * len(Register):02x}"),
        f"{DRIVER}.c": filled("ssm_hdl.c"),
    }


def _map() -> dict[str, str]:
    """Registers, bits and commands of the wrappers."""
    bits: tuple[type[IntEnum | IntFlag], ...] = (Status, Control, Command)
    named = {
        f"{kind.__name__}_{each.name}".upper(): f"0x{each:02x}" for kind in bits for each in kind
    }
    return named | {register.name: f"0x{BYTES * register:02x}" for register in Register}


def _model(manifest: Manifest, name: str) -> str:
    """Constants of a model."""
    edges = {"i": manifest.input, "o": manifest.output}
    formats = {
        f"{port}_{key}": value
        for port, edge in edges.items()
        for key, value in _format(edge.format).items()
    }
    per_sequence = manifest.output.per_sequence
    return filled(
        "model.h", **formats, name=name, NAME=name.upper(), steps=manifest.steps,
        fingerprint=f"0x{fingerprint(manifest):04x}", samples=reals(manifest.input),
        results=reals(manifest.output), per_sequence=int(per_sequence),
        packets="one at the end of a sequence" if per_sequence else "one for each time step",
    )  # fmt: skip


def _format(form: Format) -> dict[str, object]:
    # 2^31 is no number of 32 bits, so the smallest is an expression.
    least = f"({form.min + 1} - 1)" if form.signed else 0
    return {
        "bits": form.width,
        "fraction": form.f_bits,
        "min": least,
        "max": form.max,
        "format": form,
    }


def _vectors(name: str, vectors: Vectors) -> str:
    """Sequences and what has to come out, as arrays of C."""

    def array(kind: str, codes: Codes) -> str:
        rows = ",\n".join(
            "    {" + ", ".join(map(str, row)) + "}"
            for row in codes.reshape(len(codes), -1).tolist()
        )
        return (
            f"static const int32_t {name}_{kind}[{len(codes)}][{codes[0].size}] = {{\n{rows}\n}};\n"
        )

    head = (
        f"/* Samples for {name}.v, and the results of the golden model: a row for each sequence. "
        "*/\n#include <stdint.h>\n\n"
    )
    return head + array("samples", vectors.samples) + "\n" + array("results", vectors.results)
