"""The generator: manifest to sized pipeline to Verilog, with its resource and cycle estimates."""
