"""Deep models of every kind of data, through the commands from training to the
search for widths."""

import json

import numpy as np
import pytest

KINDS = {
    "mean": ("small", ["pooling=mean"], "accuracy"),
    "last": ("s5-digits", ["pooling=last"], "accuracy"),
    "largest": ("small", ["pooling=max", "norm=batch"], "accuracy"),
    "steps": ("s5-digits", ["pooling=none"], "accuracy"),
    "numbers": ("small", ["order=postnorm"], "r2"),
    "numbers of steps": ("small", ["pooling=none", "norm=none"], "r2"),
    "tokens": ("small", ["pooling=none", "gate=none"], "accuracy"),
}
"""The preset, the options, and the score of each kind."""


def samples(folder, kind):
    """A file of 40 sequences of 8 steps, or a text, and the options that cut it."""
    if kind == "tokens":
        path = folder / "mine.txt"
        path.write_text("to be or not to be, " * 40)
        return "--data", path, "--window", 8
    random, shape = np.random.default_rng(0), (40, 8)[: 2 if "steps" in kind else 1]
    y = (
        random.normal(size=shape)
        if "numbers" in kind
        else random.integers(-1 if kind == "steps" else 0, 3, shape)
    )
    np.savez(folder / "mine.npz", x=random.normal(size=(40, 8, 2)), y=y, split=np.arange(40) % 3)
    return "--data", folder / "mine.npz"


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_data_goes_all_the_way(cli, tmp_path, kind):
    def answer(*words):
        done = cli(*words, "--json")
        assert done.status == 0, done.err
        return json.loads(done.out)

    preset, options, score = KINDS[kind]
    other = {"accuracy": "r2", "r2": "accuracy"}[score]
    cut = samples(tmp_path, kind)
    data, model, folder = cut[:2], tmp_path / "model.safetensors", tmp_path / "model"
    sizes = [
        word
        for option in ("width=4", "modes=2", "layers=2", *options)
        for word in ("--set", option)
    ]
    trained = answer("train", preset, *sizes, "--epochs", 1, *cut, "--out", model)
    assert (
        trained["layers"] == 2
        and {score, f"val_{score}"} <= trained.keys()
        and other not in trained
    )
    (tmp_path / "few.yaml").write_text("samples: 8\n")
    answer("quantize", model, "--recipe", tmp_path / "few.yaml", *data, "--out", folder)
    before = answer("eval", folder, *data, "--split", "val")
    tuned = answer("finetune", folder, *data, "--epochs", 1, "--out", tmp_path / "tuned")
    after = answer("eval", tmp_path / "tuned", *data, "--split", "val")
    # The model that is trained is the integer program: not one bit differs from the golden model.
    chosen = "bits_per_character" if kind == "tokens" else score
    assert tuned[f"val_{chosen}_before"] == before[chosen]
    assert tuned[f"val_{chosen}"] == after[chosen]
    study = model, *data, "--samples", 8, "--out", tmp_path / "study"
    report = answer("sensitivity", *study, "--parts", "state,weights.readout", "--widths", "3,8")
    found = answer("search", *study, "--budget", 1000, "--trials", 2)
    floats = answer("eval", model, *data, "--split", "val")[score]
    assert report[f"float_{score}"] == found[f"float_{score}"] == floats
    measured = [report["base"], *report["cells"], *found["trials"], *found["finalists"]]
    assert len(measured) == 1 + 4 + 2 + 2 and all(
        score in one and other not in one for one in measured
    )
    fine = {(cell["part"], cell["width"]): cell["sqnr_db"] for cell in report["cells"]}
    assert (
        fine["state", 3]
        < fine["state", 8]
        == fine["weights.readout", 8]
        != fine["weights.readout", 3]
    )
    assert found["objective"] == score and found["budget"] >= found["finalists"][0]["paper_bytes"]
    shown = cli("sensitivity", *study, "--parts", "state", "--widths", "3").out
    assert ("points of accuracy lost" in shown) == (score == "accuracy") != ("R2 lost" in shown)
    if kind == "tokens":
        same = answer("simulate", folder, "--samples", "test", *data, "--count", 1)
        assert (same["differences"], same["elements"]) == (0, 8 * len(set("to be or not to be, ")))
