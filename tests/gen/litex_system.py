"""A system of LiteX without a processor, with the example's peripheral and the port of a
host in place of it.

``python litex_system.py EXAMPLE VERILOG FOLDER`` writes its Verilog, and LiteX's headers for C.
"""

import runpy
import sys
from pathlib import Path

from litex.build.generic_platform import Pins
from litex.build.sim import SimPlatform
from litex.gen import LiteXModule
from litex.soc.integration import export
from litex.soc.integration.soc_core import SoCMini
from litex.soc.interconnect import wishbone
from migen import ClockDomain

PINS = [(name, 0, Pins(1)) for name in ("sys_clk", "sys_rst", "irq")]


class Clocks(LiteXModule):
    def __init__(self, platform):
        self.cd_sys = ClockDomain()
        self.comb += [
            self.cd_sys.clk.eq(platform.request("sys_clk")),
            self.cd_sys.rst.eq(platform.request("sys_rst")),
        ]


def main():
    example, verilog, folder = map(Path, sys.argv[1:])
    host = wishbone.Interface(data_width=32, adr_width=30, addressing="word")
    platform = SimPlatform("SIM", [*PINS, *host.get_ios("host")])
    platform.name = "sim"
    soc = SoCMini(platform, clk_freq=50e6)
    soc.crg = Clocks(platform)
    soc.comb += host.connect_to_pads(platform.request("host"), mode="slave")
    soc.bus.add_master("host", host)
    pipeline = runpy.run_path(str(example))["add_pipeline"](soc, "mine", verilog, 0x30000100)
    soc.comb += platform.request("irq").eq(pipeline.ev.irq)
    soc.finalize()
    (folder / "mem.h").write_text(export.get_mem_header(soc.mem_regions))
    (folder / "csr.h").write_text(
        export.get_csr_header(soc.csr_regions, soc.constants, with_access_functions=False)
    )
    platform.get_verilog(soc, name="top").write(str(folder / "top.v"))


if __name__ == "__main__":
    main()
