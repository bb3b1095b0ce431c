"""The committed checkpoints are what they say, and what the presets make."""

from pathlib import Path

import pytest
import torch

from ssm_hdl.sw import checkpoint, data
from ssm_hdl.sw.presets import PRESETS
from ssm_hdl.sw.train import accuracy

FOLDER = Path(__file__).parents[2] / "checkpoints"


ACCURACY = {
    "digits": 0.95,
    "s4d-16h": 0.97,
    "s4d-64h": 0.99,
    "s5-digits": 0.95,
    "mamba-digits": 0.88,
    "har": 0.92,
}


@pytest.fixture(params=sorted(ACCURACY))
def trained(request):
    return checkpoint.load(FOLDER / f"{request.param}.safetensors"), PRESETS[request.param]


def test_a_committed_checkpoint_is_that_of_its_preset(trained):
    found, config = trained
    assert found.model.config.model_dump() == config.model.model_dump()
    assert found.inputs == data.SPECS[config.dataset]
    assert found.metadata["command"] == f"ssm-hdl train {config.name}"
    assert (found.metadata["name"], found.metadata["seed"]) == (config.name, str(config.seed))
    assert float(found.metadata["accuracy"]) >= ACCURACY[config.name]


def test_a_committed_checkpoint_has_equal_modes(trained):
    """In float64: float32 rounds Abar, which after 784 steps at |Abar| near 1 is worth
    1e-5 of the logits."""
    found, _ = trained
    model = found.model.double()
    shape = (4, min(found.inputs.steps, 784), found.inputs.channels)
    codes = torch.randint(0, 17, shape, generator=torch.Generator().manual_seed(0))
    x = torch.from_numpy(found.inputs.normalise(codes.numpy())).double()
    with torch.no_grad():
        torch.testing.assert_close(model(x), model.forward_recurrent(x), atol=1e-10, rtol=0)


def test_the_digits_accuracy_is_the_one_stated():
    found = checkpoint.load(FOLDER / "digits.safetensors")
    digits = data.load("digits")
    assert f"{accuracy(found.model, digits, digits.test):.4f}" == found.metadata["accuracy"]
