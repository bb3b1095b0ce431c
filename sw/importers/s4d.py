"""Imports the minimal S4D of state-spaces/s4 (``s4d.py`` and the model of ``example.py``): one layer without norm, our names."""

import torch
from torch import Tensor

from ssm_hdl.errors import SsmHdlError
from ssm_hdl.sw.data import InputSpec
from ssm_hdl.sw.importers.arrays import Arrays
from ssm_hdl.sw.models.s4d import LAYER, S4DConfig


def read(arrays: Arrays, inputs: InputSpec) -> tuple[S4DConfig, dict[str, Tensor]]:
    """Config and tensors of the model.

    Raises:
        SsmHdlError: several layers, a norm, or an array that is missing or misshapen.
    """
    norm = next((name for name in arrays.tensors if name.startswith("norms.")), None)
    if norm is not None:
        raise SsmHdlError(
            f"{arrays.path} has a norm ({norm}); the S4D of the paper has none, and only that one is imported; "
            "train with the norm left out"
        )
    layers = (name for name in arrays.tensors if name.startswith("s4_layers.") and not name.startswith(f"{LAYER}."))
    second = next(layers, None)
    if second is not None:
        raise SsmHdlError(f"{arrays.path} has more than one layer ({second}); models of one S4D layer can be imported")
    width, modes, _ = arrays.shape(f"{LAYER}.kernel.C", "(H, N, 2)")
    config = S4DConfig(width=width, modes=modes)
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in config.build(inputs).state_dict().items()}
    return config, {name: arrays.take(name, *shape) for name, shape in shapes.items()}
