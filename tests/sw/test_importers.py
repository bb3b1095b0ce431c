"""Files of public checkpoints: what is taken by content and unwrapped,
and what is refused in one line."""

import json
import pickle
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch
from public import public
from safetensors.torch import save_file

from ssm_hdl import SsmHdlError
from ssm_hdl.errors import UsageError
from ssm_hdl.sw import checkpoint, data, importers

SPEC = data.SPECS["digits"]


def prefixed(state, prefix):
    return {prefix + name: tensor for name, tensor in state.items()}


def normed(state, name, gain):
    """With a weight as ``weight_norm`` keeps it: gains by one name and directions by another."""
    rest, weight = dict(state), state[name]
    rest[gain] = torch.linalg.vector_norm(weight, dim=(1, 2)[: weight.ndim - 1], keepdim=True)
    rest[gain.replace("_g", "_v").replace("original0", "original1")] = 3 * rest.pop(name)
    return rest


class Hyper(dict):
    """Hyperparameters by a class of somebody's own, as Lightning keeps them."""


FILES = {
    "plain": lambda state: state,
    "nested": lambda state: {"model": state, "acc": 97.0, "epoch": 3},
    "model_state_dict": lambda state: {
        "model_state_dict": state,
        "optimizer_state_dict": {"state": {0: {"step": torch.ones(2)}}},
    },
    "net_in_ema": lambda state: {"ema": {"net": state}, "step": 7},
    "lightning": lambda state: {
        "state_dict": prefixed(state, "model."),
        "hyper_parameters": Hyper(lr=1e-3),
        "epoch": 2,
    },
    "parallel_compiled": lambda state: prefixed(state, "_orig_mod.module."),
    "network": lambda state: {"state_dict": prefixed(state, "network.classifier.")},
    "sharded_layers": lambda state: {
        "_forward_module._fsdp_wrapped_module."
        + name.replace("layers.0.", "layers.0._orig_mod._orig_mod."): tensor
        for name, tensor in state.items()
    },
    "weight_norm": lambda state: normed(
        state, "encoder.weight", "encoder.parametrizations.weight.original0"
    ),
    "old_weight_norm": lambda state: normed(
        state, "s4_layers.0.output_linear.0.weight", "s4_layers.0.output_linear.0.weight_g"
    ),
    "compiled_layers": lambda state: {
        name.replace("layers.0.", "layers.0._orig_mod."): t for name, t in state.items()
    },
    "numpy_scalar": lambda state: {"model": state, "accuracy": np.float64(0.97)},
    "averaged": lambda state: prefixed(state, "module.") | {"n_averaged": torch.tensor(4)},
    "half": lambda state: {
        name: tensor.bfloat16().float().bfloat16() for name, tensor in state.items()
    },
    "double": lambda state: {name: tensor.double() for name, tensor in state.items()},
}


@pytest.mark.parametrize("kind", [*FILES, "safetensors", "npz", "legacy"])
def test_a_public_checkpoint_is_taken_by_its_content_with_its_logits(tmp_path, kind):
    state, forward = public()
    path = tmp_path / "public.pt"
    if kind == "safetensors":
        save_file(state, path)
    elif kind == "npz":
        with path.open("wb") as file:
            np.savez(file, **{name: tensor.numpy() for name, tensor in state.items()})
    else:
        torch.save(
            FILES.get(kind, dict)(state), path, _use_new_zipfile_serialization=kind != "legacy"
        )
    imported = importers.load(path, None, SPEC)
    assert (imported.model.width, imported.model.modes, imported.metadata["name"]) == (
        4,
        3,
        "public",
    )
    x, tolerance = torch.randn(2, 20, 1), 0.2 if kind == "half" else 1e-5
    with torch.no_grad():
        torch.testing.assert_close(
            imported.model(x).double(), forward(x), atol=tolerance, rtol=tolerance
        )
    assert checkpoint.load(imported.save(tmp_path / "ours")).inputs == SPEC


def test_renamed_arrays_and_several_state_dicts_are_chosen_by_the_user(tmp_path):
    state, _ = public()
    path = tmp_path / "renamed.pt"
    head = {
        name.replace("decoder", "head.fc").replace("s4_layers", "body.blocks"): tensor
        for name, tensor in state.items()
    }
    torch.save({"model": head, "ema": head}, path)
    with pytest.raises(
        UsageError, match="holds several state dicts; give --key with one of model, ema"
    ):
        importers.load(path, None, SPEC)
    with pytest.raises(
        SsmHdlError,
        match=r"lacks decoder.weight of shape \(10, 4\).* give --map head.fc=decoder; .* head.fc",
    ):
        importers.load(path, None, SPEC, key="ema")
    imported = importers.load(path, None, SPEC, key="ema", renamed={"head.fc": "decoder"})
    assert torch.equal(imported.model.decoder.weight, state["decoder.weight"])
    with pytest.raises(UsageError, match=r"--map nothing: .* has no such name; it has body.blocks"):
        importers.load(path, None, SPEC, key="ema", renamed={"nothing": "decoder"})


