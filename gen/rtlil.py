"""RTLIL of Amaranth made ready for Verilog that linters accept:
operands as wide as the language would make them."""

import re
from collections.abc import Iterator

_LINE = re.compile(r"    (parameter|connect) \\(\w+) (.*)\n")
_CELL = re.compile(r"  cell \$(?:(add|sub|mul|and|or|xor|xnor|neg|not|pos|shl)|eq|ne|lt|le|gt|ge) ")
"""The first operations have operands that Verilog extends to the width of the result; the others,
to the wider of both."""


def widen(text: str) -> str:
    """RTLIL in which the operands of every cell have the widths that Verilog would extend them to;
    it computes the same."""
    return "".join(_widened(text.splitlines(keepends=True)))


def _widened(lines: list[str]) -> Iterator[str]:
    block: list[str] = []
    for line in lines:
        if block:
            block.append(line)
            if line == "  end\n":
                yield from _cell(block)
                block = []
        elif _CELL.match(line):
            block.append(line)
        else:
            yield line


def _cell(block: list[str]) -> list[str]:
    """The lines of one cell."""
    fields = {match[2]: match[3] for line in block if (match := _LINE.match(line))}
    header = _CELL.match(block[0])
    assert header is not None
    operands = [name for name in "AB" if name in fields]
    widths = [int(fields[f"{name}_WIDTH"]) for name in operands]
    width = int(fields["Y_WIDTH"]) if header[1] else max(*widths, 1)
    if header[1] == "shl":
        del operands[1]  # the amount stands for itself
    for name, own in zip(operands, widths, strict=False):
        if own < width:
            fields[name] = extended(fields[name], own, width, fields[f"{name}_SIGNED"] == "1")
            fields[f"{name}_WIDTH"] = str(width)
    return [
        f"    {match[1]} \\{match[2]} {fields[match[2]]}\n"
        if (match := _LINE.match(line))
        else line
        for line in block
    ]


def extended(signal: str, width: int, target: int, signed: bool) -> str:
    """A signal of RTLIL, extended by its sign or by zeros."""
    missing = target - width
    if width and signed:
        return f"{{ {f'{signal} [{width - 1}] ' * missing}{signal} }}"
    return f"{{ {missing}'{'0' * missing} {signal} }}"
