"""The operations that a manifest is made of; small, orthogonal, named as the field names them."""

from typing import Annotated

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from ssm_hdl import registry
from ssm_hdl.operations.add import Add
from ssm_hdl.operations.argmax import Argmax
from ssm_hdl.operations.base import Edge, Node, Operation, Tensor, Tensors
from ssm_hdl.operations.dense import Dense
from ssm_hdl.operations.embedding import Embedding
from ssm_hdl.operations.hadamard import Hadamard
from ssm_hdl.operations.largest import Largest
from ssm_hdl.operations.last import Last
from ssm_hdl.operations.lookup import Lookup
from ssm_hdl.operations.mean import Mean
from ssm_hdl.operations.multiply import Multiply
from ssm_hdl.operations.norm import Norm
from ssm_hdl.operations.pool import Pool
from ssm_hdl.operations.scan import Scan
from ssm_hdl.operations.selective import Selective
from ssm_hdl.operations.slice import Slice
from ssm_hdl.operations.taps import Taps


class _Registered:
    """Tells pydantic the operations of the registry."""

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        choices = {
            name: handler.generate_schema(registry.operation(name)) for name in registry.names()
        }
        return core_schema.tagged_union_schema(choices, discriminator="op")


AnyOperation = Annotated[Operation, _Registered]
"""An operation, told apart by its ``op`` field."""

__all__ = [
    "Add",
    "AnyOperation",
    "Argmax",
    "Dense",
    "Edge",
    "Embedding",
    "Hadamard",
    "Largest",
    "Last",
    "Lookup",
    "Mean",
    "Multiply",
    "Node",
    "Norm",
    "Operation",
    "Pool",
    "Scan",
    "Selective",
    "Slice",
    "Taps",
    "Tensor",
    "Tensors",
]