def test_an_array_that_no_output_needs_and_the_outer_of_two_names_are_the_user_s_choice(tmp_path):
    state, path = public(norm=True)[0], tmp_path / "more.pt"
    torch.save(state | {"criterion.weight": torch.ones(10)}, path)
    with pytest.raises(
        SsmHdlError,
        match=r"has criterion.weight, .* if no output needs it, --map criterion.weight=",
    ):
        importers.load(path, None, SPEC, norm_order="prenorm")
    assert (
        importers.load(
            path, None, SPEC, renamed={"criterion": ""}, norm_order="prenorm"
        ).model.config.layers
        == 1
    )
    torch.save(prefixed(state, "model.") | prefixed(state, "ema_model.module."), path)
    with pytest.raises(
        SsmHdlError,
        match=r"has both model.encoder.weight and ema_model.* leave one out, "
        r"with --map model= or --map ema_model.module=",
    ):
        importers.load(path, None, SPEC, norm_order="prenorm")
    importers.load(path, None, SPEC, renamed={"ema_model.module": ""}, norm_order="prenorm")
    inner = {name.replace("norms.0", "s4_layers.0.last"): tensor for name, tensor in state.items()}
    torch.save(inner | {"last.weight": torch.ones(4), "last.bias": torch.ones(4)}, path)
    names = {"last": "norm_f", "s4_layers.0.last": "s4_layers.0.norm"}
    assert importers.load(
        path, None, SPEC, renamed=names, norm_order="prenorm"
    ).model.config.final_norm


@pytest.mark.parametrize(
    "gain,direction",
    [
        (torch.ones(7), torch.ones(3, 5)),
        (torch.ones(3), torch.ones(3, 5)),
        (torch.ones(3, 1), torch.ones(3, 5, dtype=torch.complex64)),
        (torch.ones(3, 1, dtype=torch.int8), torch.ones(3, 5)),
    ],
)
def test_arrays_that_only_have_names_of_weight_norm_stay(tmp_path, gain, direction):
    """Such as a gate and its value."""
    torch.save({"a.foo_g": gain, "a.foo_v": direction}, path := tmp_path / "public.pt")
    with pytest.raises(SsmHdlError, match=r"known layouts .*; it has foo_g, foo_v;"):
        importers.load(path, None, SPEC)


def test_an_index_names_several_files(tmp_path):
    state, index = public()[0], tmp_path / "model.safetensors.index.json"
    files = {name: f"part-{number % 2}.safetensors" for number, name in enumerate(state)}
    for file in set(files.values()):
        save_file({name: state[name] for name in files if files[name] == file}, tmp_path / file)
    index.write_text(json.dumps({"weight_map": files}))
    assert torch.equal(
        importers.load(index, None, SPEC).model.decoder.weight, state["decoder.weight"]
    )
    for content, message in (
        ("{}", "JSON without a weight_map"),
        ('{"weight_map": {"a": "../a"}}', "in another folder"),
        ('{"weight_map": {"a": "nothing"}}', "it names nothing, which does not exist"),
        ('{"weight_map": {"a": 1}}', "it names 1, which does not exist"),
        (json.dumps({"weight_map": {"a": "a" * 999}}), "it names other files: .*too long"),
    ):
        index.write_text(content)
        with pytest.raises(SsmHdlError, match=message):
            importers.load(index, None, SPEC)
    with pytest.raises(UsageError, match="is a folder; name the file in it"):
        importers.load(tmp_path, None, SPEC)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_a_nested_tensor_is_refused(tmp_path):
    torch.save(
        public()[0] | {"decoder.bias": torch.nested.nested_tensor([torch.ones(10)])},
        tmp_path / "public.pt",
    )
    with pytest.raises(SsmHdlError, match=r"decoder.bias is a nested tensor"):
        importers.load(tmp_path / "public.pt", None, SPEC)


