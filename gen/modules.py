"""The modules of a Verilog file that Yosys wrote: their ports, wires, registers,
memories and instances."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from ssm_hdl.identifiers import KEYWORDS

NAME = r"(?:\\\S+ |[A-Za-z_][\w$]*)"
"""An identifier, escaped or not."""

TOKEN = re.compile(rf"\"[^\"]*\"|\d*'s?[bodh][\w?]+|`\w+|\$\w+|(?P<name>{NAME})")
INSTANCE = re.compile(rf"  ({NAME}) ({NAME})? ?#?\(\n")
PIN = re.compile(rf"    \.({NAME})(\(.*\n)")
STARTS = "$auto$verilog_backend"
"""Beginning of the register with which Yosys lets combinational blocks run at the
start of a simulation."""

_MODULE = re.compile(rf"module ({NAME})\(")
_DECLARATION = re.compile(rf"  (input|output|wire|reg) (\[[^]]*\] )?({NAME})(?: = (.*))?;\n")
_MEMORY = re.compile(rf"  reg (?:\[[^]]*\] )?({NAME}) \[")
_CLOSE = re.compile(rf"  \) ({NAME}) \(\n")
_WHOLE = re.compile(rf"\(({NAME})\),?\n")
_ASSIGN = re.compile(rf"  assign ({NAME}) = (.*)\n")


def clean(name: str) -> str:
    """An identifier without its escape."""
    return name.removeprefix("\\").strip()


@dataclass
class Module:
    """A module of the file.

    Attributes:
        name: its name.
        body: its lines, without header and declarations of ports.
        ports: direction, range and kind of each port.
        declared: all other names that it declares, in order.
        wide: the names of more than one bit.
        instances: by name the module, and the names at its pins.
        initial: what registers hold at first.
    """

    name: str
    body: list[str] = field(default_factory=list)
    ports: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    declared: list[str] = field(default_factory=list)
    wide: set[str] = field(default_factory=set)
    instances: dict[str, tuple[str, dict[str, str]]] = field(default_factory=dict)
    initial: list[tuple[str, str]] = field(default_factory=list)


def modules_of(text: str) -> list[Module]:
    """The modules of a file, the top first."""
    return [_parsed(part) for part in re.split(r"(?m)^(?=module )", text)[1:]]


def _parsed(text: str) -> Module:
    # Initial values stand at registers; Yosys repeats them at other names of the same register.
    head, _, body = text.partition(");\n")
    lines = _pruned(
        [line for line in body.splitlines(keepends=True) if not line.startswith("  (* init = ")]
    )
    header = _MODULE.match(head)
    assert header is not None, head
    module = Module(clean(header[1]))
    kind, pins = "", dict[str, str]()
    for line in lines:
        if match := _DECLARATION.match(line):
            _declare(module, line, match[1], match[2] or "", match[3], match[4])
            continue
        if match := _MEMORY.match(line):
            module.declared.append(clean(match[1]))
        elif (match := INSTANCE.match(line)) and match[1] not in KEYWORDS:
            kind, pins = clean(match[1]), {}
            if match[2]:
                module.instances[clean(match[2])] = kind, pins
        elif match := _CLOSE.match(line):
            module.instances[clean(match[1])] = kind, pins
        elif (match := PIN.match(line)) and (whole := _WHOLE.match(match[2])):
            pins[clean(match[1])] = clean(whole[1])
        module.body.append(line)
    return module


def _declare(
    module: Module, line: str, kind: str, width: str, written: str, initial: str | None
) -> None:
    name = clean(written)
    if width == "[-1:0] ":  # nothing reads it
        return
    if width:
        module.wide.add(name)
    if initial and not name.startswith(STARTS):
        module.initial.append((name, initial))
        line = f"  {kind} {width}{written};\n"
    if kind in ("input", "output"):
        module.ports[name] = kind, width, "wire"
    elif name in module.ports:
        module.ports[name] = *module.ports[name][:2], kind
    else:
        module.declared.append(name)
        module.body.append(line)


def _pruned(lines: list[str]) -> list[str]:
    """Without wires that nothing reads: other names of ports, and members of payloads."""
    ports = {
        clean(match[3])
        for line in lines
        if (match := _DECLARATION.match(line)) and match[1] in ("input", "output")
    }
    # of the wires that are assigned as a whole: line, and what they read
    sources = dict[str, tuple[int, list[str]]]()
    reads = Counter[str]()
    for index, line in enumerate(lines):
        if match := _ASSIGN.match(line):
            read = list(names_in(match[2]))
            reads.update(read)
            if clean(match[1]) not in ports:
                sources[clean(match[1])] = index, read
        elif not _DECLARATION.match(line):
            reads.update(names_in(line))
    unread = [name for name in sources if not reads[name]]
    dropped = set[int]()
    gone = set[str]()
    while unread:
        name = unread.pop()
        index, read = sources[name]
        dropped.add(index)
        gone.add(name)
        for source in read:
            reads[source] -= 1
            if not reads[source] and source in sources and source not in gone:
                unread.append(source)

    def idle(line: str) -> bool:
        """A wire that nothing reads or drives."""
        match = _DECLARATION.match(line)
        return (
            match is not None
            and match[1] == "wire"
            and clean(match[3]) not in ports
            and not reads[clean(match[3])]
        )

    driven = {name for name in sources if name not in gone}
    return [
        line
        for index, line in enumerate(lines)
        if index not in dropped
        and not (idle(line) and clean(_DECLARATION.match(line)[3]) not in driven)  # type: ignore[index]
    ]


def names_in(text: str) -> Iterator[str]:
    """The identifiers of a line."""
    for match in TOKEN.finditer(text):
        if (name := match["name"]) is not None and name not in KEYWORDS:
            yield clean(name)
