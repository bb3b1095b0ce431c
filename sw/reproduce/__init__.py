"""The tables of the papers beside ours."""

from ssm_hdl.sw.reproduce import mamba, s4d, s5
from ssm_hdl.sw.reproduce.measure import Published, Row, Table, measure

__all__ = ["TABLES", "Published", "Row", "Table", "mamba", "measure"]

TABLES = {"s4d": s4d.TABLE, "s5": s5.TABLE, "s5-listops": s5.LISTOPS}
"""The tables by their name in ``ssm-hdl reproduce``."""
