"""The programs in C, compiled where they are needed first."""

import shutil
import subprocess
from pathlib import Path

from tests.support.processes import ROOT

BUILT = ROOT / "var" / "bench"


def compiled(name: str) -> Path:
    """The program of `benchmarks/<name>.c`. Raises `SystemExit` when there is no compiler."""
    source, program = ROOT / "benchmarks" / f"{name}.c", BUILT / name
    if program.exists() and program.stat().st_mtime >= source.stat().st_mtime:
        return program
    if shutil.which("cc") is None:
        raise SystemExit("The fan-out benchmark needs a C compiler: no cc here (Debian: apt install gcc).")
    BUILT.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-o", program, source], check=True)
    return program
