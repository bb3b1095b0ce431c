"""``python -m ssm_hdl``: the command line."""

import importlib

if __name__ == "__main__":
    importlib.import_module("ssm_hdl.sw.cli").main()
