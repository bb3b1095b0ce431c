"""Boards: the shell around the accelerator, synthesis, place and route, programming."""
