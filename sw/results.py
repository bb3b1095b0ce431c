"""Which committed results are current: those whose inputs are as they were when they were made.

``python -m ssm_hdl.sw.results`` makes what is stale again, one make target after the other; ``--check`` only says what is stale.
The inputs of a result are the code of the folders that it depends on, without docstrings and comments, and the manifests.
"""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from ssm_hdl.files import write_atomically

HARDWARE = ("ssm_hdl", "gen")
KEYS = Path("results/keys.json")

TARGETS: dict[str, tuple[str, tuple[str, ...]]] = {
    "rtl.json": ("rtl", (*HARDWARE, "sim")),
    "estimates.json": ("judge", (*HARDWARE, "boards")),
    "bitstreams.json": ("bitstreams", (*HARDWARE, "boards")),
    "bench.json": ("bench", (*HARDWARE, "boards", "sim")),
    "s4d.json": ("reproduce-s4d", HARDWARE),
    "s5.json": ("reproduce-s5", HARDWARE),
    "deep.json": ("deep", (*HARDWARE, "boards", "sim")),
    "har.json": ("har", (*HARDWARE, "boards", "sim")),
}
"""For each file of results that depends on the gateware or the planner: its make target, and the folders of its inputs."""


def key(folders: tuple[str, ...]) -> str:
    """A hash of the inputs of a result."""
    digest = sha256()
    for path in _files(folders):
        digest.update(str(path).encode())
        data = path.read_bytes()
        digest.update(_bare(data).encode() if path.suffix == ".py" else data)
    return digest.hexdigest()[:16]


def stale() -> list[str]:
    """The files of results whose inputs have changed."""
    known = json.loads(KEYS.read_text(encoding="utf-8")) if KEYS.exists() else {}
    return [name for name, (_, folders) in TARGETS.items() if known.get(name) != key(folders)]


def record(name: str) -> None:
    """A file of results is current."""
    known = json.loads(KEYS.read_text(encoding="utf-8")) if KEYS.exists() else {}
    write_atomically(KEYS, json.dumps(known | {name: key(TARGETS[name][1])}, indent=2, sort_keys=True) + "\n")


def _files(folders: tuple[str, ...]) -> Iterator[Path]:
    for folder in (*folders, "manifests"):
        yield from sorted(path for path in Path(folder).rglob("*") if path.is_file() and path.suffix not in (".pyc", ".md"))


def _bare(source: bytes) -> str:
    """The syntax tree of a module without docstrings."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [each for each in body if not _is_text(each)]  # type: ignore[attr-defined]
    return ast.dump(tree)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def main() -> int:
    """Say what is stale, and make it."""
    outdated = stale()
    for name, (target, _) in TARGETS.items():
        print(f"{name:<18} {f'stale: make {target}' if name in outdated else 'current'}")
    if "--check" in sys.argv[1:]:
        return int(bool(outdated))
    for name in outdated:
        print(f"make {TARGETS[name][0]}", flush=True)
        subprocess.run(["make", TARGETS[name][0]], check=True)
        record(name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
