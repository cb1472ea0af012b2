"""What a run found out, as a table, and what to try next."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from examples.document_pipeline._place import Place, stop_command
from examples.document_pipeline._runs import DocumentRun

__all__ = ["hints", "results"]

_KINDS = {"application/pdf": "PDF", "text/html": "HTML", "text/plain": "text"}
_TONES = {"positive": "green", "negative": "red", "neutral": "yellow"}

_METHOD = "weft.api.execution.v1.ExecutionService/ExecuteWorkflow"


def results(runs: Sequence[DocumentRun]) -> Table:
    """Return one row per document."""
    table = Table(title="Results", title_justify="left", box=SIMPLE_HEAD)
    for heading, options in _COLUMNS.items():
        table.add_column(heading, **options)
    for run in runs:
        table.add_row(*_row(run))
    return table


_COLUMNS: Mapping[str, Mapping[str, Any]] = {
    "document": {"no_wrap": True},
    "kind": {},
    "pages": {"justify": "right"},
    "words": {"justify": "right"},
    "sentiment": {"no_wrap": True},
    "summary": {"ratio": 1, "min_width": 16},
    "time": {"justify": "right", "no_wrap": True},
}


def _row(run: DocumentRun) -> list[str | Text]:
    document = run.outputs.get("extract-text", {})
    tone = run.outputs.get("analyze-sentiment", {})
    summary = run.outputs.get("generate-summary", {})
    sentences = summary.get("sentences") or [""]
    last = Text(run.failure, style="red") if run.failure else _one_line(str(sentences[0]))
    return [
        run.name,
        _KINDS.get(str(document.get("media_type")), ""),
        _number(document.get("pages")),
        _number(document.get("words")),
        _tone(tone),
        last,
        f"{run.seconds * 1000:.0f} ms",
    ]


def _tone(output: Mapping[str, Any]) -> Text:
    if "score" not in output:
        return Text("")
    word = str(output.get("sentiment"))
    return Text(f"{word} {float(output['score']):+.3f}", style=_TONES.get(word, ""))


def _number(value: object) -> str:
    # Numbers may arrive as doubles: Struct has no other kind.
    return f"{int(value):,}" if isinstance(value, int | float) else ""


def _one_line(sentence: str) -> Text:
    return Text(" ".join(sentence.split()), no_wrap=True, overflow="ellipsis")


def hints(console: Console, place: Place, example: str) -> None:
    """Print the addresses, and lines that can be copied into a terminal."""
    data = json.dumps({"workflow": "document-processing", "input": {"struct": {"path": example}}})
    payload = json.dumps({"path": example})
    target = "" if place.port == 7420 else f" --target {place.server}"
    url = f"http://{place.server}/{_METHOD}"
    lines = (
        f"The server listens on {place.server}; logs are in {place.logs}.",
        "",
        "With the command line:",
        f"  .venv/bin/weft run document-processing --input '{payload}' --watch{target}",
        "With grpcurl:",
        f"  grpcurl -plaintext -d '{data}' {place.server} {_METHOD}",
        "With buf:",
        f"  .venv/bin/buf curl --protocol grpc --http2-prior-knowledge --data '{data}' {url}",
        "",
        f"Stop everything: {stop_command(place.data_dir)}",
    )
    console.print("\n".join(lines), soft_wrap=True, markup=False, highlight=False)
