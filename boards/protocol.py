"""The frames that host and board exchange, for both ends.

A request, from the host::

    0xA5 | tag | model, 2 bytes | length, 2 bytes | samples | CRC-16

An answer, from the board::

    0x5A | tag | status | length, 2 bytes | results | CRC-16

Numbers of several bytes are little endian. The host chooses ``tag`` and the answer repeats it, so a
late answer is never mistaken for another one. ``model`` is the fingerprint of the manifest; a board
with another model refuses the request. ``length`` counts the bytes of the samples or results.
The CRC covers all bytes before it.

The samples are one whole sequence, of any length up to the manifest's steps: every element in
order, each in ``ceil(width / 8)`` bytes, zero-extended or sign-extended. The results have the same
form, once per sequence or once per step, as the manifest's output says. An error is answered with
its status and no results, once the line has been idle.

A model that answers at every step runs on streams: a sequence of any length comes in parts of up to
`frame_steps`, a request each. A part that is not the last begins with 0xA7 in place of 0xA5,
and the model keeps its state for the next one.

A model whose results are its next samples, such as a language model that ends in an ``argmax``,
goes on by itself: a part that begins with 0xA9 has a sample for each step that is wanted,
and in place of each the model takes its result of the step before.
"""

import binascii
import enum
import struct

import numpy as np
from amaranth.lib.crc import Algorithm, catalog

from ssm_hdl import Format, Manifest, SsmHdlError
from ssm_hdl.fixed import Codes
from ssm_hdl.operations import Edge

REQUEST = 0xA5
"""First byte of a request."""

PART = 0xA7
"""First byte of a request whose sequence goes on in the next request."""

FED = 0xA9
"""First byte of a part whose samples are replaced by the model's own results."""

ANSWER = 0x5A
"""First byte of an answer."""

CRC: Algorithm = catalog.CRC16_IBM_3740
"""The CRC of requests and answers. Python's ``binascii.crc_hqx`` computes the same from an initial
value of 0xFFFF."""

MAX_LENGTH = 0xFFFF
"""Most bytes of samples or results in a frame."""

PART_BYTES = 512
"""Most bytes of samples in a part of a stream: one block RAM of an iCE40 holds them."""

_REQUEST_HEADER = struct.Struct("<BBHH")
_ANSWER_HEADER = struct.Struct("<BBBH")
_CRC_BYTES = 2

ANSWER_OVERHEAD = _ANSWER_HEADER.size + _CRC_BYTES
"""Bytes of an answer without results."""


class Status(enum.IntEnum):
    """The outcome of a request."""

    OK = 0
    """It was run; the results follow."""
    DAMAGED = 1
    """Its CRC is wrong."""
    OTHER_MODEL = 2
    """It is for another model than the one on the board."""
    BAD_LENGTH = 3
    """No samples, no whole number of time steps, or more steps than the manifest allows."""
    OUT_OF_RANGE = 4
    """A sample is not a code of the input format."""
    BROKEN_OFF = 5
    """The line fell silent before the frame was whole, or there was no frame in what came."""
    OVERRUN = 6
    """More bytes came while the board was busy with a request."""
    NOT_LOADED = 7
    """The weights in the flash have not all been read yet, or do not belong to this bitstream."""


def element_bytes(edge: Edge) -> int:
    """Bytes of one element of an edge in a frame."""
    return -(-edge.format.width // 8)


def frame_steps(manifest: Manifest) -> int:
    """Most time steps in a request: a sequence,
    or a part of one if there is an answer at every step."""
    if manifest.output.per_sequence:
        return manifest.steps
    sample, result = (edge.size * element_bytes(edge) for edge in (manifest.input, manifest.output))
    return max(1, min(manifest.steps, PART_BYTES // sample, MAX_LENGTH // result))


def check_size(manifest: Manifest) -> None:
    """Refuse a manifest whose sequences do not fit a frame.

    Raises:
        SsmHdlError: the longest sequence of samples, or its results, take more than 65,535 bytes.
    """
    steps = frame_steps(manifest)
    results = 1 if manifest.output.per_sequence else steps
    for what, edge, packets in (
        ("samples", manifest.input, steps),
        ("results", manifest.output, results),
    ):
        length = packets * edge.size * element_bytes(edge)
        if length > MAX_LENGTH:
            raise SsmHdlError(
                f"{manifest.name}: the {what} of one sequence are {length:,} bytes; a frame to or "
                f"from a board holds {MAX_LENGTH:,}, so make its sequences shorter (steps: "
                f"{manifest.steps})"
            )


def codes_to_bytes(codes: Codes, format: Format) -> bytes:
    """Codes, of any shape, as the elements of a frame."""
    size = -(-format.width // 8)
    return np.ascontiguousarray(codes, "<i8").view(np.uint8).reshape(-1, 8)[:, :size].tobytes()


def bytes_to_codes(data: bytes, format: Format) -> Codes:
    """The elements of a frame as codes, shape (elements,)."""
    size = -(-format.width // 8)
    wide = np.zeros((len(data) // size, 8), np.uint8)
    wide[:, :size] = np.frombuffer(data, np.uint8).reshape(-1, size)
    shift = 64 - format.width
    codes = wide.view("<i8")[:, 0].astype(np.int64) << shift >> shift  # extends the sign
    return codes if format.signed else codes & ((1 << format.width) - 1)


def request(tag: int, model: int, samples: bytes, first: int = REQUEST) -> bytes:
    """The bytes of a request that begins with `REQUEST`, `PART` or `FED`."""
    return _with_crc(_REQUEST_HEADER.pack(first, tag, model, len(samples)) + samples)


def answer(tag: int, status: Status, results: bytes = b"") -> bytes:
    """The bytes of an answer."""
    return _with_crc(_ANSWER_HEADER.pack(ANSWER, tag, status, len(results)) + results)


def split_answer(data: bytes) -> tuple[int, int, bytes, bytes] | None:
    """Tag, status and results of the first answer in ``data``, and the bytes after it;
    None while it is incomplete.

    Raises:
        ValueError: ``data`` does not begin with an answer, or its CRC is wrong.
    """
    if data and data[0] != ANSWER:
        raise ValueError(f"a frame begins with 0x{data[0]:02x} instead of 0x{ANSWER:02x}")
    if len(data) < ANSWER_OVERHEAD:
        return None
    _, tag, status, length = _ANSWER_HEADER.unpack_from(data)
    end = ANSWER_OVERHEAD + length
    if len(data) < end:
        return None
    if data[:end] != _with_crc(data[: end - _CRC_BYTES]):
        raise ValueError("the CRC of a frame is wrong")
    return tag, status, data[_ANSWER_HEADER.size : end - _CRC_BYTES], data[end:]


def _with_crc(data: bytes) -> bytes:
    return data + binascii.crc_hqx(data, CRC.initial_crc).to_bytes(_CRC_BYTES, "little")
