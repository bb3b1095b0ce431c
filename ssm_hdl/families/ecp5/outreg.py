"""Registers of a netlist of ECP5 cells that go into the block RAMs that they follow.

A DP16KD has a register at its outputs, after the one of the read itself: OUT gets the word read at
each edge where OCE is 1, whatever the port's CE does, and both start at 0. With it the data come
out 1.0 ns after the edge, without it after 5.8 ns. Yosys never uses it, so the gateware's register
after a block RAM is flip-flops, which have to be near to be in time.
"""

from typing import Any

from ssm_hdl.families.ecp5.fuse import readers_of


def register(module: dict[str, Any]) -> None:
    """Put flip-flops into the block RAMs of a flat module of ECP5 cells, from the JSON of Yosys,
    and take them out.

    The flip-flops of a port go if each bit read drives one of them and nothing else, and all are
    enabled alike, start at 0 and are never reset. RST of a block RAM would clear the
    word being read too.
    """
    cells, readers = module["cells"], readers_of(module)
    gone: set[int] = set()
    for ram in [cell for cell in cells.values() if cell["type"] == "DP16KD"]:
        parameters, pins = ram["parameters"], ram["connections"]
        # port B reads, at the outputs of both
        wide = any(int(parameters[f"DATA_WIDTH_{port}"], 2) == 36 for port in "AB")
        for port in ["B"] if wide else ["A", "B"]:
            both = "AB" if wide else port
            read = {
                f"DO{side}{bit}": pins[f"DO{side}{bit}"][0]
                for side in both
                for bit in range(18)
                if readers.get(pins.get(f"DO{side}{bit}", [""])[0])
            }
            names = {pin: _flip_flop(module, readers[net]) for pin, net in read.items()}
            enables = {
                None if name is None else _enable(cells[name], pins[f"CLK{port}"])
                for name in names.values()
            }
            plain = all(parameters[f"REGMODE_{side}"] == "NOREG" for side in both) and pins[
                f"RST{port}"
            ] == ["0"]
            if (
                len(enables) != 1
                or None in enables
                or not plain
                or parameters[f"CLK{port}MUX"] != f"CLK{port}"
            ):
                continue
            for pin, name in names.items():
                assert name is not None
                pins[pin] = cells.pop(name)["connections"]["Q"]
            for side in both:
                parameters[f"REGMODE_{side}"] = "OUTREG"
                pins[f"OCE{side}"] = list(enables)
            gone.update(read.values())
    module["netnames"] = {
        name: wire for name, wire in module["netnames"].items() if gone.isdisjoint(wire["bits"])
    }


def _flip_flop(module: dict[str, Any], readers: set[tuple[str, str]]) -> str | None:
    """The name of the flip-flop that is the only reader."""
    (name, pin), *others = readers
    return None if others or pin != "DI" or module["cells"][name]["type"] != "TRELLIS_FF" else name


def _enable(cell: dict[str, Any], clock: list[int | str]) -> int | str | None:
    """What enables a flip-flop that is as an output register is; None if it is not."""
    parameters, pins = cell["parameters"], cell["connections"]
    same = pins["CLK"] == clock and parameters["CLKMUX"] == "CLK"
    if (
        not same
        or parameters["REGSET"] != "RESET"
        or parameters["LSRMUX"] != "LSR"
        or pins["LSR"] != ["0"]
    ):
        return None
    enables: dict[str, int | str] = {"1": "1", "CE": pins.get("CE", ["1"])[0]}
    return enables.get(parameters["CEMUX"].strip())
