"""Executes every notebook of the folder above and fails on the first cell that raises.

    run_notebooks.py [--keep DIR] [NOTEBOOK ...]

01 reads FOREWARN_DATASET, FOREWARN_EVALUATION, FOREWARN_ADDRESS and FOREWARN_SCORES; the others run FOREWARN_BINARY on datasets/lab.
Files are left as they are: executed copies go to --keep DIR, or nowhere.
"""

import argparse
import os
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError

FOLDER = Path(__file__).resolve().parent.parent
PATHS = ("FOREWARN_DATASET", "FOREWARN_EVALUATION", "FOREWARN_SCORES", "FOREWARN_BINARY")
# What a notebook cannot do without.
NEEDS = {"01_first_look.ipynb": ("FOREWARN_DATASET", "FOREWARN_EVALUATION")}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notebooks", nargs="*", type=Path)
    parser.add_argument("--keep", type=Path, help="folder for the executed copies")
    arguments = parser.parse_args()
    notebooks = arguments.notebooks or sorted(FOLDER.glob("[0-9][0-9]_*.ipynb"))
    if not notebooks:
        sys.exit(f"no notebook in {FOLDER}")
    listed = (FOLDER / "README.md").read_text()
    for path in notebooks:
        for name in NEEDS.get(path.name, ()):
            if not os.environ.get(name):
                sys.exit(f"{path.name}: {name} is not set; see notebooks/README.md")
        if f"({path.name})" not in listed:
            sys.exit(f"{path.name}: notebooks/README.md does not list it")
    # Cells run in the notebook's folder, paths are given from here. A bare name is looked for on the PATH.
    for name in PATHS:
        given = os.environ.get(name)
        if given and (name != "FOREWARN_BINARY" or os.sep in given):
            os.environ[name] = str(Path(given).resolve())
    # The kernel is this interpreter, whatever kernels the machine has registered.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])

    for path in notebooks:
        started = time.monotonic()
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
        stored = [cell for cell in notebook.cells if cell.cell_type == "code" and (cell.outputs or cell.execution_count)]
        if stored:
            sys.exit(f"{path.name}: {len(stored)} cells are stored with outputs; clear them")
        client = NotebookClient(
            notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(path.resolve().parent)}}
        )
        try:
            client.execute()
        except (CellExecutionError, DeadKernelError, RuntimeError, TimeoutError) as error:
            sys.exit(f"{path.name}: {error}")
        if arguments.keep:
            arguments.keep.mkdir(parents=True, exist_ok=True)
            nbformat.write(notebook, arguments.keep / path.name)
        print(f"{path.name}: {sum(c.cell_type == 'code' for c in notebook.cells)} cells in {time.monotonic() - started:.1f} s")


if __name__ == "__main__":
    main()
