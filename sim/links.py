# amaranth: UnusedElaboratable=no
"""Stalls and other codes at the links inside a pipeline, where no samples and no reader bring them.

The modules of the stages stay as they are. The module that connects them gets two more ports.

- ``Link_stall`` holds links back. A beat that has been offered stays.
- ``Link_mask`` inverts bits of the results of stages, the same bits of every number. So the stages
  that read them see codes from anywhere in the format, and the golden model can do the same.

With both at 0 nothing changes. All new names have capitals, so no operation can have them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ssm_hdl import Manifest
from ssm_hdl.fixed import Codes, Format
from ssm_hdl.gateware.stream import lanes, shape_of
from ssm_hdl.gen.pipeline import Pipeline
from ssm_hdl.gen.plan import Plan

BITS, STRIDE = 64, 11
"""Bits of both ports, which links and stages share; from one stage's first bit of the mask
to the next one's."""

_INSTANCE = re.compile(r"^  (\w+) (\w+) \(\n((?:    \.\w+\(.*\),?\n)+)  \);\n", re.M)
_NET = re.compile(r"\.(\w+)\((.*)\)")
_OUTPUT = re.compile(r"^  output (?:wire|reg ) (?:\[(\d+):0\] )?(\w+),?$", re.M)
_PORTS = f"  input  wire [{BITS - 1}:0] Link_stall,\n  input  wire [{BITS - 1}:0] Link_mask,\n"
_THROUGH = "    .Link_mask(Link_mask),\n    .Link_stall(Link_stall),\n"
_LINK = """
module {top}_Link (
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
    """Give a pipeline these ports.

    Args:
        verilog: what `generate` gives.
        manifest: the integer program.
        plan: its hardware.

    Returns:
        The Verilog, and the operations whose results have a mask, each with its first bit of it.
    """
    top, pipeline = manifest.name, Pipeline(manifest, plan)
    start = verilog.index(f"module {top}_pipeline (\n")
    end = verilog.index("endmodule", start)
    stages = _stages(pipeline, verilog[start:end])
    masks: dict[str, int] = {}
    added: list[str] = []

    def connect(instance: re.Match[str]) -> str:
        module, name, text = instance.groups()
        head = verilog[verilog.index(f"module {module} (\n") :]
        outputs = {port: most for most, port in _OUTPUT.findall(head[: head.index(");\n")])}
        nets = dict(_NET.findall(text))
        for port in [port for port in outputs if port.endswith("_ready")]:
            sink, number = port.removesuffix("_ready"), len(added)
            added.append(_link(top, f"{name}_{sink}_Link", number % BITS, nets, sink))
            for leaf in ("ready", "valid"):
                was = f".{sink}_{leaf}({nets[f'{sink}_{leaf}']})"
                text = text.replace(was, f".{sink}_{leaf}({name}_{sink}_Link_{leaf})")
        if (stage := stages.get(name)) and (most := outputs.get("o_payload")):
            layers, first = pipeline.structure.stages[stage], len(masks) * STRIDE % BITS
            masks.update((node.name, first) for node in layers.nodes)
            count, width = lanes(pipeline.stages[stage], "o"), shape_of(layers.node.output).width
            chosen = ", ".join(
                f"Link_mask[{(first + bit) % BITS}]" for bit in reversed(range(width))
            )
            kept = "".join("1'b0, " for _ in range(int(most) + 1 - count * width))
            added.append(
                f"  wire [{most}:0] {name}_Unmasked;\n  assign {nets['o_payload']} = "
                f"{name}_Unmasked ^ {{{kept}{{{count}{{{chosen}}}}}}};\n"
            )
            text = text.replace(f".o_payload({nets['o_payload']})", f".o_payload({name}_Unmasked)")
        return f"  {module} {name} (\n{text}  );\n"

    changed = (
        verilog[:start]
        + _INSTANCE.sub(connect, verilog[start:end])
        + "".join(added)
        + verilog[end:]
    )
    for module in (top, f"{top}_pipeline"):
        changed = changed.replace(f"module {module} (\n", f"module {module} (\n{_PORTS}", 1)
    instance = f"  {top}_pipeline pipeline (\n"
    changed = changed.replace(instance, instance + _THROUGH, 1)
    return (
        changed.replace("\n`default_nettype wire", f"{_LINK.format(top=top)}`default_nettype wire"),
        masks,
    )


def _stages(pipeline: Pipeline, module: str) -> dict[str, str]:
    """The stages by the names of their instances, which get a number where the name is taken.

    Yosys writes instances in the order of the names that they had, the loader of SPRAMs among them.
    """
    names = sorted([*pipeline.network.components, *([pipeline.loader] if pipeline.sprams else [])])
    instances = [match[2] for match in _INSTANCE.finditer(module)]
    pairs = zip(instances, names, strict=True)
    return {instance: name for instance, name in pairs if name in pipeline.stages}


def _link(top: str, link: str, number: int, nets: Mapping[str, str], sink: str) -> str:
    """A link before the stream ``sink`` of an instance with these nets."""
    wires = f"  wire {link}_valid, {link}_ready;\n"
    before = f".i_valid({nets[f'{sink}_valid']}), .i_ready({nets[f'{sink}_ready']})"
    after = f".o_valid({link}_valid), .o_ready({link}_ready)"
    return (
        f"{wires}  {top}_Link {link} (.clk(clk), .rst(rst), .hold(Link_stall[{number}]), "
        f"{before}, {after});\n"
    )


def masked(codes: Codes, format: Format, mask: int, start: int) -> Codes:
    """The codes of an edge with the bits inverted that a mask has from ``start`` on,
    which goes round."""
    most = (1 << format.width) - 1
    flipped = (codes.astype(np.int64) ^ (mask >> start | mask << BITS - start) & most) & most
    return np.where(flipped > format.max, flipped - most - 1, flipped)


def with_bits(mask: int, start: int, most: int, bits: int) -> int:
    """A mask with other bits from ``start`` on, as many as ``most`` has."""

    def turned(field: int) -> int:
        return (field << start | field >> BITS - start) & (1 << BITS) - 1

    return mask & ~turned(most) | turned(bits)
