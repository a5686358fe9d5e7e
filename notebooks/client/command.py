"""Runs the `forewarn` command for a notebook.

The binary is FOREWARN_BINARY, or else what `cargo build --release` made of this checkout, or else `forewarn` on the PATH.
"""

import io
import os
import shutil
import subprocess
from pathlib import Path

import polars as pl

ROOT = Path(__file__).resolve().parents[2]
LAB = ROOT / "datasets" / "lab"


def binary():
    """The binary's path; FileNotFoundError says what to do where there is none."""
    named = os.environ.get("FOREWARN_BINARY")
    built = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target") / "release" / "forewarn"
    found = shutil.which(named) if named else built if built.exists() else shutil.which("forewarn")
    if not found:
        raise FileNotFoundError(f"no forewarn at {named or built}: build it by `cargo build --release` or set FOREWARN_BINARY")
    return str(found)


def forewarn(*arguments):
    """Standard output of `forewarn ARGUMENTS`; an exit code other than 0 raises with the end of what it said."""
    command = [binary(), *(str(argument) for argument in arguments)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=240, stdin=subprocess.DEVNULL)
    if run.returncode != 0:
        raise RuntimeError(f"exit code {run.returncode} of {' '.join(command)}\n{run.stderr[-2000:]}")
    return run.stdout


def sql(query, **source):
    """The answer of `forewarn sql` as a table; `source` is lake=DIR or dataset=DIR."""
    (option, folder), = source.items()
    text = forewarn("sql", f"--{option}", folder, "--format", "csv", query)
    return pl.read_csv(io.StringIO(text), infer_schema_length=None)
