"""The vocabulary of ssm-hdl (fixed-point formats, operations, the manifest) and its gateware."""

from ssm_hdl.errors import SsmHdlError
from ssm_hdl.fixed import SQ, UQ, Format
from ssm_hdl.manifest import Manifest

__all__ = ["SQ", "UQ", "Format", "Manifest", "SsmHdlError"]
