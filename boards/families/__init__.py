"""The flows of the families: one module a family, and a line below."""

from ssm_hdl.boards.families import ecp5, gowin, ice40
from ssm_hdl.boards.families.base import Flow

FLOWS = {module.FLOW.family.name: module.FLOW for module in (ice40, ecp5, gowin)}
"""The flow of every family by its name."""

__all__ = ["FLOWS", "Flow"]
