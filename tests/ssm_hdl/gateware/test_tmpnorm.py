# amaranth: UnusedElaboratable=no
import numpy as np, pytest
from ssm_hdl import SQ,UQ
from ssm_hdl.operations import Norm as Op, Edge, Tensors
from ssm_hdl.gateware.norm import Norm
import importlib.util,sys
def load():
    spec=importlib.util.spec_from_file_location("ts","/work/wt/norm/tests/ssm_hdl/gateware/test_stages.py"); mod=importlib.util.module_from_spec(spec); spec.loader.exec_module(mod); return mod
check=load().check
@pytest.mark.parametrize("H,xf,yf,center,E",[(4,SQ(4,4),SQ(3,5),True,0),(6,SQ(4,4),SQ(3,5),True,50),(32,SQ(4,4),SQ(4,4),True,0),(7,UQ(3,4),SQ(3,5),True,0),(11,SQ(4,8),SQ(3,9),False,5),(3,SQ(1,2),SQ(2,1),True,0)])
@pytest.mark.parametrize("kind",("dsp","lut"))
def test_norm(H,xf,yf,center,E,kind,run_stage,random_packets):
    node=Op(name="y",input="x",format=yf,center=center,epsilon=E).bind((Edge("x",H,xf),),Tensors({}, {}),24)
    check(lambda: Norm(node,kind),node,run_stage,random_packets)
