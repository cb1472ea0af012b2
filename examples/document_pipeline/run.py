"""Run the document pipeline from nothing to a table of results: what `make run` does.

`python examples/document_pipeline/run.py --help` lists the options.
"""

from __future__ import annotations

import sys
from pathlib import Path

# Python puts this script's own folder first; the example is imported from the root of the repository.
sys.path[0] = str(Path(__file__).resolve().parents[2])

from examples.document_pipeline._main import main  # noqa: E402 - the path must be set before

if __name__ == "__main__":
    sys.exit(main())
