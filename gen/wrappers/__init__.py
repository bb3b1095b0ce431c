"""Bus wrappers of a pipeline: AXI4-Stream, AXI4-Lite, Wishbone, SPI."""

from ssm_hdl.errors import UsageError
from ssm_hdl.gen.wrappers.axi_stream import AxiStream
from ssm_hdl.gen.wrappers.base import Wrapper
from ssm_hdl.gen.wrappers.registers import Lite, Wishbone
from ssm_hdl.gen.wrappers.spi import Spi

WRAPPERS: dict[str, type[Wrapper]] = {
    wrapper.name: wrapper for wrapper in (AxiStream, Lite, Wishbone, Spi)
}
"""Every wrapper by the name on the command line."""


def find_wrapper(name: str) -> type[Wrapper]:
    """The wrapper of a name.

    Raises:
        UsageError: there is none.
    """
    if name not in WRAPPERS:
        raise UsageError(f"no wrapper is called {name!r}; there are {', '.join(WRAPPERS)}")
    return WRAPPERS[name]


__all__ = ["WRAPPERS", "Wrapper", "find_wrapper"]
