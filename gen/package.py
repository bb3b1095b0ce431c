# amaranth: UnusedElaboratable=no
"""A pipeline as a package for other people's designs: instance, testbench with vectors,
constraints, FuseSoC core."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from string import Template
from typing import Any

import numpy as np
import yaml

from ssm_hdl import Manifest
from ssm_hdl.fixed import Codes, Format
from ssm_hdl.gen.wrappers import find_wrapper


@dataclass(frozen=True)
class Vectors:
    """What goes in and what has to come out.

    Attributes:
        samples: codes of the input format, (batch, steps, size).
        results: codes of the output format, (batch, steps, size), or (batch, size)
            if they come once per sequence.
    """

    samples: Codes
    results: Codes


def package(
    manifest: Manifest,
    name: str,
    verilog: Iterable[str],
    clock_hz: float,
    vectors: Vectors,
    image: bytes = b"",
    cells: Iterable[str] = (),
) -> dict[str, str]:
    """The files of a package beside the Verilog, by name.

    Args:
        manifest: the integer program.
        name: name of the module.
        verilog: names of the files of the module: the Verilog first, then the tables that it reads.
        clock_hz: its clock.
        vectors: for the testbench.
        image: what the port ``w`` takes, if there is one.
        cells: names of the files with models of its vendor's cells, for simulation.
    """
    steps = vectors.results.reshape(len(vectors.samples), -1, manifest.output.size)
    ports = {"i": manifest.input.format.width, "o": manifest.output.format.width}
    loader = _W_WIRES.replace("NAME", name).replace("LOADS", str(len(image)))
    files = {
        f"{name}_samples.hex": _words(vectors.samples, manifest.input.format),
        f"{name}_results.hex": _words(steps, manifest.output.format),
        f"{name}_tb.v": filled(
            "testbench.v", name=name,
            i_top=ports["i"] - 1, o_top=ports["o"] - 1, i_last=ports["i"], o_last=ports["o"],
            samples=vectors.samples.size, results=vectors.results.size, loads=len(image),
            w_wires=loader if image else "  wire loaded = 1'b1;\n",
            w_pins=",\n    .w_valid(w_valid), .w_ready(w_ready), .w_data(w_data)" if image else "",
        ),
        f"{name}_instance.v": filled(
            "instance.v", name=name, i_top=ports["i"] - 1, o_top=ports["o"] - 1,
            w_pins=_W_PINS if image else "",
        ),
        f"{name}.sdc": _sdc("clk", clock_hz),
    }  # fmt: skip
    if image:
        files[f"{name}_weights.hex"] = "".join(f"{byte:02x}\n" for byte in image)
    data = [file for file in files if file.endswith(".hex")]
    files[f"{name}.core"] = _core(manifest, name, list(verilog), [*cells, f"{name}_tb.v"], data)
    return files


def wrapped(
    manifest: Manifest, wrap: str, name: str, verilog: Iterable[str], clock_hz: float
) -> dict[str, str]:
    """The same for a module with a bus: an instance, constraints, a core;
    arguments as of `package`."""
    wrapper = find_wrapper(wrap)(None, manifest.input, manifest.output, 0)
    wires = "".join(
        f"wire {f'[{len(port) - 1}:0] ' if len(port) > 1 else ''}{port_name};\n"
        for port_name, port in wrapper.ports.items()
    )
    pins = ",\n".join(
        f"  .{port_name}({port_name})" for port_name in (*wrapper.clocks, *wrapper.ports)
    )
    return {
        f"{name}_instance.v": f"// An instance of {name}, "
        f"to copy into a design.\n\n{wires}\n{name} {name} (\n{pins}\n);\n",
        f"{name}.sdc": _sdc(wrapper.clocks[0], clock_hz),
        f"{name}.core": _core(manifest, name, list(verilog), [], []),
    }


def _sdc(clock: str, clock_hz: float) -> str:
    """Constraints of a clock."""
    return f"create_clock -name {clock} -period {1e9 / clock_hz:.3f} [get_ports {clock}]\n"


_W_PINS = """\
,
  .w_valid(w_valid),  // tables, to be loaded after every reset
  .w_ready(w_ready),
  .w_data(w_data)"""

_W_WIRES = """\
  reg [7:0] weights [0:LOADS - 1];
  initial $readmemh("NAME_weights.hex", weights, 0, LOADS - 1);
  integer loads = 0;
  wire loaded = loads == LOADS;
  wire w_valid = !loaded && !rst;
  wire w_ready;
  wire [7:0] w_data = weights[loads];
  always @(posedge clk) if (w_valid && w_ready) loads <= loads + 1;
"""


def _words(codes: Codes, format: Format) -> str:
    """A line for each number: its code, below the bit ``last``,
    which is set in the last packet of a sequence."""
    last = np.zeros(codes.shape, np.int64)
    last[:, -1] = 1
    words = (codes & ((1 << format.width) - 1)) | (last << format.width)
    digits = format.width // 4 + 1
    return "".join(f"{word:0{digits}x}\n" for word in words.ravel().tolist())


def filled(template: str, **values: object) -> str:
    """The text of a file of the folder ``templates`` with its values."""
    text = (
        resources.files("ssm_hdl.gen").joinpath("templates", template).read_text(encoding="utf-8")
    )
    return Template(text).substitute(values)


def _core(
    manifest: Manifest, name: str, verilog: list[str], testbench: list[str], data: list[str]
) -> str:
    """A core of FuseSoC, CAPI2; for simulation the cells of a vendor come first,
    the testbench last."""
    first, *more = verilog
    rtl: list[str | Mapping[str, Mapping[str, str]]] = [
        first,
        *({file: {"file_type": "user", "copyto": file}} for file in more),
    ]
    copied = [{file: {"file_type": "user", "copyto": file}} for file in data]
    core: dict[str, Any] = {
        "name": f"::{name}:0",
        "description": manifest.graph.description or manifest.name,
        "filesets": {
            "rtl": {"files": rtl, "file_type": "verilogSource"},
            "constraints": {"files": [f"{name}.sdc"], "file_type": "SDC"},
        },
        "targets": {
            "default": {"filesets": ["rtl", "constraints"], "toplevel": name},
            "lint": {
                "default_tool": "verilator",
                "filesets": ["rtl"],
                "toplevel": name,
                "tools": {"verilator": {"mode": "lint-only", "verilator_options": ["-Wall"]}},
            },
        },
    }
    if testbench:
        core["filesets"]["tb"] = {"files": [*testbench, *copied], "file_type": "verilogSource"}
        core["targets"]["sim"] = {
            # Icarus 11 cannot read the cells of most families
            "default_tool": "verilator" if testbench[1:] else "icarus",
            "filesets": ["rtl", "tb"],
            "toplevel": f"{name}_tb",
            "tools": {
                "verilator": {"mode": "binary", "verilator_options": ["--timing", "-Wno-fatal"]}
            },
        }
    return "CAPI=2:\n" + yaml.safe_dump(core, sort_keys=False)
