"""Zhao et al., "Quantizing Small-Scale State-Space Models for Edge AI", arXiv 2506.12480:
its table of sequential MNIST."""

from ssm_hdl.sw import memory
from ssm_hdl.sw.qat.finetune_config import FinetuneConfig
from ssm_hdl.sw.reproduce.measure import Published, Row, Table

_WIDTHS = {"w8a8x8": (8, 8, 8, 8), "w4a6x8": (4, 6, 8, 8), "w4a6x6": (4, 6, 6, 6)}
"""Bits of weights, activations, Abar and state, by recipe."""

_LABELS = {"w8a8x8": "W8A8, A8 x8", "w4a6x8": "W4A6, A8 x8", "w4a6x6": "W4A6, A6 x6"}
_TRAINED = {
    "s4d-16h": {"w8a8x8": 92.64, "w4a6x8": 88.39, "w4a6x6": 57.04},
    "s4d-64h": {"w8a8x8": 97.66, "w4a6x8": 95.99, "w4a6x6": 84.21},
}
_UNTRAINED = {"s4d-16h": {"w4a6x8": 29.36}, "s4d-64h": {"w4a6x8": 39.46}}
_WIDTH = {"s4d-16h": 16, "s4d-64h": 64}


def _row(model: str, recipe: str, epochs: int = 0) -> Row:
    training = FinetuneConfig(epochs=epochs) if epochs else None
    if recipe not in _WIDTHS:
        return Row(model, recipe, training)
    counted = memory.paper_nominal(_WIDTH[model], 32, 10, *_WIDTHS[recipe]).bytes
    published = Published(
        _LABELS[recipe], _TRAINED[model][recipe], _UNTRAINED[model].get(recipe), counted
    )
    return Row(model, recipe, training, published)


TABLE = Table(
    "Quantizing Small-Scale State-Space Models for Edge AI, arXiv 2506.12480",
    "mnist",
    (
        _row("s4d-16h", "w8a8x8"),
        _row("s4d-16h", "w4a6x8"),
        _row("s4d-16h", "w4a6x8", epochs=5),
        _row("s4d-16h", "w4a6x6"),
        _row("s4d-16h", "w4a6x6", epochs=10),
        _row("s4d-64h", "w8a8x8"),
        _row("s4d-64h", "w4a6x8"),
        _row("s4d-64h", "w4a6x6"),
        _row("s4d-64h", "a4x8"),
        _row("s4d-64h", "a4x8", epochs=2),
        _row("s4d-64h", "tenth"),
        _row("s4d-64h", "tenth", epochs=3),
    ),
)
"""A model has no QAT where its PTQ already beats the paper's QAT."""
