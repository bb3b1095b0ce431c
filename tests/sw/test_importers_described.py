"""Mambas of transformers with their config.json: models of the same arrays are told apart."""

from dataclasses import replace

import pytest
import torch
import transformers

from ssm_hdl import SsmHdlError
from ssm_hdl.sw import data, importers

TEXT = replace(data.SPECS["listops"], tokens=11, classes=11, per_step=True)


def saved(path, kind="Mamba", **options):
    """A model of transformers and its file, with the config.json beside it."""
    torch.manual_seed(0)
    sizes = {"vocab_size": 11, "hidden_size": 8, "state_size": 4, "num_hidden_layers": 1}
    config = getattr(transformers, f"{kind}Config")(**sizes, initializer_range=0.5, **options)
    theirs = getattr(transformers, f"{kind}ForCausalLM")(config).eval()
    theirs.save_pretrained(path)
    return theirs, path / "model.safetensors"


def test_the_epsilon_of_a_config_beside_the_arrays_is_taken(tmp_path):
    theirs, file = saved(tmp_path, layer_norm_epsilon=0.01)
    codes = torch.randint(11, (2, 20))
    ours = importers.load(file, None, TEXT).model
    with torch.no_grad():
        torch.testing.assert_close(ours(codes[..., None]), theirs(codes).logits)
    (tmp_path / "config.json").write_text('{"model_type": "bert", "hidden_act": "gelu"}')
    assert importers.load(file, None, TEXT).model.config.epsilon == 1e-5


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("FalconMamba", {}, "is a Falcon-Mamba .config.json., which has norms without arrays"),
        ("Mamba", {"hidden_act": "gelu"}, "has the activation gelu .config.json."),
        ("Mamba", {"layer_norm_epsilon": 0.0}, "has a model of epsilon 0.0: it must be"),
    ],
)
def test_a_config_beside_the_arrays_tells_models_of_the_same_arrays_apart(
    tmp_path, kind, options, message
):
    _, file = saved(tmp_path, kind, **options)
    with pytest.raises(SsmHdlError, match=message):
        importers.load(file, None, TEXT)


def test_a_config_that_is_damaged_is_said(tmp_path):
    _, file = saved(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(SsmHdlError, match=r"config.json, which describes model.safetensors: Expec"):
        importers.load(file, None, TEXT)
