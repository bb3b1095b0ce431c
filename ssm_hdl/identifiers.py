"""Names that a Verilog module cannot have."""

import re

from ssm_hdl.errors import UsageError, brief

_PORT = re.compile(r"clk|rst|[iow]_(valid|ready|data|last)")

# The keywords of IEEE 1800-2017, annex B. Verilator and Yosys read them as keywords in a file of
# Verilog 2005, too.
_KEYWORDS = """
    accept_on alias always always_comb always_ff always_latch and assert assign assume automatic
    before begin bind bins binsof bit break buf bufif0 bufif1 byte case casex casez cell chandle
    checker class clocking cmos config const constraint context continue cover covergroup coverpoint
    cross deassign default defparam design disable dist do edge else end endcase endchecker endclass
    endclocking endconfig endfunction endgenerate endgroup endinterface endmodule endpackage
    endprimitive endprogram endproperty endsequence endspecify endtable endtask enum event
    eventually expect export extends extern final first_match for force foreach forever fork
    forkjoin function generate genvar global highz0 highz1 if iff ifnone ignore_bins illegal_bins
    implements implies import incdir include initial inout input inside instance int integer
    interconnect interface intersect join join_any join_none large let liblist library local
    localparam logic longint macromodule matches medium modport module nand negedge nettype new
    nexttime nmos nor noshowcancelled not notif0 notif1 null or output package packed parameter pmos
    posedge primitive priority program property protected pull0 pull1 pulldown pullup
    pulsestyle_ondetect pulsestyle_onevent pure rand randc randcase randsequence rcmos real realtime
    ref reg reject_on release repeat restrict return rnmos rpmos rtran rtranif0 rtranif1 s_always
    s_eventually s_nexttime s_until s_until_with scalared sequence shortint shortreal showcancelled
    signed small soft solve specify specparam static string strong strong0 strong1 struct super
    supply0 supply1 sync_accept_on sync_reject_on table tagged task this throughout time
    timeprecision timeunit tran tranif0 tranif1 tri tri0 tri1 triand trior trireg type typedef union
    unique unique0 unsigned until until_with untyped use uwire var vectored virtual void wait
    wait_order wand weak weak0 weak1 while wildcard wire with within wor xnor xor
"""
# a package that Verilator declares in every design
KEYWORDS = frozenset(_KEYWORDS.split()) | {"std"}


# What the families instantiate, and what synthesis for them leaves.
_CELL = re.compile(
    r"SB_\w+|ICESTORM_\w+|TRELLIS_\w+|MULT18X18D|ALU54B|CCU2C|DCCA|DCUA|DP16KD|DPR16X4C|EHXPLLL|"
    r"EXTREFB|GSR|IB|JTAGG|L6MUX21|LUT4|OSCG|PDPW16KD|PFUMX|SGSR|USRMCLK|ALU|ALU54D|MULT\d\w*|"
    r"MULTA\w+|PADD\d+|SP|SPX9|SDP|SDPB|SDPX9B?|DPB?|DPX9B?|pROM(X9)?|RAM16\w+|DFF[A-Z]*|DL[NCPE]*|"
    r"LUT\d|MUX2\w*|[IOT]BUF|IOBUF|r?PLL(A|VR)?|BUFG|OSC[A-Z]?|GND|VCC|INV|CLKDIV2?|DQCE|DCS|"
    r"GOWIN_\w+"
)
MAX_LENGTH = 64


def module_name(name: str, what: str = "name") -> str:
    """A name for a module.

    Args:
        name: which somebody wants.
        what: how a message calls it.

    Raises:
        UsageError: no Verilog module can have it.
    """
    if not re.fullmatch(rf"[A-Za-z]\w{{0,{MAX_LENGTH - 1}}}", name, re.ASCII):
        rule = f"begin with a letter, then letters, digits and underscores, {MAX_LENGTH} at most"
        raise UsageError(f"{what} {brief(repr(name))} is no name of a module; {rule}")
    try:
        refuse_top(name)
    except ValueError as error:
        raise UsageError(f"{what} {error}") from error
    return name


def refuse_top(name: str) -> None:
    """An error if the top module of a pipeline cannot have a name.

    Raises:
        ValueError: it is a keyword or the name of a port or of a cell.
    """
    if (what := _taken(name)) is not None:
        raise ValueError(
            f"{name!r} is {what}, and the module gets this name; choose another, "
            f"such as {name}_model"
        )


def top_name(title: str, otherwise: str) -> str:
    """A name that the top module can have, made of somebody's title;
    of ``otherwise`` where the title has no letter first."""
    name = re.sub(r"[^a-z0-9]+", "_", title.lower()).strip("_")
    name = (name if name[:1].isalpha() else f"{otherwise}_{name}")[:MAX_LENGTH].strip("_")
    return name if _taken(name) is None else f"{name}_model"


def _taken(name: str) -> str | None:
    """What a name is already, if the top module cannot have it."""
    if name in KEYWORDS:
        return "a keyword of SystemVerilog"
    return (
        "a port of the Verilog module"
        if _PORT.fullmatch(name)
        else "a cell of a device"
        if _CELL.fullmatch(name)
        else None
    )
