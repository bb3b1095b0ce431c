"""Single faults in the Verilog of small models, and whether `ssm-hdl simulate` finds them."""
