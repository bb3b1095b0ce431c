"""The comment at the head of the Verilog: what it computes, its ports, its formats, its cycles,
and the command that makes it."""

import textwrap
from importlib.metadata import version

from ssm_hdl import Manifest
from ssm_hdl.fingerprint import fingerprint
from ssm_hdl.gen.plan import Plan
from ssm_hdl.gen.report import Report
from ssm_hdl.operations import Edge

WAIVED = {
    "DECLFILENAME": "one file holds all modules",
    "UNUSEDSIGNAL": "carries and padding of which some bits are not read",
}
"""Warnings of Verilator that are meant, and why."""


def header(
    manifest: Manifest,
    plan: Plan,
    name: str,
    command: str,
    report: Report | None,
    ports: dict[str, str],
) -> str:
    """The comment, the same for the same input.

    Args:
        manifest: the integer program.
        plan: its hardware.
        name: name of the module.
        command: the command line that makes the file; left out if empty.
        report: its cycles; left out if None.
        ports: what they mean.
    """
    facts = {
        "model": f"{manifest.name}: {manifest.graph.description}".removesuffix(": "),
        "manifest": f"fingerprint 0x{fingerprint(manifest):04x}",
        "made by": f"ssm-hdl {version('ssm-hdl')}",
        "command": command,
        "for": f"{plan.family.title}, {plan.dsp} DSP blocks",
        "cycles": report and f"{report.cycles:,.2f}".removesuffix(".00") + " per time step",
        "latency": report
        and f"{report.latency_alone:,} cycles, last sample in to last result "
        f"out, of a time step alone; {report.latency_full:,} at full rate",
    }
    lines = [
        name,
        "",
        *_table({key: value for key, value in facts.items() if value}),
        "",
        *_table(ports),
        "",
    ]
    if "i_data" not in ports:
        lines += [
            *_table({"numbers in": _edge(manifest.input), "numbers out": _edge(manifest.output)}),
            "",
        ]
    lines += ["A number is its code, in two's complement if signed, times 2^-(fraction bits)."]
    comment = "".join(f"// {line}".rstrip() + "\n" for line in lines)
    waived = WAIVED | (
        {"PINMISSING": "pins of DSP blocks that are not used"} if plan.family.cell_models else {}
    )
    waivers = "".join(
        f"/* verilator lint_off {rule} */  // {why}\n" for rule, why in waived.items()
    )
    return f"{comment}\n{waivers}`default_nettype none\n\n"


def stream_ports(manifest: Manifest, loads: int) -> dict[str, str]:
    """What the ports of a module mean that takes ``loads`` bytes of tables."""
    return {
        "clk": "clock; every port is synchronous to its rising edge",
        "rst": "reset, active high, of one cycle or more at any time",
        "i_valid, i_ready": "handshake of the samples: one goes in when both are high",
        "i_data": f"sample: {_edge(manifest.input)}, one after the other, for each time step",
        "i_last": "in every sample of the last time step of a sequence, "
        f"which has up to {manifest.steps:,} steps",
        "o_valid, o_ready": "handshake of the results: one comes out when both are high",
        "o_data": f"result: {_edge(manifest.output)}, one after the other, "
        + ("once per sequence" if manifest.output.per_sequence else "for each time step"),
        "o_last": "in every result of the last time step of a sequence",
    } | (
        {"w_valid, w_ready, w_data": f"{loads:,} bytes of tables, to be loaded after every reset"}
        if loads
        else {}
    )


def _edge(edge: Edge) -> str:
    """What goes over a port."""
    kind, form = "signed" if edge.format.signed else "unsigned", edge.format
    parts = "real and imaginary parts of " if edge.is_complex else ""
    numbers = f"{parts}{edge.size} {'number' if edge.size == 1 else 'numbers'}"
    return f"{numbers} of {form.width} bits, {kind}, {form.f_bits} of them fraction ({form})"


def _table(rows: dict[str, str]) -> list[str]:
    """Names and texts in two columns of 100 characters."""
    width = max(map(len, rows)) + 2
    lines = list[str]()
    for name, text in rows.items():
        first, *more = textwrap.wrap(text, 100 - width)
        lines += [f"{name:{width}}{first}", *(f"{'':{width}}{line}" for line in more)]
    return lines
