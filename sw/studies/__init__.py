"""Comparisons on which decisions rest. They can be run again;
their results are in results/ and docs/."""
