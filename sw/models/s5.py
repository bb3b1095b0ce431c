"""S5, a `Stack` of `S5SSM`: "Simplified State Space Layers for Sequence Modeling" (Smith et al.,
arXiv 2208.04933)."""

from typing import ClassVar

from pydantic import Field

from ssm_hdl.errors import SsmHdlError
from ssm_hdl.sw.models.s5_ssm import S5SSM, Discretization
from ssm_hdl.sw.models.stack import StackConfig


class S5Config(StackConfig):
    """The options of an S5.

    Attributes:
        discretization: ``zoh``, ``bilinear``, or ``none``: Bbar is B, as in an LRU.
        clip: limit the real parts of eigenvalues to -1e-4, so that every mode decays.
        blocks: J of the initial HiPPO-N.
    """

    family: ClassVar[str] = "s5"
    title: ClassVar[str] = "an S5"
    discretization: Discretization = "zoh"
    clip: bool = True
    blocks: int = Field(default=1, exclude=True)

    def ssm(self) -> S5SSM:
        """A new SSM for a block.

        Raises:
            SsmHdlError: modes that do not divide into the blocks of HiPPO-N.
        """
        if self.blocks < 1 or self.modes % self.blocks:
            raise SsmHdlError(
                f"{self.modes} modes cannot be divided into {self.blocks} blocks; choose a divisor"
            )
        return S5SSM(
            self.width, self.modes, self.blocks, self.dt_range, self.discretization, self.clip
        )
