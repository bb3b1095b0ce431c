"""The host's end of the serial line: sequences to a board, results back."""

import os
import random
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

import numpy as np

from ssm_hdl import Manifest, SsmHdlError
from ssm_hdl.boards.protocol import (
    ANSWER_OVERHEAD,
    FED,
    PART,
    REQUEST,
    Status,
    bytes_to_codes,
    check_size,
    codes_to_bytes,
    element_bytes,
    frame_steps,
    request,
    split_answer,
)
from ssm_hdl.extras import need
from ssm_hdl.fingerprint import fingerprint
from ssm_hdl.fixed import Codes

BAUD = 1_000_000
"""Bit rate of the boards."""

_MARGIN = 2.0  # seconds of delay allowed for drivers, USB and the host itself
_SLOWEST = 1e7  # multiplications per second that every build reaches
_POLL = 0.05  # seconds

_MEANING = {
    Status.DAMAGED: "the request came damaged (wrong CRC): check the cable and the bit rate",
    Status.OTHER_MODEL: "it runs another model: program it with the bitstream built "
    "from this manifest",
    Status.BAD_LENGTH: "the request has a length that its model does not take: "
    "program it with this manifest's bitstream",
    Status.OUT_OF_RANGE: "a sample is outside the input format of its model: "
    "program it with this manifest's bitstream",
    Status.BROKEN_OFF: "the request broke off or was not to be made out: "
    "check the cable and the bit rate, then try again",
    Status.NOT_LOADED: "the weights in its flash belong to another bitstream: "
    "program it again with the whole file",
    Status.OVERRUN: "it was still busy with another request: see that no other program talks to "
    "it, then try again",
}


