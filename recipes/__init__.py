"""Recipes of bit widths by name; copy one to make your own."""
