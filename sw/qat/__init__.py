"""Quantisation-aware training (QAT): torch runs the integer program of a manifest and
improves its codes."""
