"""``weft workflows import``: definitions of other languages, as YAML of Weft."""

from __future__ import annotations

from enum import StrEnum, unique
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from weft.cli._base import output
from weft.cli._base.errors import Exit
from weft.cli._base.options import FileOption, FilesArgument, chosen_files
from weft.cli._base.sources import fault, source_name
from weft.cli._base.text import clean, plural
from weft.core.errors import ValidationError, Violation
from weft.core.names import check_name
from weft.core.reasons import Rule

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from weft.cli.importing.notes import Imported

__all__ = ["Language", "import_workflows"]


@unique
class Language(StrEnum):
    """Which language the files are in."""

    ASL = "asl"
    CNCF = "cncf"


def import_workflows(
    ctx: typer.Context,
    language: Annotated[
        Language,
        typer.Option(
            "--from",
            case_sensitive=False,
            help="asl: States Language of Amazon; cncf: Serverless Workflow 1.0.",
        ),
    ],
    files: FilesArgument = None,
    file: FileOption = None,
    directory: Annotated[
        Path | None,
        typer.Option("--directory", "-d", help="Write a file for each source there, instead of to stdout."),
    ] = None,
    name: Annotated[
        str, typer.Option(help="Name of the workflow, when there is one source; else the source's own.")
    ] = "",
    mapping: Annotated[
        str,
        typer.Option(
            "--map",
            metavar="FILE",
            help="YAML or JSON: what a resource becomes, as {RESOURCE: {service: …, action: …}}; "
            "* stands for any text.",
        ),
    ] = "",
    force: Annotated[
        bool, typer.Option("--force", help="Replace files in the directory that no import has written, too.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Fail, and write nothing, when something cannot be carried over.")
    ] = False,
) -> None:
    """Turn definitions of other workflow languages into definitions of Weft, as YAML.

    No server is asked. What cannot be carried over, and what has to be checked or provided,
    is listed on stderr and as comments, each with its path in the source; where something is
    missing, the step fails when it is reached. See docs/importing.md.
    """
    sources = chosen_files(ctx, files, file)
    imported = _import_all(sources, language, name, _read_mapping(mapping))
    lost = 0
    for label, found in imported:
        lost += sum(note.lost for note in found.notes)
        for note in found.notes:
            output.note(clean(f"{label}: {note.text}"))
    if strict and lost:
        output.note(
            f"{plural(lost, 'thing')} cannot be carried over; nothing is written, for --strict is given."
        )
        raise typer.Exit(Exit.INVALID)
    _write(imported, directory, force=force)


def _import_all(
    sources: Sequence[str], language: Language, name: str, mapping: Mapping[str, Mapping[str, Any]]
) -> list[tuple[str, Imported]]:
    from weft.cli._base.documents import read_documents  # noqa: PLC0415 - PyYAML, for the commands that use it

    faults: list[Violation] = check_name("name", name) if name else []
    found: list[tuple[str, Imported]] = []
    for source in dict.fromkeys(sources):
        try:
            for label, document in read_documents(source):
                found.append(
                    (
                        label,
                        _import_one(document, language, name or _name_of(source, language), mapping, label),
                    )
                )
        except ValidationError as error:
            faults.extend(error.violations)
    faults.extend(_repeated(found))
    if faults:
        raise ValidationError(faults)
    return found


def _repeated(imported: Sequence[tuple[str, Imported]]) -> list[Violation]:
    """Find workflows that become one: the later would undo the earlier."""
    first: dict[str, str] = {}
    faults = []
    for label, it in imported:
        name = it.definitions[0]["name"]
        if name in first:
            text = f"becomes the workflow {name!r}, as {first[name]} does"
            faults.append(Violation(label, text, Rule.DUPLICATE))
        first.setdefault(name, label)
    return faults


def _import_one(
    document: dict[str, Any],
    language: Language,
    name: str,
    mapping: Mapping[str, Mapping[str, Any]],
    label: str,
) -> Imported:
    from weft.cli.importing.asl import import_asl  # noqa: PLC0415 - for this command only
    from weft.cli.importing.cncf import import_cncf  # noqa: PLC0415 - as above

    try:
        return {Language.ASL: import_asl, Language.CNCF: import_cncf}[language](document, name, mapping)
    except ValidationError as error:
        named = [
            Violation(f"{label}: {it.field}" if it.field else label, it.description, it.reason)
            for it in error.violations
        ]
        raise ValidationError(named) from None


def _name_of(source: str, language: Language) -> str:
    """Return a name for a document that has none itself."""
    from weft.cli.importing.naming import service_name  # noqa: PLC0415 - for this command only

    if language is Language.CNCF:
        return ""
    return service_name(Path(source_name(source)).name.split(".")[0], "workflow")


def _read_mapping(source: str) -> dict[str, dict[str, Any]]:
    from weft.cli._base.documents import read_documents  # noqa: PLC0415 - PyYAML, for the commands that use it

    if not source:
        return {}
    documents = read_documents(source)
    if len(documents) > 1:
        raise fault(source_name(source), f"holds {len(documents)} documents, not one", Rule.INVALID)
    label, values = documents[0]
    for key, value in values.items():
        known = isinstance(value, dict) and value.keys() <= {"service", "action", "member", "result"}
        if not known or not all(isinstance(each, str) for each in value.values()):
            raise fault(f"{label}: {key}", "is no object of service, action, member and result", Rule.INVALID)
    return values


def _write(imported: Sequence[tuple[str, Imported]], directory: Path | None, *, force: bool) -> None:
    from weft.cli.importing.writing import as_yaml  # noqa: PLC0415 - PyYAML, for the commands that use it

    texts = {
        it.definitions[0]["name"]: as_yaml(it.definitions, Path(label).name, it.notes)
        for label, it in imported
    }
    if directory is None:
        typer.echo("---\n".join(texts.values()), nl=False)
        return
    paths = {directory / f"{name}.yaml": text for name, text in texts.items()}
    if not force:
        _spare(paths)
    for path, text in paths.items():
        try:
            directory.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise fault(str(path), f"cannot be written: {error.strerror}", Rule.INVALID) from None
        typer.echo(str(path))


def _spare(paths: Iterable[Path]) -> None:
    """Refuse to replace what somebody wrote, such as a source; what an import wrote is made anew."""
    text = "is there already, and no import wrote it; --force replaces it"
    faults = [Violation(str(path), text, Rule.INVALID) for path in paths if _is_of_others(path)]
    if faults:
        raise ValidationError(faults)


def _is_of_others(path: Path) -> bool:
    from weft.cli.importing.writing import HEAD  # noqa: PLC0415 - PyYAML, for the commands that use it

    try:
        with path.open("rb") as file:
            return not file.read(len(HEAD)).startswith(HEAD.encode())
    except OSError:  # there is none, or writing it says why not
        return False
