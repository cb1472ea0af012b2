"""``docs/settings.md`` names every variable of the environment that the code reads, and no other."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import typer.main

from weft.core import variables
from weft.mesh.metrics import __doc__ as metrics_doc
from weft.mesh.tracing.settings import ExportSettings
from weft.server.command import server

ROOT = Path(__file__).parents[3]
VARIABLE = re.compile(r"(?:WEFT|CONSUL|OTEL)_[A-Z][A-Z0-9_]*[A-Z0-9]")
ROW = re.compile(r"^\| `([A-Z][A-Z_]+(?:<NAME>_URL)?)` \|(.*)\|$", re.MULTILINE)
TEXT = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
OTLP = {
    f"OTEL_EXPORTER_OTLP_{name}"
    for name in ("ENDPOINT", "PROTOCOL", "HEADERS", "TIMEOUT", "INSECURE", "CERTIFICATE", "COMPRESSION")
}
"""Their names are put together; each also exists for one kind of telemetry."""


def in_code() -> set[str]:
    """Return every variable whose whole name is a text somewhere in the code."""
    found: set[str] = set()
    for folder in ("core", "discovery", "mesh", "clients", "server"):
        for path in set((ROOT / folder).rglob("*.py")) - {Path(str(variables.__file__))}:
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.update([node.value] if VARIABLE.fullmatch(node.value) else [])
    return {name for name in found if not re.match(r"OTEL_EXPORTER_OTLP_(TRACES|METRICS)_", name)}


def test_every_variable_is_documented_and_no_other() -> None:
    """Those of a fixed name; ``SERVICE_<NAME>_URL`` and ``NO_COLOR`` are said besides."""
    made = {"OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER"} | OTLP
    documented = {name for name, _ in ROW.findall(TEXT)}
    assert documented - {"SERVICE_<NAME>_URL", "NO_COLOR"} == in_code() | made


def test_every_variable_of_ours_is_known_as_one() -> None:
    """Or it would be called misspelt, where it is like another."""
    assert sorted(name for name in in_code() if name.startswith("WEFT_")) == sorted(variables.VARIABLES)


def test_the_options_of_the_server_are_those_of_its_table() -> None:
    """Variable, option and default."""
    app = typer.Typer()
    app.command()(server)
    command = typer.main.get_command(app)
    table = TEXT.partition("## The server\n")[2].partition("\n## ")[0]
    rows = {name: [cell.strip(" `") for cell in rest.split("|")] for name, rest in ROW.findall(table)}
    options = {str(it.envvar): it for it in command.params if getattr(it, "envvar", None)}
    assert set(rows) == set(options)
    for name, option in options.items():
        flag, default, _ = rows[name]
        assert flag in option.opts
        if option.default:
            given = getattr(option.default, "value", option.default)
            assert default == (f"{given:g}" if isinstance(given, float) else str(given))


def test_the_fields_of_otlp_are_those_of_the_settings() -> None:
    """A setting that is added there is to be documented here."""
    fields = set(ExportSettings.__dataclass_fields__) - {"exporter", "service_name", "resource"}
    assert {name.rpartition("_")[2].lower() for name in OTLP} == fields


def test_every_metric_is_documented() -> None:
    """As the module says that makes them."""
    names = re.findall(r"``(weft\.(?:mesh|discovery)\.\w+)``", metrics_doc or "")
    assert len(names) == 5
    assert re.findall(r"^\| `(weft\.[\w.]+)`", TEXT, re.MULTILINE) == names
