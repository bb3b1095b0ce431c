"""Recipes: what they hold, and what they refuse."""

import pytest
from pydantic import ValidationError

from ssm_hdl import SsmHdlError
from ssm_hdl.sw.quantize import PRESETS, Recipe


def recipe(tmp_path, text):
    path = tmp_path / "own.yaml"
    path.write_text(text)
    return Recipe.load(path)


def test_w8a8_is_what_is_left_out():
    assert Recipe.load("w8a8") == Recipe(
        name="w8a8", delta=False, dither=False, per_channel=False, state_margin=1.25
    )
    assert all(Recipe.load(name).name == name for name in PRESETS)


def test_a_file_overrides_what_it_names(tmp_path):
    own = recipe(tmp_path, "weights: {default: 6, readout: 9}\nactivations: 7\nstate: 12\n")
    assert own.name == "own"
    assert [own.weights[name] for name in ("encoder", "readout", "mixing")] == [6, 9, 6]
    assert [own.activations[name] for name in ("encoder", "sigmoid")] == [7, 7]
    assert (own.state, own.transition, own.samples) == (12, 16, 512)


def test_a_recipe_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        Recipe.load("w8a8").state = 8
    with pytest.raises(ValidationError, match="frozen"):
        Recipe.load("w8a8").weights.mixing = 8


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "weights: {default: 8, mixng: 4}",
            r"weights.mixng: there is no such field, tensor or edge \(it is 4\)",
        ),
        ("activations: {default: 8, gat: 4}", "activations.gat: there is no such"),
        ("weights: {mixing: 4}", "weights.default: is missing"),
        ("bits: 8", r"bits: there is no such field, tensor or edge \(it is 8\)"),
        ("weights: 1", r"weights: must be at least 2 \(it is 1\)"),
        ("state: 17", r"state: must be at most 16 \(it is 17\)"),
        ("state: 8.0", "state: must be an integer"),
        ("state: true", "state: must be an integer"),
        ("weights: many", "weights: must be an integer.*'many'"),
        ("clip: best", "clip: .*'mse', 'minmax' or 'percentile'"),
        ("percentile: .nan\nclip: percentile", "percentile"),
        ("state_margin: 0.05", r": state_margin: must be at least 0.1 or 'fit' \(it is '0.05'\)$"),
        ("state_margin: wide", r": state_margin: must be a number or 'fit' \(it is 'wide'\)$"),
        ("state_margin: true", ": state_margin: must be a number or 'fit'"),
        ("clipped: encoder", "clipped: must be a list"),
        ("name: ''", "name: must have at least 1 character"),
        ("delta: 1", "delta: must be true or false"),
        ("samples: 0", "samples: must be at least 1"),
        ("- weights", "holds no fields"),
        ("", "holds no fields"),
        ("weights: [", "is not YAML"),
    ],
)
def test_bad_recipes_are_refused(tmp_path, text, message):
    with pytest.raises(SsmHdlError, match=message) as error:
        recipe(tmp_path, text)
    assert "own" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_recipe_that_is_not_there(tmp_path):
    with pytest.raises(
        SsmHdlError, match="no recipe is called 'w9', and there is no such file; there are w8a8"
    ):
        Recipe.load("w9")
    with pytest.raises(SsmHdlError, match="cannot be read"):
        Recipe.load(tmp_path)
