"""Sizing: the plan of a manifest for a device; see `ssm_hdl.gen.size.planner.plan_for`."""
