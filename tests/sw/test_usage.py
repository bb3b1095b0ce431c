"""Every command, used wrongly: exit status 2 and one line. What is wrong in a file is 1."""

import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from public import public

from ssm_hdl.sw import checkpoint, data
from ssm_hdl.sw.presets import PRESETS
from ssm_hdl.sw.train_config import change

ROOT = Path(__file__).parents[2]
TINY = change(replace(PRESETS["small"], epochs=1), ["width=4", "modes=2"])

WRONG_USAGE = """
data cifar                                      | no data set is called 'cifar'
data mine.csv                                   | no data set is called 'mine.csv'
data digits.safetensors                         | digits.safetensors is no .npz file
eval digits.safetensors --data digits.safetensors | is no .npz file; read it in Python
data mine.npz --window 3                        | has sequences already
data mine.npz --data recording.npz              | are two data sets
data mine.npz --picture x.gif                   | cannot draw into x.gif
data recording.npz                              | to be cut by --window
data recording.npz --window 0                   | '--window'
data digits --window 3                          | digits has sequences already
data digits --data .                            | leave the folder out
train                                           | name a preset
train mamba                                     | no model is called 'mamba'
train small                                     | give them with --data
train small --data .                            | give them with --data
train small --data mine.npz --set width=0       | width 0 is empty
train small --data mine.npz --set width=wide    | --set width=wide
train small --data mine.npz --set depth=2       | no option 'depth'
train small --data mine.npz --set width         | is not of the form NAME=VALUE
train small --data mine.npz --set width=2 --set width=3 | --set width=3: width is set already
train small --data mine.npz --set dropout=2     | --set dropout=2
train small --data mine.npz --set dt_range=2,1  | dt cannot be drawn from
train small --data mine.npz --set pooling=none  | choose mean, last or max
train small --data mine.npz --set order=postnorm --set norm=none | choose prenorm
train small --data mine.npz --device foo        | cannot use the device 'foo'
train small --data mine.npz --device meta       | cannot use the device 'meta'
train small --data mine.npz --epochs -1 | invalid value '-1' for '--epochs': it must be at least 1;
train small --data mine.npz --learning-rate 0   | learning_rate 0.0 cannot work
train small --data mine.npz --learning-rate inf | learning_rate inf cannot work
train small --data mine.npz --seed -1           | '--seed'
train small --data mine.npz --seed 9999999999   | '--seed'
train digits --data mine.npz                    | an S4D of one layer takes
train har --data recording.npz --window 9       | no vectors of three axes
import public.pt                                | give --inputs
import digits.safetensors --inputs digits       | is a checkpoint of ssm-hdl already
import digits/weights.safetensors --inputs digits | has the integers of a manifest
import . --inputs digits                        | name the file in it: csv.npz, digits.npz,
import mine.npz                                 | is samples, not a checkpoint
import public.pt --inputs cifar                 | no data set is called 'cifar'
import public.pt --inputs mine.npz              | does not tell its normalisation
import public.pt --inputs digits --from s6      | no layout of checkpoints
import public.pt --inputs digits --window 9     | leave it out
import public.pt --inputs digits --clip-eigs    | --clip-eigs is for checkpoints of s5-jax
import public.pt --inputs digits --gate half_glu1 | --gate is for checkpoints of s5-jax
import public.pt --inputs digits --norm-order prenorm | leave --norm-order out
import public.pt --inputs digits --activation relu | give --activation
import public.pt --inputs digits --map head     | is not OLD=NEW
import public.pt --inputs digits --map a=b      | has no such name
import public.pt --inputs digits --key ema      | no such key
import public.pt --inputs digits --mean 0,1     | has 2 numbers
import public.pt --inputs digits --std 0        | divides nothing
quantize mine.safetensors                       | name that file
quantize mine.safetensors --data .              | name that file
quantize manifest                               | is a manifest, not a checkpoint
quantize mine.npz                               | is samples, not a checkpoint
quantize mine.safetensors --data mine.npz --recipe w1 | no recipe is called 'w1'
finetune mine.safetensors                       | not a manifest
finetune manifest                               | name that file
finetune manifest --data mine.npz --learning-rate nan | learning_rate nan cannot work
finetune manifest --data mine.npz --label-smoothing 2 | '--label-smoothing'
sensitivity manifest                            | is a manifest, not a checkpoint
sensitivity mine.safetensors --widths wide      | no list of widths
sensitivity mine.safetensors --widths 1         | a width of 1 bits
sensitivity mine.safetensors --parts head       | has no part 'head'
sensitivity mine.safetensors --jobs 0           | invalid value '0' for '--jobs'
search manifest --budget 3000                   | is a manifest, not a checkpoint
search mine.safetensors                         | missing option '--budget'
search mine.safetensors --budget small          | no number of bytes
search mine.safetensors --budget -3             | give more than 0
search mine.safetensors --budget 3000 --accounting bits | no accounting is called 'bits'
search mine.safetensors --budget 3000 --objective speed | 'speed' is no objective of mine
eval mine.npz                                   | is samples, not a checkpoint
eval manifest                                   | name that file
eval mine.safetensors                           | name that file
eval digits.safetensors --split mine            | no part 'mine'
eval digits --split mine                        | no samples 'mine'
eval digits --window 3                          | has sequences already
eval digits --values                            | --values says what --out writes
eval digits --samples random --data mine.npz    | --data and --window go with
eval digits digits.safetensors --out x.npy      | name one
eval digits --count 0                           | '--count'
generate mine.safetensors                       | not a manifest
generate digits --device xc7                    | device 'xc7' is not known
generate digits --target ice40                  | --target is gone
generate digits --rate 100                      | no clock of its own
generate digits --rate -1 --device up5k         | a rate of -1 time steps
generate digits --rate 100 --max --device up5k  | two different wishes
generate digits --clock 0                       | a clock of 0 MHz
generate digits --clock 1e9                     | at most the 1,000 of
build digits --board icebreaker --clock 1e9     | at most the 1,000 of
generate digits --dsp 0                         | '--dsp'
generate digits --dsp 9 --device up5k           | 9 DSP blocks are more than the 8
generate digits --share-device 9,8              | LUTS,DSPS,RAMS
generate digits --device up5k --share-device 0,9,0 | leaves 9 DSP blocks, more than the 8
generate digits --device up5k --rate 1e-300     | a rate of 1e-300 time steps
generate digits --fold mixing                   | STAGE=N
generate digits --fold                       | requires an argument; see `ssm-hdl generate --help`
generate digits --json=yes                   | does not take a value; see `ssm-hdl generate --help`
generate digits --fold mixing=5                 | cannot fold onto 5
generate digits --fold mix=2                    | no stage 'mix'
generate digits --fold mixing=2 --fold mixing=4 | keep one
generate digits --roofline x.svg                | name it with --device
generate digits --name reg                      | is a keyword
generate digits --name 2nd                      | is no name of a module
generate digits --wrap pci                      | no wrapper is called 'pci'
generate digits --wrap spi --package x --name ssm_hdl | give the module another --name
generate digits --package x -o y.v              | leave --out out
generate digits --package digits                | is the folder of a manifest
generate digits --package ""                    | --package has an empty value
generate digits --name=                         | --name has an empty value
generate ""                                     | an argument is empty
generate digits --name LUT4                     | is a cell of a device
generate digits -o digits/manifest.yaml         | name another
generate digits -o digits/../digits/weights.safetensors | name another
generate digits --device up5k --roofline x.svg -o x.svg | name another
generate digits --memory-files -o /dev/null     | no file
simulate digits --waves x.txt                   | the ending .vcd
generate digits --roofline x.gif --device up5k  | cannot draw into x.gif
simulate mine.npz                               | is samples, not a manifest
simulate digits --netlist xilinx                | of 'xilinx'; there are ice40, ecp5, gowin
simulate digits --netlist generic               | of 'generic'; there are ice40, ecp5, gowin
simulate digits --netlist ecp5 --cocotb         | choose one
simulate digits --netlist ecp5 --device up5k    | leave --netlist or --device out
simulate manifest --samples test                | name that file
simulate digits --stalls 2                      | it must be at most 0.95
simulate digits --stalls some                   | it must be a number;
simulate digits --count 1.5                     | it must be an integer;
generate-text digits --prompt x                 | is no language model
build digits                                    | missing option '--board'
build digits --board arty                       | board 'arty' is not known
build digits --board icebreaker --out digits    | is the folder of a manifest
program top.bin --board arty                    | board 'arty' is not known
run digits --port x --samples mine              | no samples 'mine'
run digits --port x --data mine.npz             | --data and --window go with
run digits                                      | name the --port
run digits --port x --simulated                 | name the --port
run digits --port x --board icebreaker          | leave it out
run digits --simulated --baud 3                 | '--baud'
run digits --port x --stream - --sensor-baud 3  | '--sensor-baud'
run digits --simulated --board arty             | board 'arty' is not known
run digits --port x --stream - --samples test   | --stream brings the samples
report digits --float digits.safetensors        | name them with --samples
report digits -o digits/manifest.yaml           | name another
report digits --device arty                     | device 'arty' is not known
info mine.npz                                   | is samples
info digits.safetensors --picture x.svg         | no pipeline to draw
info digits --picture x.gif                     | cannot draw into x.gif
reproduce s6                                    | no table is called 's6'
reproduce s4d --only s4d                        | no row is called s4d
bench digits                                    | MANIFEST@BOARD
bench digits@arty                               | board 'arty' is not known
bench digits@icebreaker@fast                    | MANIFEST@BOARD
bench digits@icebreaker --picture x.exe         | one of the endings
calibrate digits.safetensors                    | not a manifest
nonsense                                        | no such command
"""

