"""Readable Verilog: plain names instead of escaped ones,
and module headers in which people find the ports."""

import re
from collections.abc import Callable, Iterable, Iterator

from ssm_hdl.gen.modules import INSTANCE, PIN, STARTS, TOKEN, Module, clean, modules_of
from ssm_hdl.identifiers import KEYWORDS

_NUMBERED = re.compile(r"(.*?)(?:\$\d+)?((?:\.\w+)*)$")
_CLOCKS = ("clk", "rst", "aclk", "aresetn")
_LEAVES = dict(valid=0, ready=1, payload=2, data=3, last=4)
_NOT = re.compile(r"= ! (.*);\n")


def readable(text: str) -> str:
    """The Verilog of Yosys with plain names, headers in the order of people,
    and initial values in blocks of their own."""
    modules = modules_of(text)
    names = _fresh(
        (module.name for module in modules),
        set(KEYWORDS),
        lambda name: plain(name.replace(".pipeline.", ".")),
    )
    ports = {plain(name) for module in modules for name in module.ports}
    instances = {plain(name) for module in modules for name in module.instances} - ports
    by_name = {module.name: module for module in modules}
    renamed = {module.name: _renamed(module, by_name, ports, instances) for module in modules}
    return "\n".join("".join(_written(module, renamed, names)) for module in modules)


def plain(name: str) -> str:
    """A name without the numbers of Amaranth, which `_fresh` gives again where they are needed."""
    if name.startswith(STARTS):
        return "starts"
    match = _NUMBERED.match(name)
    assert match is not None
    return re.sub(r"\W+|__+", "_", match[1] + match[2]).strip("_") or "signal"


def _renamed(
    module: Module, by_name: dict[str, Module], ports: set[str], instances: set[str]
) -> dict[str, str]:
    """The new names in a module: ports first, then instances, then wires,
    which get the names of the pins that drive them."""
    used = set(KEYWORDS)
    renamed = _fresh(module.ports, used)
    used |= ports  # a linter takes an instance of the name of a port inside it for hidden
    renamed |= _fresh(module.instances, used)
    used = {*KEYWORDS, *renamed.values(), *instances}
    pins = [
        (instance, pin, wire, by_name[kind].ports[pin][0])
        for instance, (kind, wires) in module.instances.items()
        if kind in by_name
        for pin, wire in wires.items()
    ]
    joined = {wire for _, pin, wire, _ in pins if plain(pin) == plain(wire)}  # ports of components
    driven = {
        wire: f"{plain(instance)}_{plain(pin)}"
        for instance, pin, wire, direction in pins
        if direction == "output" and wire in joined
    }
    return renamed | _fresh(
        (name for name in module.declared if name not in renamed),
        used,
        lambda name: driven.get(name) or plain(name),
    )


def _fresh(
    names: Iterable[str], used: set[str], choose: Callable[[str], str] = plain
) -> dict[str, str]:
    """A name of its own for each."""
    renamed = dict[str, str]()
    for name in names:
        wanted = name if re.fullmatch(r"_\d+_", name) else choose(name)
        number, free = 1, wanted
        while free in used:
            number, free = number + 1, f"{wanted}_{number}"
        used.add(free)
        renamed[name] = free
    return renamed


def _order(name: str) -> tuple[int, str, int]:
    """Clock and reset, then stream by stream."""
    if name in _CLOCKS:
        return _CLOCKS.index(name), "", 0
    stream, _, leaf = name.rpartition("_")
    return (len(_CLOCKS), stream, _LEAVES[leaf]) if leaf in _LEAVES else (len(_CLOCKS), name, 0)


def _written(
    module: Module, renamed: dict[str, dict[str, str]], names: dict[str, str]
) -> Iterator[str]:
    """The lines of a module under its new names."""
    own, kind = renamed[module.name], ""

    def declared(port: str) -> str:
        direction, width, what = module.ports[port]
        return f"  {direction:6} {what:4} {width}{own[port]}"

    def new(text: str) -> str:
        return TOKEN.sub(
            lambda match: (
                own.get(clean(match["name"]), match[0]) if match["name"] not in _FIXED else match[0]
            ),
            text,
        )

    ports = sorted(module.ports, key=lambda name: _order(own[name]))
    yield f"module {names[module.name]} (\n" + ",\n".join(map(declared, ports)) + "\n);\n"
    for line in module.body:
        if line == "endmodule\n" and module.initial:
            yield "  initial begin\n"
            yield from (f"    {own[name]} = {value};\n" for name, value in module.initial)
            yield "  end\n"
        if (match := INSTANCE.match(line)) and match[1] not in KEYWORDS:
            kind = clean(match[1])
            yield f"  {names.get(kind, kind)}{new(line[2 + len(match[1]) :])}"
        elif match := PIN.match(line):
            pin = clean(match[1])
            yield f"    .{renamed[kind][pin] if kind in renamed else pin}{new(match[2])}"
        elif (match := _NOT.search(line)) and _wide(match[1], module):
            # of several bits: linters want a reduction there
            yield new(line.replace("= ! ", "= ~| "))
        else:
            yield new(line)


_FIXED = KEYWORDS | {None}
"""No name: a keyword, or none at all."""


def _wide(operand: str, module: Module) -> bool:
    """Whether an operand has several bits."""
    return (
        clean(operand) in module.wide
        or operand.startswith("{")
        or re.search(r"\[\d+:\d+\]$", operand) is not None
    )
