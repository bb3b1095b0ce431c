"""Contents of torch files, as people save them, and checkpoints of several files."""

import argparse
import functools
import json
import warnings

import numpy as np
import pytest
import torch
from public import public
from safetensors.torch import save_file
from torch import nn

from ssm_hdl import SsmHdlError
from ssm_hdl.errors import UsageError
from ssm_hdl.sw import data, importers

SPEC = data.SPECS["digits"]


def arrays(state):
    """A state dict of NumPy's arrays, some of which are not in C's order, or big-endian."""
    named = {name: tensor.numpy() for name, tensor in state.items()}
    return named | {
        "decoder.weight": np.asfortranarray(named["decoder.weight"]),
        "decoder.bias": named["decoder.bias"].astype(">f8"),
        "steps": np.array(7),
        "labels": np.array(["a", None]),
    }


def module(state):
    """A module of somebody's own with this state dict."""
    model = nn.Module()
    for name, tensor in state.items():
        *path, last = name.split(".")
        inner = model
        for part in path:
            if not hasattr(inner, part):
                inner.add_module(part, nn.Module())
            inner = getattr(inner, part)
        inner.register_parameter(last, nn.Parameter(tensor.clone()))
    model.register_buffer("table", torch.ones(3), persistent=False)
    model.register_buffer("steps", torch.tensor(3))
    return model


OPTIMIZER = torch.optim.Adam([nn.Parameter(torch.ones(2))]).state_dict()
CONTENTS = {
    "arrays": arrays,
    "wrapped arrays": lambda state: {"model": arrays(state), "epoch": 3},
    "module": module,
    "wrapped module": lambda state: {"model": module(state), "args": argparse.Namespace(lr=1e-3)},
    "with an optimizer": lambda state: [state, OPTIMIZER],
    "tuple": lambda state: (state, {"lr": 1e-3}),
    "named parameters": lambda state: list(module(state).named_parameters()),
    "parameters": lambda state: {name: nn.Parameter(tensor) for name, tensor in state.items()},
    "online and average": lambda state: {f"online_model.{name}": t for name, t in state.items()},
    "numbered": lambda state: {0: {"weights": state}, 1: OPTIMIZER},
}


@pytest.mark.filterwarnings("ignore:.*align:numpy.exceptions.VisibleDeprecationWarning")
@pytest.mark.parametrize("content", CONTENTS)
def test_a_state_dict_is_found_wherever_it_is(tmp_path, content):
    state, forward = public()
    torch.save(CONTENTS[content](state), tmp_path / "a.pt")
    x = torch.randn(2, 20, 1)
    with torch.no_grad():
        logits = importers.load(tmp_path / "a.pt", None, SPEC).model(x)
    torch.testing.assert_close(logits.double(), forward(x), atol=1e-5, rtol=1e-5)


def test_one_of_a_list_is_chosen_by_its_number(tmp_path):
    first, second = public()[0], public()[0] | {"decoder.bias": torch.ones(10)}
    for content, keys in (
        ([first, second], ("0", "1")),
        ({"folds": [first, second]}, ("folds.0", "folds.1")),
    ):
        torch.save(content, tmp_path / "folds.pt")
        with pytest.raises(
            UsageError, match=f"several state dicts; give --key with one of {keys[0]}, {keys[1]}$"
        ):
            importers.load(tmp_path / "folds.pt", None, SPEC)
        model = importers.load(tmp_path / "folds.pt", None, SPEC, key=keys[1]).model
        assert torch.equal(model.decoder.bias, torch.ones(10))


def nested(flat, convert):
    tree = {}
    for name, array in flat.items():
        *path, last = name.split("/")
        inner = tree
        for part in path:
            inner = inner.setdefault(part, {})
        inner[last] = convert(array)
    return tree


def flax_tree():
    """A small tree of an LRU, flattened."""
    random = np.random.default_rng(0)
    shapes = {
        "encoder/encoder/kernel": (1, 2),
        "encoder/encoder/bias": (2,),
        "decoder/kernel": (2, 10),
        "decoder/bias": (10,),
    }
    layer = "encoder/layers_0"
    shapes |= {f"{layer}/seq/{name}": (3,) for name in ("nu_log", "theta_log", "gamma_log")} | {
        f"{layer}/seq/D": (2,)
    }
    shapes |= {
        f"{layer}/seq/{name}": shape
        for name, shape in (("B_re", (3, 2)), ("B_im", (3, 2)), ("C_re", (2, 3)))
    }
    shapes |= {f"{layer}/seq/C_im": (2, 3), f"{layer}/norm/scale": (2,), f"{layer}/norm/bias": (2,)}
    return {
        f"params/{name}": random.normal(size=shape).astype(np.float32)
        for name, shape in shapes.items()
    }


