"""Checking: the golden model, the cocotb testbench, the Verilated model and the netlist."""
