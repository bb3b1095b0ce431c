"""The notebooks of docs/ run from the first cell to the last, without `build`:
place and route take a minute."""

import importlib.util
from pathlib import Path

import pytest

NOTEBOOKS = Path(__file__).parents[2] / "docs" / "notebooks"


@pytest.fixture(scope="module")
def runner():
    spec = importlib.util.spec_from_file_location("run", NOTEBOOKS / "run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of zmq, on the encryption of a local port
@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_notebook_runs(runner, path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    notebook = runner.run(path, slow=False)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(code) > 4 and any(cell.outputs for cell in code)
    text = "".join(str(output) for cell in code for output in cell.outputs)
    assert {
        "pytorch-to-bitstream": "200 outputs, 0 differences",
        "choosing-widths": "SQNR",
        "reading-a-report": "busy",
    }[path.stem] in text
