"""Studies behind decisions: what was compared, kept runnable, with the results in results/ and docs/."""
