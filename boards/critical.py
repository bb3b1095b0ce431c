"""The critical path that place and route found, named by the parts of the design."""

import re
from dataclasses import dataclass

_ROW = re.compile(r"Info:\s+(\S+)\s+(\d+\.?\d*)\s+[\d.]+\s+(Source|Net) (\S+)")


@dataclass(frozen=True)
class Segment:
    """What lies between two points of a path.

    Attributes:
        part: the stage, or the part around the pipeline, that it belongs to.
        kind: ``clk-to-q``, ``logic``, ``routing`` or ``setup``.
        name: of the cell or the net.
        ns: its delay in nanoseconds.
    """

    part: str
    kind: str
    name: str
    ns: float


def critical_path(log: str) -> list[Segment]:
    """The longest path of a clock in the log of nextpnr; empty if it names none."""
    paths, of_clock = [list[Segment]()], False
    for line in log.splitlines():
        if "Critical path report for" in line:
            of_clock = " for clock " in line
            paths.append([])
        elif of_clock and (row := _ROW.match(line)):
            paths[-1].append(Segment(_part(row[4]), row[1], row[4], float(row[2])))
    return max(paths, key=lambda path: sum(segment.ns for segment in path))


def _part(name: str) -> str:
    first, *rest = name.split(".")
    if first != "shell" or not rest:
        return first
    return rest[1] if rest[0] == "pipeline" and len(rest) > 2 else f"{rest[0]}, around the pipeline"
