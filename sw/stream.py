"""A stream of samples, line by line from a pipe, a file that grows or a serial sensor;
and its results, line by line."""

import json
import os
import queue
import re
import stat
import threading
import time
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from ssm_hdl import Manifest
from ssm_hdl.boards.protocol import frame_steps
from ssm_hdl.errors import SsmHdlError, UsageError, brief
from ssm_hdl.fixed import Codes
from ssm_hdl.sw.host import Host, open_port

SENSOR_BAUD = 115_200
"""Bit rate of a serial sensor."""

_AT_ONCE = 1 << 16  # bytes
_MAX_LINE = 1 << 20  # bytes
_WAITING = 1 << 12  # time steps that wait for the board, at most
_POLL = 0.05  # seconds


class Samples:
    """The time steps of a stream, as its lines come.

    Args:
        manifest: the model that takes them.
        source: ``-`` for stdin, a pipe, a file, which is read on as it grows,
            or the serial port of a sensor.
        baud: bit rate of a sensor.
        length: steps of a sequence; one that ends at an empty line, or never, if None.

    Attributes:
        saturated: numbers that are beyond the input format, up to now.
    """

    def __init__(
        self, manifest: Manifest, source: str, baud: int = SENSOR_BAUD, length: int | None = None
    ) -> None:
        self.manifest, self.source, self.baud, self.length = manifest, source, baud, length
        self.saturated = 0
        # elsewhere ports are no files
        if source != "-" and os.name == "posix" and not Path(source).exists():
            raise UsageError(
                f"there is no {source}; --stream takes - for stdin, a file, "
                "or the serial port of a sensor"
            )

    def __iter__(self) -> Iterator[Codes | None]:
        """Codes (size,) of one step after the other; None at the end of a sequence."""
        steps = 0
        for number, line in enumerate(self._lines(), 1):
            codes = self._codes(
                line, f"line {number} of {'stdin' if self.source == '-' else self.source}"
            )
            for step in codes:
                yield step
                steps += 1
                if steps == self.length:
                    yield None
                    steps = 0
            if not len(codes):
                yield None
                steps = 0
        yield None

    def _codes(self, line: str, where: str) -> Codes:
        """The time steps of a line, (steps, size), as the codes of an .npz file are made."""
        edge, spec = self.manifest.input, self.manifest.graph.samples
        text = line.strip()
        text = text.removeprefix("[").removesuffix("]").strip() if text.startswith("[") else text
        # an empty one is no number
        words = re.split(r"\s*[,;]\s*|\s+", text) if line.strip() else []
        try:
            # to Python 1_0 is a number
            values = np.array([float(word.replace("_", " _")) for word in words])
        except ValueError:
            raise SsmHdlError(
                f"{where}: {brief(line)} are no numbers; a line has the numbers of a time step"
            ) from None
        if len(values) % edge.size:
            raise SsmHdlError(
                f"{where} has {len(values)} numbers; "
                f"{self.manifest.name} takes {edge.size} a time step"
            )
        values = values.reshape(-1, edge.size)
        if not np.isfinite(values).all():
            raise SsmHdlError(
                f"{where}: {brief(line)} has a number that is not finite; leave the time step out, "
                "or repeat the last"
            )
        codes, scale = values, np.array(spec.scale if spec is not None else ())
        if scale.size:
            codes = np.floor(values / scale / edge.format.lsb + 0.5)
        elif (values % 1).any():
            raise SsmHdlError(
                f"{where}: {brief(line)} are no integers; "
                f"{self.manifest.name} takes codes of {edge.format}"
            )
        inside: Codes = np.clip(codes, edge.format.min, edge.format.max).astype(np.int64)
        if not scale.size and (inside != codes).any():
            raise SsmHdlError(f"{where}: {brief(line)} has a code outside {edge.format}")
        self.saturated += int((inside != codes).sum())
        return inside

    def _lines(self) -> Iterator[str]:
        rest, sensor = b"", self._is_port()
        for data in self._sensor() if sensor else self._file():
            *whole, rest = (rest + data).split(b"\n")
            if len(rest) > _MAX_LINE:
                raise SsmHdlError(
                    f"{self.source} has a line of more than {_MAX_LINE:,} bytes; "
                    "a line has the numbers of a time step"
                )
            for line in whole:
                if not sensor:  # the first line of a sensor may have lost its beginning
                    yield _text(line)
                sensor = False
        if rest:
            yield _text(rest)

    def _is_port(self) -> bool:
        if self.source == "-":
            return False
        path = Path(self.source)
        if path.is_dir():
            raise UsageError(
                f"{path} is a folder; --stream takes - for stdin, a file, "
                "or the serial port of a sensor"
            )
        return not path.exists() or stat.S_ISCHR(path.stat().st_mode)

    def _file(self) -> Iterator[bytes]:
        grows = self.source != "-" and Path(self.source).is_file()
        # Without a buffer, whose lock the end of the program would wait for.
        with open(
            0 if self.source == "-" else self.source, "rb", 0, closefd=self.source != "-"
        ) as file:
            while (data := file.read(_AT_ONCE)) or grows:
                if not data:
                    time.sleep(_POLL)
                yield data

    def _sensor(self) -> Iterator[bytes]:
        port = open_port(self.source, self.baud, _POLL)
        try:
            while True:
                yield port.read(max(1, port.in_waiting))
        except OSError as error:
            raise SsmHdlError(
                f"{self.source} was lost ({error}); plug the sensor in and try again"
            ) from error


