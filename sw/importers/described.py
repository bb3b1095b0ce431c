"""The config.json that Hugging Face transformers writes beside the arrays of a Mamba."""

import json
from typing import Any

from ssm_hdl.errors import SsmHdlError, brief
from ssm_hdl.sw.importers.arrays import Arrays


def described(arrays: Arrays) -> dict[str, Any]:
    """The options of our config that it tells; none if there is no such file,
    or if it is of another kind of model.

    Raises:
        SsmHdlError: it cannot be read, or names a model that computes something else
            than a Mamba with the same arrays.
    """
    path = arrays.path.with_name("config.json")
    try:
        told = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise SsmHdlError(
            f"cannot read {path}, which describes {arrays.path.name}: {brief(str(error))}; "
            "fetch it again, or move it away if it is of another model"
        ) from error
    kind = told.get("model_type") if isinstance(told, dict) else None
    if kind == "falcon_mamba":
        arrays.fail(
            f"is a Falcon-Mamba ({path.name}), which has norms without arrays for dt, B and C; "
            "a Mamba without them can be imported"
        )
    if kind != "mamba":
        return {}
    activation = told.get("hidden_act", "silu")
    if activation not in ("silu", "swish"):
        arrays.fail(
            f"has the activation {brief(activation)} ({path.name}); "
            "a Mamba with silu can be imported"
        )
    return {"epsilon": told["layer_norm_epsilon"]} if "layer_norm_epsilon" in told else {}