class Host:
    """A board on a serial port; a context manager.

    There are no silent retries: every failure is an error.

    Args:
        port: the serial port, such as ``/dev/ttyUSB1`` or ``COM5``.
        manifest: the model that the board was built for.
        baud: bit rate of the board.
        timeout: seconds to wait for the answer to one sequence;
            a generous estimate from the manifest if None.
        slower: how much longer than that a simulated board may take.

    Raises:
        SsmHdlError: pyserial is missing, or the port is not there or cannot be opened.
    """

    def __init__(
        self,
        port: str,
        manifest: Manifest,
        baud: int = BAUD,
        timeout: float | None = None,
        slower: int = 1,
    ) -> None:
        check_size(manifest)
        self.port, self.manifest, self.baud = port, manifest, baud
        self.timeout = slower * _patience(manifest, baud) if timeout is None else timeout
        self._model = fingerprint(manifest)
        self._tag = random.randrange(256)
        self._serial = open_port(port, baud, self.timeout)

    def __enter__(self) -> "Host":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the port back."""
        self._serial.close()

    def run(self, samples: Codes, progress: Callable[[int], None] | None = None) -> Codes:
        """Run a batch of sequences on the board, one after the other.

        Args:
            samples: codes of the input format, integers of shape (batch, steps, size).
            progress: called with the number of sequences done since the last call.

        Returns:
            Codes of the output edge, (batch, steps, size), or (batch, size)
            if it comes once per sequence.

        Raises:
            SsmHdlError: samples that the manifest does not take; a board that does not answer,
                answers with a damaged frame, or reports an error; a port that was lost.
        """
        samples = self.manifest.check_samples(samples)
        batch, steps, _ = samples.shape
        edge = self.manifest.output
        shape = (edge.size,) if edge.per_sequence else (steps, edge.size)
        outputs = np.zeros((batch, *shape), np.int64)
        most = frame_steps(self.manifest)
        if not edge.per_sequence:
            self.restart()
        for number, sequence in enumerate(samples):
            parts = [sequence[at : at + most] for at in range(0, steps, most)]
            results = [self._ask(part, REQUEST if part is parts[-1] else PART) for part in parts]
            outputs[number] = np.concatenate(results).reshape(shape)
            if progress is not None:
                progress(1)
        return outputs

    def restart(self) -> None:
        """End whatever sequence was left unfinished, by a step of zeros;
        of a model that answers at every step."""
        self._ask(np.zeros((1, self.manifest.input.size), np.int64))

    def go_through(self, samples: Codes) -> Codes:
        """The results of the next steps of a sequence without an end, (steps, size);
        of a model that answers at every step.

        Args:
            samples: codes of the input format, integers of shape (steps, size),
                at most `frame_steps`.

        Raises:
            SsmHdlError: as of `run`.
        """
        return self._ask(samples, PART).reshape(len(samples), -1)

    def go_on(self, samples: Codes, count: int) -> Iterator[Codes]:
        """The results with which the model goes on after a sequence, each its next sample,
        in the parts that come from the board.

        Args:
            samples: codes of the input format, integers of shape (steps, 1).
            count: results, the one after the last of ``samples`` first.

        Raises:
            SsmHdlError: as of `run`, and of a model whose results cannot be its samples.
        """
        self.manifest.check_feedback()
        (sequence,) = self.manifest.check_samples(samples[np.newaxis])
        most = frame_steps(self.manifest)
        self.restart()
        for at in range(0, len(sequence), most):
            results = self._ask(sequence[at : at + most], PART)
        yield results[-1:]
        for left in range(count - 1, 0, -most):
            yield self._ask(np.zeros((min(left, most), 1), np.int64), FED)

    def _ask(self, samples: Codes, first: int = REQUEST) -> Codes:
        """The results of one request, as codes."""
        self._tag = (self._tag + 1) % 256
        data, edge = codes_to_bytes(samples, self.manifest.input.format), self.manifest.output
        length = edge.size * element_bytes(edge) * (1 if edge.per_sequence else len(samples))
        try:
            self._serial.reset_input_buffer()
            self._serial.write(request(self._tag, self._model, data, first))
            self._serial.flush()
            return bytes_to_codes(self._answer(length), edge.format)
        except OSError as error:  # pyserial's exceptions are of this kind
            raise SsmHdlError(
                f"{self.port} was lost ({error}); plug the board in and try again"
            ) from error

    def _answer(self, length: int) -> bytes:
        received, refusal = b"", ""
        end = time.monotonic() + self.timeout
        while time.monotonic() < end:
            received += self._serial.read(
                max(1, min(self._serial.in_waiting, length + ANSWER_OVERHEAD))
            )
            try:
                frame = split_answer(received)
            except ValueError as error:
                raise SsmHdlError(
                    f"{self.port}: a damaged frame came back ({error}); "
                    f"check the cable and the bit rate ({self.baud:,})"
                ) from error
            if frame is None:
                continue
            tag, status, results, received = frame
            if tag == self._tag and status == Status.OK:
                if len(results) != length:
                    raise SsmHdlError(
                        f"{self.port}: {len(results)} bytes of results came instead of {length}; "
                        "program the board with the bitstream built from this manifest"
                    )
                return results
            if status != Status.OK:
                refusal = f"the board on {self.port} refused a request: {_meaning(status)}"
                if tag == self._tag:
                    raise SsmHdlError(refusal)
        # An error with another tag may belong to an older request,
        # so it counts only if no other answer came.
        if refusal:
            raise SsmHdlError(refusal)
        if received:
            raise SsmHdlError(
                f"{self.port}: the answer broke off after {len(received)} bytes; "
                "check the cable and try again"
            )
        raise SsmHdlError(
            f"nothing on {self.port} answers within {self.timeout:.3g} seconds; check that this is "
            "the board's port, that it is programmed with a bitstream of `ssm-hdl build`, "
            f"and its bit rate ({self.baud:,})"
        )


def open_port(port: str, baud: int, timeout: float) -> Any:
    """The opened port.

    Raises:
        SsmHdlError: pyserial is missing, or the port is not there or cannot be opened.
    """
    need("serial")
    import serial

    try:
        return serial.Serial(
            port,
            baud,
            timeout=_POLL,
            write_timeout=timeout,
            exclusive=True if os.name == "posix" else None,
        )
    except (OSError, ValueError, OverflowError) as error:
        raise SsmHdlError(
            f"cannot open the serial port {port}: {_reason(port, error)}; {_ports()}"
        ) from error


def _reason(port: str, error: Exception) -> str:
    """The reason why a port cannot be opened."""
    match getattr(error, "errno", None) or next(iter(getattr(error.__context__, "args", ())), None):
        case 2:  # ENOENT
            return "there is no such port"
        case 13:  # EACCES
            return (
                "you may not use it (on Linux, join its group: `sudo usermod -aG dialout $USER`, "
                "then log in again)"
            )
        case 11 | 16:  # EAGAIN, from the exclusive lock, and EBUSY
            return "another program uses it"
        case 25:  # ENOTTY
            return "it is none"
        case _:
            return " ".join(str(error).split())


def _ports() -> str:
    """The ports of this machine."""
    from serial.tools import list_ports

    ports = [f"{port.device} ({port.description})" for port in list_ports.comports()]
    return f"this machine has {', '.join(ports) if ports else 'no serial port at the moment'}"


def _meaning(status: int) -> str:
    known = {int(key): text for key, text in _MEANING.items()}
    return known.get(
        status,
        f"status {status}, which this ssm-hdl does not know: build the bitstream with this version",
    )


def _patience(manifest: Manifest, baud: int) -> float:
    """Seconds within which any build of a manifest answers its longest request."""
    steps = frame_steps(manifest)
    sizes = (
        (manifest.input, steps),
        (manifest.output, 1 if manifest.output.per_sequence else steps),
    )
    # A byte takes 10 bits on the line.
    line = sum(edge.size * element_bytes(edge) * count for edge, count in sizes) * 10 / baud
    work = sum(node.multiplications for node in manifest.nodes.values()) * steps / _SLOWEST
    return _MARGIN + 2 * line + work
