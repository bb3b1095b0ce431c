"""The memories of a stage that are written, cut out: what they are told goes out,
what they say comes in."""

import itertools
import json
from collections.abc import Container
from pathlib import Path
from typing import Any

import numpy as np

TOLD = ".WR_DATA."
"""In the name of a port, between that of a memory and the bit of its words."""


class Gates:
    """Adds gates to a module.

    Args:
        module: of the JSON of Yosys.

    Attributes:
        fresh: numbers of bits that are not used.
    """

    def __init__(self, module: dict[str, Any]) -> None:
        self._cells = module["cells"]
        nets = [net["bits"] for net in module["netnames"].values()]
        nets += [port["bits"] for port in module["ports"].values()]
        used = (bit for bits in nets for bit in bits if isinstance(bit, int))
        self.fresh = itertools.count(1 + max(used))

    def add(self, kind: str, **inputs: list[Any]) -> list[Any]:
        """A gate of one bit; its output."""
        output = [next(self.fresh)]
        ports = {port: "input" for port in inputs} | {"Y": "output"}
        connections = inputs | {"Y": output}
        widths = {f"{port}_WIDTH": f"{len(bits):032b}" for port, bits in connections.items()}
        signs = {f"{port}_SIGNED": f"{0:032b}" for port in inputs}
        self._cells[f"gate_{output[0]}"] = {
            "type": kind,
            "hide_name": 0,
            "parameters": widths | signs,
            "attributes": {},
            "port_directions": ports,
            "connections": connections,
        }
        return output


def cut(path: Path, name: str, loose: Container[str] = ()) -> None:
    """Make ports of the memories that are written: what they are told goes out,
    what they say comes in.

    What they are told to write, and where, counts only in the bits that are written.

    Args:
        path: the design, JSON of Yosys.
        name: what to call its top module.
        loose: ports of bits that may be written otherwise; then what is read of them is anything.
    """
    design: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    module = design["modules"]["seen"]
    kept = {
        bit
        for cell in module["cells"].values()
        for port in ("Q", "RD_DATA")
        for bit in cell["connections"].get(port, ())
    }
    for net in module["netnames"].values():  # a fault of a register's output leaves its first value
        if first := net["attributes"].get("init"):
            values = zip(reversed(first), net["bits"], strict=True)
            net["attributes"]["init"] = "".join(
                value if bit in kept else "x" for value, bit in values
            )[::-1]
    gates = Gates(module)

    for cell, memory in list(module["cells"].items()):
        if memory["type"] == "$mem_v2" and (count := int(memory["parameters"]["WR_PORTS"], 2)):
            del module["cells"][cell]
            told = memory["connections"]
            enables = np.array(told["WR_EN"], dtype=object).reshape(count, -1)
            written = [gates.add("$reduce_or", A=list(bits))[0] for bits in enables]
            places = len(told["WR_ADDR"]) // count
            told["WR_DATA"] = [
                gates.add("$and", A=[a], B=[b])[0]
                for a, b in zip(told["WR_DATA"], told["WR_EN"], strict=True)
            ]
            told["WR_ADDR"] = [
                gates.add("$and", A=[a], B=[written[n // places]])[0]
                for n, a in enumerate(told["WR_ADDR"])
            ]
            width = int(memory["parameters"]["WIDTH"], 2)
            ports: dict[str, list[Any]] = {
                f"{cell}.{port}": bits
                for port, bits in told.items()
                if bits and not port.endswith(("CLK", "DATA"))
            }
            for bit in range(width):
                port = f"{cell}{TOLD}{bit}"
                ports[port] = [] if port in loose else told["WR_DATA"][bit::width]
                ports[f"{cell}.RD_DATA.{bit}.{name if port in loose else ''}"] = told["RD_DATA"][
                    bit::width
                ]
                if port in loose:  # a port of the other one
                    other = "mutant" if name == "sound" else "sound"
                    count = len(told["RD_DATA"][bit::width])
                    ports[f"{cell}.RD_DATA.{bit}.{other}"] = [
                        next(gates.fresh) for _ in range(count)
                    ]
            for port, bits in ports.items():
                if bits:
                    way = "input" if ".RD_DATA." in port else "output"
                    module["ports"][port] = {"direction": way, "bits": bits}
    path.write_text(json.dumps(design | {"modules": {name: module}}), encoding="utf-8")