WRONG_FILES = """
data nothing.npz                                | cannot read nothing.npz
data digits.npz                                 | there is no array x
data csv.npz                                    | a file of another kind
train small --data nothing.npz                  | cannot read nothing.npz
train small --data mine.npz --out .             | cannot write
import nothing.pth --inputs digits              | cannot read nothing.pth
import digits --inputs digits                   | is a folder of a manifest
import digits/manifest.yaml --inputs digits     | is a manifest
quantize nothing.safetensors                    | nothing.safetensors does not exist
quantize nothing.npz                            | nothing.npz does not exist
simulate nothing.safetensors                    | nothing.safetensors does not exist
quantize manifest/weights.safetensors           | not a checkpoint of ssm-hdl
quantize mine.safetensors --data wide.npz       | x has 3 channels
quantize mine.safetensors --data mine.npz --out mine.npz | cannot write
finetune nothing                                | nothing does not exist
sensitivity mine.safetensors --data wide.npz    | x has 3 channels
search mine.safetensors --budget 999 --sensitivity nothing | cannot read nothing
eval manifest --data wide.npz                   | x has 3 channels
eval digits --split nothing.npy                 | nothing.npy does not exist
generate nothing                                | nothing does not exist
generate digits -o .                            | cannot write
simulate digits --samples nothing.npy           | nothing.npy does not exist
build digits --board icebreaker --out mine.npz  | cannot write
program top.bin --board icebreaker              | top.bin does not exist
run digits --port nothing                       | there is no such port
info nothing                                    | nothing does not exist
bench digits@icebreaker --line nothing          | nothing does not exist
calibrate nothing                               | nothing does not exist
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with models and samples of all kinds."""
    path = tmp_path_factory.mktemp("usage")
    x = np.random.default_rng(0).normal(size=(40, 16, 3))
    np.savez(path / "mine.npz", x=x[..., :2], y=np.arange(40) % 3)
    np.savez(path / "wide.npz", x=x, y=np.arange(40) % 3)
    np.savez(path / "recording.npz", x=x[:, 0, :2], y=np.arange(40) % 3)
    np.savez(path / "digits.npz", y=x)
    (path / "csv.npz").write_text("1,2,3")
    torch.manual_seed(0)
    spec = data.load(path / "mine.npz").spec
    checkpoint.Checkpoint(TINY.model.build(spec).eval(), spec, {"name": "mine"}).save(
        path / "mine.safetensors"
    )
    torch.save(public()[0], path / "public.pt")
    shutil.copy(ROOT / "checkpoints" / "digits.safetensors", path)
    shutil.copytree(ROOT / "manifests" / "digits", path / "digits")
    return path


@pytest.fixture(autouse=True)
def _in_the_folder(cli, folder, monkeypatch):
    monkeypatch.chdir(folder)
    if not Path("manifest").exists():
        assert (
            cli("quantize", "mine.safetensors", "--data", "mine.npz", "--out", "manifest").status
            == 0
        )


CASES = [(2, line) for line in WRONG_USAGE.strip().splitlines()] + [
    (1, line) for line in WRONG_FILES.strip().splitlines()
]


@pytest.mark.parametrize(("status", "case"), CASES)
def test_a_command_line_that_cannot_be_met(cli, folder, status, case):
    line, words = map(str.strip, case.split("|"))
    before = sorted(folder.rglob("*"))
    done = cli(*shlex.split(line))
    assert (done.status, done.out) == (status, "") and words in " ".join(done.err.split()), done.err
    assert "Traceback" not in done.err and sorted(folder.rglob("*")) == before