def _text(line: bytes) -> str:
    """A line without the byte order mark that some editors put at the head of a file."""
    return line.removeprefix(BOM_UTF8).decode("ascii", "replace")


def results(host: Host, samples: Samples) -> Iterator[Codes]:
    """The results of time steps, or of sequences, on a board, (some, size).

    What came while the board was busy goes to it in one request.

    Raises:
        SsmHdlError: as of `Host.run`, and a line that is no sample.
    """
    fresh, sequence = True, list[Codes]()
    for part in _parts(samples, frame_steps(host.manifest)):
        for ends, group in groupby(part, lambda step: step is None):
            steps = [] if ends else list(group)
            if not host.manifest.output.per_sequence:
                if steps and fresh:
                    host.restart()
                fresh = ends
                if steps:
                    yield host.go_through(np.stack(steps))
            else:
                sequence += steps
                if ends and sequence:
                    yield host.run(np.stack(sequence)[np.newaxis])
                    sequence = []


def _parts(samples: Samples, most: int) -> Iterator[list[Any]]:
    """What has come, item by item from a thread, at least one item at a time."""
    waiting = queue.Queue[Any](_WAITING)

    def read() -> None:
        try:
            for step in samples:
                waiting.put(step)
            waiting.put(StopIteration())
        except Exception as error:
            waiting.put(error)

    threading.Thread(target=read, name="samples", daemon=True).start()
    while True:
        part = [waiting.get()]
        while len(part) < most and not waiting.empty() and not isinstance(part[-1], Exception):
            part.append(waiting.get())
        end = part.pop() if isinstance(part[-1], Exception) else None
        if part:
            yield part
        if isinstance(end, StopIteration):
            return
        if end is not None:
            raise end


def writer(manifest: Manifest, as_json: bool) -> Callable[[int, Codes], str]:
    """What makes a line of a result: its class, if it is one, and the outputs.

    Returns:
        A function of the number of the result, from 0, and its codes (size,).
    """
    spec, node = manifest.graph.samples, manifest.nodes[manifest.graph.output]
    names = spec.class_names if spec is not None and not spec.is_text else ()

    def line(number: int, output: Codes) -> str:
        values, best = manifest.values(output).tolist(), None
        if node.choices:
            best = int(output[0])
        elif spec is not None and spec.classes:
            best = int(output.argmax())
        if as_json:
            named = (
                {} if best is None else {"class": best, **({"name": names[best]} if names else {})}
            )
            return json.dumps(
                {
                    "sequence" if manifest.output.per_sequence else "step": number,
                    **named,
                    "values": values,
                }
            )
        lead = () if best is None else (names[best] if names else str(best),)
        return "\t".join((*lead, *(f"{value:.10g}" for value in (() if node.choices else values))))

    return line
