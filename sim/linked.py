# amaranth: UnusedElaboratable=no
"""Ports for stalls and other codes inside a pipeline.

The modules of the stages stay as they are. The module that connects them gets four more ports.

- ``Link_stall`` holds links back. A beat that has been offered stays.
- ``Link_mask`` inverts bits of the results of stages. So the stages that read them see codes from
  anywhere in the format, and the golden model can do the same.
- ``Link_turns`` makes masks turn from beat to beat where a stage sends one number a beat, and from
  packet to packet unless layers share it. So neighbours differ. Otherwise they are changed alike,
  which a mean needs to come to the ends of its format.
- ``Link_sum`` is the sum of all these results since the reset, each times the factor of its stage.
  So a wrong code is seen where the stages after it would hide it.

With all inputs at 0 nothing changes. All new names have capitals, so no operation can have them.
"""

import re
from collections.abc import Mapping

from ssm_hdl import Manifest
from ssm_hdl.gateware.stream import lanes, reals, shape_of
from ssm_hdl.gen.pipeline import Pipeline
from ssm_hdl.gen.plan import Plan
from ssm_hdl.sim.links import BITS, TURN, Place

_INSTANCE = re.compile(r"^  (\w+) (\w+) \(\n((?:    \.\w+\(.*\),?\n)+)  \);\n", re.M)
_NET = re.compile(r"\.(\w+)\((.*)\)")
_OUTPUT = re.compile(r"^  output (?:wire|reg ) (?:\[(\d+):0\] )?(\w+),?$", re.M)
_WIDTHS = {"stall": BITS, "mask": BITS, "turns": 1, "sum": BITS}
_PORTS = "".join(
    f"  {'output' if name == 'sum' else 'input '} wire [{width - 1}:0] Link_{name},\n"
    for name, width in _WIDTHS.items()
)
_THROUGH = "".join(f"    .Link_{name}(Link_{name}),\n" for name in _WIDTHS)
_SUM = """\
  reg [63:0] Sum = 0;
  assign Link_sum = Sum;
  always @(posedge clk)
    Sum <= rst ? 64'd0 : {sum};
"""
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

module {top}_Mask (
  input  wire clk,
  input  wire rst,
  input  wire moves,
  input  wire [63:0] Link_mask,
  input  wire Link_turns,
  output wire [63:0] mask
);
  parameter BEATS = 1;
  parameter [5:0] FIRST = 0, STEP = 0;
  reg [31:0] beat = 0;
  reg [5:0] packet = FIRST, first = FIRST;
  wire last = beat == BEATS - 1;
  wire [127:0] twice = {{Link_mask, Link_mask}};
  assign mask = twice[{{1'b0, Link_turns ? first : FIRST}} +: 64];
  always @(posedge clk)
    if (rst | moves) begin
      beat <= rst | last ? 0 : beat + 1;
      packet <= rst ? FIRST : last ? packet + STEP : packet;
      first <= rst ? FIRST : last ? packet + STEP : first + 6'd{turn};
    end
endmodule

"""


def with_links(verilog: str, manifest: Manifest, plan: Plan) -> tuple[str, dict[str, Place]]:
    """Give a pipeline these ports.

    Args:
        verilog: what `generate` gives.
        manifest: the integer program.
        plan: its hardware.

    Returns:
        The Verilog, and the operations whose results have a mask.
    """
    top, pipeline = manifest.name, Pipeline(manifest, plan)
    start = verilog.index(f"module {top}_pipeline (\n")
    end = verilog.index("endmodule", start)
    stages = _stages(pipeline, verilog[start:end])
    masks: dict[str, Place] = {}
    added: list[str] = []
    terms = ["Sum"]

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
            layers = pipeline.structure.stages[stage]
            count, width = lanes(pipeline.stages[stage], "o"), shape_of(layers.node.output).width
            place = Place.of(len(masks), pipeline.stages[stage], count)
            masks.update((node.name, place) for node in layers.nodes)
            beats = reals(layers.node.output) if place.turn else 1
            added.append(
                f"  wire [63:0] {name}_Mask;\n  {top}_Mask #(.BEATS({beats}), "
                f".FIRST({place.first}), .STEP({place.step})) {name}_Turn (.clk(clk), .rst(rst), "
                f".moves({nets['o_valid']} & {nets['o_ready']}), .Link_mask(Link_mask), "
                f".Link_turns(Link_turns), "
                f".mask({name}_Mask));\n"
            )
            kept = "".join("1'b0, " for _ in range(int(most) + 1 - count * width))
            added.append(
                f"  wire [{most}:0] {name}_Unmasked;\n  assign {nets['o_payload']} = "
                f"{name}_Unmasked ^ {{{kept}{{{count}{{{name}_Mask[{width - 1}:0]}}}}}};\n"
            )
            text = text.replace(f".o_payload({nets['o_payload']})", f".o_payload({name}_Unmasked)")
            if place.factor:
                terms.append(_term(nets, place.factor, count, width))
        return f"  {module} {name} (\n{text}  );\n"

    changed = (
        verilog[:start]
        + _INSTANCE.sub(connect, verilog[start:end])
        + "".join(added)
        + _SUM.format(sum="\n      + ".join(terms))
        + verilog[end:]
    )
    for module in (top, f"{top}_pipeline"):
        changed = changed.replace(f"module {module} (\n", f"module {module} (\n{_PORTS}", 1)
    instance = f"  {top}_pipeline pipeline (\n"
    changed = changed.replace(instance, instance + _THROUGH, 1)
    return (
        changed.replace(
            "\n`default_nettype wire", f"{_LINK.format(top=top, turn=TURN)}`default_nettype wire"
        ),
        masks,
    )


def _term(nets: Mapping[str, str], factor: int, count: int, width: int) -> str:
    """What a beat of results adds to the sum."""
    numbers = " + ".join(
        f"{{{BITS - width}'d0, {nets['o_payload']}[{lane * width} +: {width}]}}"
        for lane in range(count)
    )
    moves = f"{nets['o_valid']} & {nets['o_ready']}"
    return f"({moves} ? {BITS}'d{factor} * ({numbers}) : {BITS}'d0)"


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
