"""Abreu et al., "Q-S5: Towards Quantized State Space Models", arXiv 2406.09477: its table of sequential MNIST, fully quantised.

The paper quantises after the training, and says of quantisation-aware training that less than a point is lost; its states are
not stored in few bits, ours are.
"""

from ssm_hdl.sw.qat.finetune import FinetuneConfig
from ssm_hdl.sw.reproduce.measure import Published, Row, Table

FLOAT = 99.54
"""Of the paper's model, H = 96, P = 64, four layers, 150 epochs."""

_W8A8 = Published("W8A8", FLOAT - 1, 96.27)
_W4A8 = Published("W4A8, only A 8", FLOAT - 1, 37.98)

TABLE = Table(
    "Q-S5: Towards Quantized State Space Models, arXiv 2406.09477",
    "mnist",
    (
        Row("s5-mnist", "w8a8x8", published=_W8A8),
        Row("s5-mnist", "w8a8x8", FinetuneConfig(epochs=1), _W8A8),
        Row("s5-mnist", "w4a8", published=_W4A8),
        Row("s5-mnist", "w4a8", FinetuneConfig(epochs=1), _W4A8),
        Row("s5-mnist", "a6", published=Published("8 bits at least, for A")),
    ),
    sequences=50,
)
"""The paper's models are larger and were trained for longer: what compares is the distance from the float model."""
