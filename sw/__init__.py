"""Software: models, data sets, training, quantization, the host driver and the command line."""
