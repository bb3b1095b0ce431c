"""Abreu et al., "Q-S5: Towards Quantized State Space Models", arXiv 2406.09477:
its table of sequential MNIST, fully quantised.

The paper's float model has 99.54 % (H = 96, P = 64, four layers, 150 epochs). The table is PTQ; of
QAT the paper says that less than a point is lost. It does not quantise the stored states;
ours are quantised.
"""

from ssm_hdl.sw.qat.finetune_config import FinetuneConfig
from ssm_hdl.sw.reproduce.measure import Published, Row, Table

_W8A8 = Published("W8A8", untrained=96.27)
_W4A8 = Published("W4A8, only A 8", untrained=37.98)
_A6 = Published("A of less than 8 bits: not advised")
_PAPER = "Q-S5: Towards Quantized State Space Models, arXiv 2406.09477"

TABLE = Table(
    _PAPER,
    "mnist",
    (
        Row("s5-mnist", "w8a8x8", published=_W8A8),
        Row("s5-mnist", "w8a8x8", FinetuneConfig(epochs=1), _W8A8),
        Row("s5-mnist", "w4a8", published=_W4A8),
        Row("s5-mnist", "w4a8", FinetuneConfig(epochs=1), _W4A8),
        Row("s5-mnist", "a6", published=_A6),
        Row("s5-mnist", "a6", FinetuneConfig(epochs=1), _A6),
        Row("s5-mnist-16h", "w8a8x8", published=_W8A8),
        Row("s5-mnist-16h", "w4a8", published=_W4A8),
    ),
    sequences=50,
    layers=True,
)
"""The paper's models are larger and were trained for longer,
so compare the distances from the float models."""

_LISTOPS = Published("W8A8", untrained=26.65)

LISTOPS = Table(
    _PAPER,
    "listops",
    (
        Row("s5-listops", "w8a8x8", published=_LISTOPS),
        Row("s5-listops", "w8a8x8", FinetuneConfig(epochs=2), _LISTOPS),
    ),
    sequences=50,
    layers=True,
)
"""The paper's float model has 57.90 %, bidirectional, on expressions of 2,000 tokens;
ours streams expressions of 33 to 127."""
