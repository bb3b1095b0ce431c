"""The gateware of every operation, an Amaranth component each."""
