"""A manifest and its plan in a folder of small files."""

import json
from pathlib import Path

from ssm_hdl import Manifest
from ssm_hdl.families import FAMILIES
from ssm_hdl.gateware.stage import StagePlan
from ssm_hdl.gen.plan import Plan


def save(folder: Path, manifest: Manifest, plan: Plan | None, text: str) -> None:
    """Write the two, and the text of what they do wrong."""
    manifest.save(folder)
    (folder / "finding.txt").write_text(text)
    if plan is not None:
        (folder / "plan.json").write_text(plan.to_json())


def load(folder: Path) -> tuple[Manifest, Plan | None]:
    """Read them."""
    manifest, path = Manifest.load(folder), folder / "plan.json"
    if not path.exists():
        return manifest, None
    fields = json.loads(path.read_text())
    stages = {
        name: StagePlan(**stage | {"spram": tuple(stage["spram"])})
        for name, stage in fields["stages"].items()
    }
    return manifest, Plan(
        FAMILIES[fields["family"]], stages, fields["share_layers"], fields.get("luts_below", 0)
    )