SPELT = {
    "keys": lambda name: "".join(f"['{part}']" for part in name.split("/")),
    "attribute": lambda name: ".params" + "".join(f"['{part}']" for part in name.split("/")[1:]),
    "tuple": lambda name: str(tuple(name.split("/"))),
}


@pytest.mark.parametrize("way", ["torch", "numpy", *SPELT])
def test_a_tree_of_jax_is_read_however_it_was_saved(tmp_path, way):
    tree = flax_tree()
    if way in SPELT:
        np.savez(tmp_path / "tree.npz", **{SPELT[way](name): array for name, array in tree.items()})
    else:
        content = nested(tree, torch.from_numpy if way == "torch" else np.asarray)
        torch.save(content | {"opt_state": {"mu": content["params"]}}, tmp_path / "tree.npz")
    model = importers.load(tmp_path / "tree.npz", None, SPEC).model
    assert torch.equal(model.decoder.weight, torch.from_numpy(tree["params/decoder/kernel"].T))


class Twice(nn.Module):
    """A module that is its own part, twice."""

    def __init__(self):
        super().__init__()
        self._modules |= {"a": self, "b": self}


@pytest.mark.parametrize(
    ("content", "held"),
    [
        (torch.ones(3), "one tensor without a name"),
        ([torch.ones(3), torch.ones(3)], r"a list of 2 without names \(Tensor\)"),
        (OPTIMIZER, "a dict of state, param_groups"),
        ({"config": {"lr": 1e-3}}, "a dict of config"),
        (7, "a int"),
        (Twice(), "a dict of none"),
    ],
)
def test_what_a_file_holds_in_place_of_a_state_dict_is_named(tmp_path, content, held):
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(
        SsmHdlError, match=rf"holds no state dict of tensors, but {held}; save model.state_dict\(\)"
    ):
        importers.load(tmp_path / "a.pt", None, SPEC)


def test_an_older_file_with_more_than_tensors_names_it(tmp_path):
    content = {"model": public()[0], "args": argparse.Namespace(lr=1e-3)}
    torch.save(content, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    with pytest.raises(
        SsmHdlError, match=r"it holds argparse.Namespace, .*; save model.state_dict\(\) alone"
    ):
        importers.load(tmp_path / "old.pt", None, SPEC)


def test_what_torch_cannot_read_without_running_it_is_named(tmp_path):
    torch.save({"model": public()[0], "schedule": functools.partial(max, 1)}, tmp_path / "a.pt")
    torch.save(public()[0], tmp_path / "b.pt", pickle_protocol=4)
    for name, fault in (
        ("a.pt", "it holds builtins.max, functools.partial, which is more"),
        ("b.pt", "it is of another pickle_protocol"),
    ):
        with pytest.raises(
            SsmHdlError, match=rf"cannot read .*/{name} as a state dict by torch.save: {fault}"
        ):
            importers.load(tmp_path / name, None, SPEC)


def test_torch_s_own_warnings_are_not_the_user_s(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        state = public()[0] | {
            "decoder.weight": torch.quantize_per_tensor(torch.ones(10, 4), 0.1, 0, torch.qint8)
        }
        torch.save(state, tmp_path / "a.pt")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(
            SsmHdlError, match=r"decoder.weight is quantized; save dense tensors of floats"
        ):
            importers.load(tmp_path / "a.pt", None, SPEC)


@pytest.mark.parametrize("ending", ["safetensors", "bin"])
@pytest.mark.parametrize("index", [True, False])
def test_a_checkpoint_of_several_files_is_read_by_any_of_them(tmp_path, ending, index):
    state = public()[0]
    names = {
        name: f"model-0000{number % 2 + 1}-of-00002.{ending}" for number, name in enumerate(state)
    }
    for file in set(names.values()):
        (save_file if ending == "safetensors" else torch.save)(
            {n: state[n] for n in state if names[n] == file}, tmp_path / file
        )
    first, second = sorted(set(names.values()))
    whole = tmp_path / f"model.{ending}.index.json"
    if index:
        whole.write_text(json.dumps({"weight_map": names}))
    for path in (tmp_path / first, tmp_path / second, *[whole] * index):
        assert torch.equal(
            importers.load(path, None, SPEC).model.decoder.bias, state["decoder.bias"]
        )
    (tmp_path / second).unlink()
    lack = f"{second}, which does not exist; put all of its files into one folder"
    with pytest.raises(SsmHdlError, match=f"it is file 1 of 2 of a checkpoint, with {lack}"):
        importers.load(tmp_path / first, None, SPEC)
    if index:
        with pytest.raises(SsmHdlError, match=f"it names {lack}"):
            importers.load(whole, None, SPEC)
