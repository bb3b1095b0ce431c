"""Tells integer programs apart: in the frames of a board, and in the header of Verilog."""

import hashlib
import json

from ssm_hdl.manifest import Manifest


def fingerprint(manifest: Manifest) -> int:
    """16 bits that tell integer programs apart; names and descriptions do not count."""
    graph = manifest.graph.model_dump(
        mode="json", exclude={"name", "description", "weights", "samples"}
    )
    digest = hashlib.sha256(json.dumps(graph, sort_keys=True).encode())
    for name, codes in sorted(manifest.tensors.codes.items()):
        digest.update(f"{name}{codes.shape}".encode())
        digest.update(codes.astype("<i8").tobytes())
    return int.from_bytes(digest.digest()[:2], "little")