def test_a_key_that_is_not_there_is_refused(tmp_path):
    state, _ = public()
    save_file(state, tmp_path / "a.safetensors")
    torch.save({"model": state}, tmp_path / "a.pt")
    for name, known in (
        ("a.safetensors", "under no key, leave --key out"),
        ("a.pt", "there are model"),
    ):
        with pytest.raises(UsageError, match=f"--key nosuch: .* has no such key; .*{known}"):
            importers.load(tmp_path / name, None, SPEC, key="nosuch")


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (
            {"module.decoder.bias": torch.ones(10)},
            (
                "has both decoder.bias and module.decoder.bias, which name the same array; "
                "leave one out, with --map module=$"
            ),
        ),
        ({"decoder.bias": torch.ones(10).to_sparse()}, "decoder.bias is sparse_coo and not dense"),
        (
            {"decoder.bias": torch.ones(10, device="meta")},
            "decoder.bias is on the meta device, without its numbers",
        ),
        (
            {"decoder.bias": torch.ones(1).expand(10)},
            r"decoder.bias of shape \(10,\) has only 4 bytes",
        ),
        (
            {"s4_layers.0.kernel.log_dt": torch.full((4,), 200.0)},
            "12 of 12 values of A dt are not finite after discretization",
        ),
        ({"norms.0.weight": torch.ones(4)}, "has norms.0.weight without a bias, as an RMSNorm has"),
        ({"s4_layers.1.D": torch.ones(4)}, "has s4_layers.1.D, which"),
        (
            {"s4_layers.01.kernel.C": torch.ones(4, 3, 2)},
            r"has a layer numbered 01 \(s4_layers.01.kernel.C\)",
        ),
        (
            {"s4_layers.2.kernel.C": torch.ones(4, 3, 2)},
            r"layers s4_layers.\[0, 2\]; one list of 0, 1, 2 and so on",
        ),
        (
            {"s4_layers.0.kernel.C": None},
            "none of the known layouts .* it has decoder.bias.* give --map",
        ),
        (
            {"s4_layers.0.kernel.C": torch.ones(1)},
            r"kernel.C has shape \(1,\), it should have shape \(H, N, 2\)",
        ),
        (
            {"s4_layers.0.kernel.C": torch.ones(4, 3, 1)},
            r"kernel.C has shape \(4, 3, 1\), it should have \(4, 3, 2\)",
        ),
        ({"s4_layers.0.kernel.B": torch.ones(4, 3)}, "has s4_layers.0.kernel.B, which"),
        (
            {"s4_layers.0.kernel.P": torch.ones(4, 3)},
            r"diagonal plus low rank \(s4_layers.0.kernel.P\), .* cannot be streamed",
        ),
        (
            {"encoder.weight": torch.ones(4, 3)},
            r"encoder.weight has shape \(4, 3\), it should have \(4, 1\)",
        ),
        (
            {"decoder.weight": torch.ones(2, 4)},
            r"decoder.weight has shape \(2, 4\), it should have \(10, 4\)",
        ),
        (
            {"decoder.bias": torch.full((10,), float("inf"))},
            "decoder.bias has 10 values that are not finite",
        ),
        (
            {"decoder.bias": torch.full((10,), 1e300, dtype=torch.double)},
            "decoder.bias has 10 values that are not finite in 32 bits",
        ),
        (
            {
                f"norms.0.{name}": torch.full((4,), -1.0)
                for name in ("weight", "bias", "running_mean", "running_var")
            },
            "norms.0.running_var with values below 0, which no variance has",
        ),
    ],
)
def test_a_public_checkpoint_that_does_not_fit_is_refused(tmp_path, extra, message):
    state = {name: tensor for name, tensor in (public()[0] | extra).items() if tensor is not None}
    torch.save(state, tmp_path / "public.pt")
    with pytest.raises(SsmHdlError, match=message):
        importers.load(tmp_path / "public.pt", None, SPEC)


def cycle():
    content = {}
    content["model"] = content
    return content


def deep():
    content = public()[0]
    for _ in range(200):
        content = {"model": content}
    return content


