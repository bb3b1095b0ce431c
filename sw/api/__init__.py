"""The Python API, ``import ssm_hdl``: a trained model becomes a `Model` of integers,
and that a `Design` of hardware.

::

    checkpoint -- convert --> Model -- plan --> Design -- write --> Verilog
                               |  predict        |  simulate
                               |  trace          |  build -----> bitstream
"""

from ssm_hdl.sw.api.conversion import convert
from ssm_hdl.sw.api.design import Design
from ssm_hdl.sw.api.model import Model, Trace, load
from ssm_hdl.sw.api.score import Score

__all__ = ["Design", "Model", "Score", "Trace", "convert", "load"]
