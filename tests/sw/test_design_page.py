"""The programs in C of docs/design.md compile beside the package that the page's
own command writes."""

import re
import subprocess
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")


def test_programs_in_c_compile(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "manifests").symlink_to(ROOT / "manifests")
    (command,) = re.findall("^ssm-hdl (.*--package out/digits_bus)$", PAGE, re.MULTILINE)
    done = cli(*command.split())
    assert done.status == 0, done.err
    programs = re.findall(r"```c\n(.*?)```", PAGE, re.DOTALL)
    assert len(programs) == 2
    for number, text in enumerate(programs):
        Path(f"{number}.c").write_text(text)
    flags = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-Iout/digits_bus", "-c"]
    done = subprocess.run(
        ["cc", *flags, *Path.cwd().glob("?.c"), "out/digits_bus/ssm_hdl.c"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "create_clock -name clk " in Path("out/digits_bus/digits_core.sdc").read_text()
    assert ".wb_adr(wb_adr)," in Path("out/digits_bus/digits_core_instance.v").read_text()
    core = yaml.safe_load(Path("out/digits_bus/digits_core.core").read_text().partition("\n")[2])
    assert core["targets"].keys() == {"default", "lint"}