class Evil:
    """A pickle that would run code."""

    def __init__(self, function):
        self.function = function

    def __reduce__(self):
        return self.function, ("run",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (Evil(print), "holds no state dict"),
        (Evil(exec), "holds no state dict"),
        (Evil(__import__("os").system), "as a state dict by torch.save: it holds posix.system"),
        ([1], "holds no state dict"),
        ({"a": 1}, "holds no state dict"),
        (torch.nn.Linear(2, 2).state_dict(), "none of the known layouts .*; it has bias, weight; "),
        (
            {"epoch": 1, "model": torch.nn.Linear(2, 2).state_dict()},
            "none of the known layouts .*; it has bias, weight; ",
        ),
        ({"b" * 3000: torch.ones(2).to_sparse()}, r"^.{0,80}/evil.pt: b{50,60}\.\.\. is sparse"),
        (cycle(), "holds no state dict"),
        (deep(), "holds no state dict"),
    ],
    ids=["print", "exec", "system", "list", "number", "small", "wrapped", "long", "cycle", "deep"],
)
def test_a_torch_file_that_is_no_state_dict_is_refused_and_not_run(
    tmp_path, capfd, content, message
):
    torch.save(content, tmp_path / "evil.pt")
    with pytest.raises(SsmHdlError, match=message) as caught:
        importers.load(tmp_path / "evil.pt", None, SPEC)
    assert "run" not in capfd.readouterr().out
    assert "weights_only" not in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"", b"1234", b"PK\x03\x04 cut off", b"\x08\0\0\0\0\0\0\0{", b"\x80\x02}q\0."]
)
@pytest.mark.parametrize("suffix", [".safetensors", ".npz", ".pt"])
def test_a_damaged_file_is_refused(tmp_path, content, suffix):
    path = tmp_path / f"damaged{suffix}"
    path.write_bytes(content)
    with pytest.raises(SsmHdlError, match=r"cannot read .*damaged"):
        importers.load(path, "s4d", SPEC)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 816623\n",
            "pointer of Git LFS; fetch the file",
        ),
        (b"\x89HDF\r\n\x1a\n", "it is HDF5; save the arrays with numpy.savez"),
        (pickle.dumps({"params": np.ones(2)}), "it is a pickle, which could run code"),
        (
            b"\x82\xa6params\x80\xa4step\x01",
            "it is msgpack, as of flax; save the flat tree with numpy.savez",
        ),
        (b"<!DOCTYPE html>", "it is a web page"),
        (b"\n<!doctype html>", "it is a web page"),
    ],
)
def test_a_file_that_stands_for_another_is_named(tmp_path, content, message):
    (tmp_path / "model.pt").write_bytes(content)
    with pytest.raises(SsmHdlError, match=message):
        importers.load(tmp_path / "model.pt", None, SPEC)


def test_an_array_whose_header_promises_too_much_is_refused(tmp_path):
    header = str({"descr": "<f4", "fortran_order": False, "shape": (1 << 40,)}).encode() + b"\n"
    with zipfile.ZipFile(tmp_path / "lying.npz", "w") as file:
        file.writestr(
            "decoder.bias.npy",
            b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(40),
        )
    with pytest.raises(
        SsmHdlError, match=r"cannot read .*lying.npz as arrays of numbers"
    ) as caught:
        importers.load(tmp_path / "lying.npz", None, SPEC)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_an_unknown_layout_and_option_are_refused(tmp_path):
    with pytest.raises(SsmHdlError, match=r"cannot read .*nothing\.pt: No such file"):
        importers.load(tmp_path / "nothing.pt", "s4d", SPEC)
    with pytest.raises(
        UsageError,
        match="layout of checkpoints is called 'lstm'; there are s4d, s5-jax, s5-pytorch",
    ):
        importers.load(tmp_path / "nothing.pt", "lstm", SPEC)
    torch.save(public()[0], tmp_path / "public.pt")
    with pytest.raises(
        UsageError, match=r"--gate is for checkpoints of s5-jax; .* is one of s4d, leave it out"
    ):
        importers.load(tmp_path / "public.pt", None, SPEC, gate="half_glu2")


def test_pooling_is_that_of_the_labels(tmp_path):
    torch.save(public()[0], tmp_path / "public.pt")
    steps = replace(SPEC, per_step=True)
    assert importers.load(tmp_path / "public.pt", None, steps).model.config.pooling == "none"
    for spec, pooling, message in (
        (SPEC, "foo", "foo is no choice; .* give --pooling mean or last or max or none"),
        (
            SPEC,
            "none",
            "has a label for each sequence, and pooling none does not; choose mean, last or max",
        ),
        (steps, "last", "has a label for each step, and pooling last does not; choose none"),
    ):
        with pytest.raises(UsageError, match=message):
            importers.load(tmp_path / "public.pt", None, spec, pooling=pooling)


def test_pickled_arrays_of_numpy_are_refused(tmp_path, capsys):
    np.savez(tmp_path / "evil.npz", evil=np.array([Evil(print)], dtype=object))
    with pytest.raises(SsmHdlError, match=r"cannot read .* as arrays of numbers"):
        importers.load(tmp_path / "evil.npz", "s5-jax", SPEC)
    assert "run" not in capsys.readouterr().out


def test_one_layer_for_samples_that_the_papers_model_does_not_take_is_a_deep_one(tmp_path):
    state, forward = public(channels=3)
    torch.save(state, tmp_path / "rgb.pt")
    imported = importers.load(
        tmp_path / "rgb.pt", None, replace(SPEC, mean=(0.0,) * 3, std=(1.0,) * 3)
    )
    assert (imported.model.config.family, imported.model.config.norm) == ("s4d_deep", "none")
    x = torch.randn(2, 20, 3)
    with torch.no_grad():
        torch.testing.assert_close(imported.model(x).double(), forward(x), atol=1e-5, rtol=1e-5)
