"""Quantisation-aware training: a manifest runs in torch as the integer program that it is, and gets better codes."""
