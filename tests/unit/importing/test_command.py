"""``weft workflows import``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import Result

from tests.support.command import Runner
from weft.cli._base.documents import read_documents
from weft.cli.commands import app

FINE = {"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}
LOSES = {"StartAt": "A", "States": {"A": {"Type": "Succeed", "InputPath": "$..x"}}}


def run(*arguments: str) -> Result:
    return Runner().invoke(app, ["workflows", "import", *arguments])


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for name, document in (("fine.asl", FINE), ("loses", LOSES), ("broken", {"States": 1})):
        (tmp_path / f"{name}.json").write_text(json.dumps(document), encoding="utf-8")
    return tmp_path


def test_definitions_go_to_stdout_and_notes_to_stderr(files: Path) -> None:
    """So that the output is a file of definitions, each a document."""
    done = run("--from", "asl", str(files / "fine.asl.json"), str(files / "loses.json"))
    assert done.exit_code == 0
    out = files / "out.yaml"
    out.write_text(done.stdout, encoding="utf-8")
    assert [document["name"] for _, document in read_documents(str(out))] == ["fine", "loses"]
    assert f"{files / 'loses.json'}: not carried over: States.A.InputPath: " in done.stderr.replace("\n", "")
    assert "# - not carried over: States.A.InputPath: " in done.stdout


def test_strict_refuses_what_cannot_be_carried_over(files: Path) -> None:
    """Nothing is written then; what is fine passes."""
    done = run("--from", "asl", "--strict", str(files / "loses.json"), "--directory", str(files / "out"))
    assert (done.exit_code, done.stdout) == (4, "")
    assert not (files / "out").exists()
    assert run("--from", "asl", "--strict", str(files / "fine.asl.json")).exit_code == 0


def test_a_directory_gets_a_file_for_each_source(files: Path) -> None:
    """Named as the workflow."""
    done = run(
        "--from", "asl", str(files / "fine.asl.json"), "--directory", str(files / "out"), "--name", "x-1"
    )
    assert (done.exit_code, done.stdout) == (0, f"{files / 'out' / 'x-1.yaml'}\n")
    ((_, document),) = read_documents(str(files / "out" / "x-1.yaml"))
    assert document == {"name": "x-1", "steps": [{"id": "a", "succeed": {"result": {"...": "${input}"}}}]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[1]", "holds a list, not an object"),
        ('{"States": 1}', "States: is required"),
    ],
)
def test_what_is_no_machine_is_refused(files: Path, text: str, message: str) -> None:
    """With the file and the place in it."""
    (files / "bad.json").write_text(text, encoding="utf-8")
    done = run("--from", "asl", str(files / "bad.json"))
    assert (done.exit_code, done.stdout) == (4, "")
    assert "bad.json" in done.stderr
    assert message in done.stderr


def test_aliases_of_yaml_are_refused(files: Path) -> None:
    """They may unfold to gigabytes, or to themselves."""
    (files / "bad.yaml").write_text("StartAt: A\nStates: &a {A: *a}\n", encoding="utf-8")
    done = run("--from", "asl", str(files / "bad.yaml"))
    assert done.exit_code == 4
    assert "alias" in done.stderr


def test_a_file_that_somebody_else_wrote_stays(files: Path) -> None:
    """Such as the source itself; what an import wrote is written anew, and --force replaces anything."""
    own = files / "own.yaml"
    own.write_text("StartAt: A\nStates: {A: {Type: Succeed}}\n", encoding="utf-8")
    before = own.read_bytes()
    words = ("--from", "asl", str(own), "--directory", str(files))
    refused = run(*words)
    assert (refused.exit_code, refused.stdout) == (4, "")
    assert f"{own}: is there already" in refused.stderr.replace("\n", "")
    assert own.read_bytes() == before
    for extra in (("--name", "other"), ("--name", "other"), ("--force",)):
        assert run(*words, *extra).exit_code == 0
    assert own.read_text(encoding="utf-8").startswith("# Imported from own.yaml.")


def test_two_sources_of_one_name_are_refused(files: Path) -> None:
    """One would be lost; nothing is written, and both are named."""
    (files / "sub").mkdir()
    twin = files / "sub" / "fine.json"
    twin.write_text(json.dumps(FINE), encoding="utf-8")
    first, out = files / "fine.asl.json", files / "out"
    for extra in (("--directory", str(out)), ()):
        done = run("--from", "asl", str(first), str(twin), *extra)
        assert (done.exit_code, done.stdout) == (4, "")
        assert f"{twin}: becomes the workflow 'fine', as {first} does" in done.stderr.replace("\n", "")
    assert not out.exists()


@pytest.mark.parametrize("name", ["../evil", "Ünï x", "A"])
def test_a_name_that_is_none(files: Path, name: str) -> None:
    """It is refused as everywhere; a file of it would be found who knows where."""
    done = run("--from", "asl", str(files / "fine.asl.json"), "--name", name)
    assert (done.exit_code, done.stdout) == (4, "")
    assert f"name: {name!r} is not allowed" in done.stderr


def test_a_map_is_one_document(files: Path) -> None:
    """Several are a mistake of the file, and no defect of ours."""
    (files / "map.yaml").write_text("a: {service: x}\n---\nb: {service: y}\n", encoding="utf-8")
    done = run("--from", "asl", str(files / "fine.asl.json"), "--map", str(files / "map.yaml"))
    assert (done.exit_code, done.stdout) == (4, "")
    assert "holds 2 documents, not one" in done.stderr
