"""Float models in PyTorch, by family."""

from ssm_hdl.sw.models.base import Config, Model
from ssm_hdl.sw.models.mamba import MambaConfig
from ssm_hdl.sw.models.s4d import DeepS4DConfig, S4DConfig
from ssm_hdl.sw.models.s5 import S5Config

CONFIGS: dict[str, type[Config]] = {
    config.family: config for config in (S4DConfig, DeepS4DConfig, S5Config, MambaConfig)
}
"""The options of each family, by its name; a config builds its model."""

__all__ = ["CONFIGS", "Config", "Model"]
