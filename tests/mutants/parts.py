"""Neighbouring components of a pipeline in a module of their own,
which gives what the others see of them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_MODULE = re.compile(r"^module (\S+) \((.*?)^endmodule", re.M | re.S)
_PORT = re.compile(r"^  (input|output)\s+(?:wire|reg)\s+(?:\[(\d+):0\] )?(\w+),?$", re.M)
_INSTANCE = re.compile(r"^  (\w+) (\w+) \(\n((?:    \.\w+\(.*\),?\n)+)  \);\n", re.M)
_NET = re.compile(r"\.(\w+)\((\w+)\)")


@dataclass(frozen=True)
class Component:
    """An instance in a pipeline.

    Attributes:
        module: its module.
        name: its own.
        text: its connections.
        given, taken: the nets of its outputs and of its inputs, by the name of the port.
        widths: bits of the nets.
    """

    module: str
    name: str
    text: str
    given: dict[str, str]
    taken: dict[str, str]
    widths: dict[str, int]

    @property
    def ahead(self) -> set[str]:
        """The nets that go to the components that read it."""
        return {net for port, net in self.given.items() if not port.endswith("_ready")}

    def net(self, port: str) -> str:
        """The net of a port."""
        return (self.taken | self.given)[port]

    def width_of(self, port: str) -> int:
        """The bits of a port."""
        return self.widths[self.net(port)]


def components_of(verilog: str, top: str) -> dict[str, Component]:
    """The components of a pipeline by name; with them its outputs, which belong to none."""
    modules = dict(_MODULE.findall(verilog))
    pipeline = modules[f"{top}_pipeline"]
    assert "assign" not in pipeline

    def ports(module: str) -> Iterator[tuple[str, int, str]]:
        for way, most, port in _PORT.findall(modules[module].partition(");")[0]):
            yield way, int(most or 0) + 1, port

    found = {}
    for module, name, text in _INSTANCE.findall(pipeline):
        nets = dict(_NET.findall(text))
        assert len(nets) == text.count("\n"), name
        given, taken, widths = {}, {}, {}
        for way, width, port in ports(module):
            (given if way == "output" else taken)[port] = nets[port]
            widths[nets[port]] = width
        found[name] = Component(module, name, text, given, taken, widths)
    outside = {port: port for way, _, port in ports(f"{top}_pipeline") if way == "output"}
    return found | {"": Component("", "", "", {}, outside, {})}


def neighbours(components: dict[str, Component], inside: set[str]) -> set[str]:
    """With them all that read what they give."""
    nets = set().union(*(components[name].ahead for name in inside))
    return inside | {
        name for name, each in components.items() if name and nets & set(each.taken.values())
    }


def part(components: dict[str, Component], inside: set[str], changes: dict[str, str]) -> str:
    """A module ``seen`` around components; it gives what others see, if that is valid.

    Args:
        components: those of the pipeline.
        inside: names of some.
        changes: nets that are read in place of others by all of them.
    """
    widths: dict[str, int] = {}
    for name in sorted(inside):
        widths |= components[name].widths
    given = {net for name in inside for net in components[name].given.values()}
    read = {net for name, each in components.items() if name not in inside
            for net in each.taken.values()}  # fmt: skip
    inputs = sorted(widths.keys() - given)
    lines, shown = [], []
    for name in sorted(inside):
        component = components[name]
        for port, net in component.given.items():
            lines.append(f"wire [{widths[net] - 1}:0] {net};")
            if net in read:
                valid = component.given.get(re.sub("payload|data|last", "valid", port), net)
                shown.append(f"output [{widths[net] - 1}:0] {net}_Shown")
                where = "" if valid == net else f" & {{{widths[net]}{{{valid}}}}}"
                lines.append(f"assign {net}_Shown = {net}{where};")
        text = _NET.sub(lambda net: f".{net[1]}({changes.get(net[2], net[2])})", component.text)
        lines.append(f"{component.module} {name} (\n{text});")
    heads = [f"input [{widths[net] - 1}:0] {net}" for net in inputs]
    return f"module seen({', '.join([*heads, *shown])});\n" + "\n".join(lines)
