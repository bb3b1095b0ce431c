# amaranth: UnusedElaboratable=no
"""Stalls and other codes at the links inside a pipeline: what no samples and no reader at its ends can bring there.

The modules of the stages stay as they are; only the module that connects them gets two more ports. ``link_stall`` holds links back:
a beat that has been offered stays. ``link_mask`` inverts bits of the results of every stage, the same in all of its numbers, so
that the stages that read them see codes from anywhere in the format. With both ports at 0 nothing changes.
"""

import re
from dataclasses import dataclass

import numpy as np

from ssm_hdl import Manifest
from ssm_hdl.fixed import Codes, Format
from ssm_hdl.gateware.stream import lanes, shape_of
from ssm_hdl.gen.pipeline import Pipeline
from ssm_hdl.gen.plan import Plan

BITS, STRIDE = 64, 11
"""Bits of both ports, which links and stages share, and how far the masks of stages are apart in them."""

_INSTANCE = re.compile(r"^  (\w+) (\w+) \(\n((?:    \.\w+\(.*\),?\n)+)  \);\n", re.M)
_PORT = re.compile(r"\.(\w+)\((.*)\)")
_PORTS = f"  input  wire [{BITS - 1}:0] link_stall,\n  input  wire [{BITS - 1}:0] link_mask,\n"
_LINK = """

module {top}_link (
  input  wire clk,
  input  wire rst,
  input  wire hold,
  input  wire i_valid,
  output wire i_ready,
  output wire o_valid,
  input  wire o_ready
);
  reg waits = 0;  // a beat was offered and not taken
  wire open = waits | ~hold;
  assign o_valid = i_valid & open;
  assign i_ready = o_ready & open;
  always @(posedge clk) waits <= ~rst & o_valid & ~o_ready;
endmodule
"""


@dataclass(frozen=True)
class Links:
    """What happens inside a pipeline.

    Attributes:
        mask: bits that are inverted in the results of stages.
        stalls: chance that a link holds the next beat back.
        period: cycles until that is drawn again; 0: no link holds anything back.
    """

    mask: int = 0
    stalls: float = 0.0
    period: int = 0

    @property
    def any(self) -> bool:
        """Whether anything happens."""
        return bool(self.mask or self.period)


NO_LINKS = Links()


def with_links(verilog: str, manifest: Manifest, plan: Plan) -> tuple[str, dict[str, int]]:
    """The pipeline with these ports, and the operations whose results have a mask, each with the bit at which it begins."""
    top, pipeline = manifest.name, Pipeline(manifest, plan)
    masks: dict[str, int] = {}
    added: list[str] = []

    def connect(instance: re.Match[str]) -> str:
        module, name, text = instance.groups()
        body = verilog[verilog.index(f"module {module} (\n") :]
        body = body[: body.index(");\n")]
        nets = dict(_PORT.findall(text))
        for port, net in nets.items():
            sink = port.removesuffix("_ready")
            if sink != port and re.search(rf"output (wire|reg ) {port}\b", body):
                link, number = f"{name}_{sink}_link", len(added)
                wires = f"  wire {link}_valid, {link}_ready;\n"
                ends = f".i_valid({nets[f'{sink}_valid']}), .i_ready({net}), .o_valid({link}_valid), .o_ready({link}_ready)"
                hold = f"  {top}_link {link} (.clk(clk), .rst(rst), .hold(link_stall[{number % BITS}]), {ends});\n"
                added.append(wires + hold)
                text = text.replace(f".{port}({net})", f".{port}({link}_ready)")
                text = text.replace(f".{sink}_valid({nets[f'{sink}_valid']})", f".{sink}_valid({link}_valid)")
        width = re.search(r"output (?:wire|reg ) \[(\d+):0\] o_payload\b", body)
        if name in pipeline.stages and width:
            layers, count = pipeline.structure.stages[name], lanes(pipeline.stages[name], "o")
            bits, start = shape_of(layers.node.output).width, len(masks) * STRIDE % BITS
            masks.update((node.name, start) for node in layers.nodes)
            chosen = ", ".join(f"link_mask[{(start + bit) % BITS}]" for bit in reversed(range(bits)))
            added.append(
                f"  wire [{width[1]}:0] {name}_unmasked;\n"
                f"  assign {nets['o_payload']} = {name}_unmasked ^ {int(width[1]) + 1}'({{{count}{{{chosen}}}}});\n"
            )
            text = text.replace(f".o_payload({nets['o_payload']})", f".o_payload({name}_unmasked)")
        return f"  {module} {name} (\n{text}  );\n"

    start = verilog.index(f"module {top}_pipeline (\n")
    end = verilog.index("endmodule", start)
    inside = _INSTANCE.sub(connect, verilog[start:end])
    changed = verilog[:start] + inside + "".join(added) + verilog[end:]
    for module in (top, f"{top}_pipeline"):
        changed = changed.replace(f"module {module} (\n", f"module {module} (\n{_PORTS}", 1)
    through = "    .link_mask(link_mask),\n    .link_stall(link_stall),\n"
    changed = changed.replace(f"  {top}_pipeline pipeline (\n", f"  {top}_pipeline pipeline (\n{through}", 1)
    return changed.replace("`default_nettype wire", _LINK.format(top=top) + "\n`default_nettype wire"), masks


def masked(codes: Codes, format: Format, mask: int, start: int) -> Codes:
    """The codes of an edge with the bits inverted that a mask has from ``start`` on, which goes round."""
    most = (1 << format.width) - 1
    flipped = (codes.astype(np.int64) ^ (mask >> start | mask << BITS - start) & most) & most
    return np.where(flipped > format.max, flipped - most - 1, flipped)
