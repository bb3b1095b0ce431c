"""Bus wrappers of a pipeline: AXI4-Stream, AXI4-Lite, Wishbone, SPI."""

from ssm_hdl.gen.wrappers.axi_stream import AxiStream
from ssm_hdl.gen.wrappers.base import Wrapper
from ssm_hdl.gen.wrappers.registers import Lite, Wishbone
from ssm_hdl.gen.wrappers.spi import Spi

WRAPPERS: dict[str, type[Wrapper]] = {wrapper.name: wrapper for wrapper in (AxiStream, Lite, Wishbone, Spi)}
"""Every wrapper by the name on the command line."""

__all__ = ["WRAPPERS", "Wrapper"]
