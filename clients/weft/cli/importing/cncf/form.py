"""Whether a document is a workflow of the format at all: every fault at once, each with its path."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from weft.core.errors import ValidationError, Violation
from weft.core.names import closest
from weft.core.reasons import Rule

__all__ = ["DIRECTIVES", "KINDS", "check_document", "kind_of", "named_tasks"]

KINDS: Final = ("call", "do", "emit", "for", "fork", "listen", "raise", "run", "set", "switch", "try", "wait")
DIRECTIVES: Final = ("continue", "exit", "end")
MAX_TASKS: Final = 1_000
MAX_DEPTH: Final = 20
_MAX_FAULTS: Final = 100
_MEMBERS: Final[dict[str, tuple[type, ...]]] = {
    "call": (str,),
    "do": (list,),
    "set": (dict, str),
    "switch": (list,),
    "try": (list,),
    "wait": (dict, str),
}
"""What the member is that says what a task is; else an object."""
_WORDS: Final[dict[type, str]] = {dict: "object", list: "list", str: "text"}


def kind_of(task: dict[str, Any]) -> str:
    """Return what a task is; empty: nothing that is known. A ``for`` and a ``try`` have a ``do`` as well."""
    found = [kind for kind in KINDS if kind in task]
    return next((kind for kind in found if kind != "do"), found[0] if found else "")


def named_tasks(tasks: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the tasks of a list with their names."""
    for entry in tasks:
        yield from entry.items()


def check_document(document: dict[str, Any]) -> None:
    """Look at the form of a workflow and of all its tasks.

    Raises:
        ValidationError: It is none.
    """
    form = _Form()
    form.head(document)
    form.tasks(document.get("do"), "do", 0)
    form.others(document)
    if form.count > MAX_TASKS:
        message = f"holds {form.count:,} tasks; a workflow has at most {MAX_TASKS:,} steps"
        form.add("do", message, Rule.TOO_MANY)
    if form.faults:
        raise ValidationError(form.faults[:_MAX_FAULTS])


class _Form:
    def __init__(self) -> None:
        self.faults: list[Violation] = []
        self.count = 0

    def add(self, path: str, message: str, rule: Rule = Rule.INVALID) -> None:
        self.faults.append(Violation(path, message, rule))

    def head(self, document: dict[str, Any]) -> None:
        head = document.get("document")
        if not isinstance(head, dict):
            self.add(
                "document", "is required: an object with dsl, namespace, name and version", Rule.REQUIRED
            )
            return
        for name in ("dsl", "name"):
            if not isinstance(head.get(name), str):
                self.add(f"document.{name}", "is required: a text", Rule.REQUIRED)
        dsl = head.get("dsl")
        if isinstance(dsl, str) and not dsl.startswith("1."):
            self.add("document.dsl", f"is {dsl!r}; only 1.x is read")

    def others(self, document: dict[str, Any]) -> None:
        for name in ("use", "input", "output", "evaluate"):
            if not isinstance(document.get(name, {}), dict):
                self.add(name, "is no object")
        use = document.get("use")
        for name, values in use.items() if isinstance(use, dict) else ():
            if name in {"functions", "errors", "retries", "timeouts"} and not isinstance(values, dict):
                self.add(f"use.{name}", "is no object")

    def tasks(self, tasks: Any, path: str, depth: int) -> None:
        if not isinstance(tasks, list) or not tasks:
            self.add(path, "is required: a list of tasks, each an object with one name", Rule.REQUIRED)
            return
        if depth > MAX_DEPTH:
            self.add(path, f"is deeper than {MAX_DEPTH} tasks", Rule.TOO_MANY)
            return
        if not all(isinstance(entry, dict) and len(entry) == 1 for entry in tasks):
            self.add(path, "is no list of objects with one name each")
            return
        names = [name for name, _ in named_tasks(tasks)]
        for name in {name for name in names if names.count(name) > 1} if len(names) <= MAX_TASKS else ():
            self.add(path, f"has two tasks of the name {name!r}", Rule.DUPLICATE)
        self.count += len(names)
        for index, (name, task) in enumerate(named_tasks(tasks)):
            self._task(task, f"{path}[{index}].{name}", names, depth)

    def _task(self, task: Any, path: str, names: list[str], depth: int) -> None:
        if not isinstance(task, dict):
            self.add(path, "is no object")
            return
        kind = kind_of(task)
        if not kind:
            known = ", ".join(KINDS)
            hint = next((closest(key, list(KINDS)) for key in task), f"one of {known}")
            self.add(path, f"is no task that is known; {hint}"[:300])
            return
        if "then" in task:
            self._directive(task["then"], f"{path}.then", names)
        for name in ("input", "output", "export"):
            if not isinstance(task.get(name, {}), dict):
                self.add(f"{path}.{name}", "is no object")
        self._inner(kind, task, path, names, depth)

    def _inner(self, kind: str, task: dict[str, Any], path: str, names: list[str], depth: int) -> None:
        match kind:
            case "do" | "for":
                self.tasks(task.get("do"), f"{path}.do", depth + 1)
            case "switch":
                self._switch(task["switch"], path, names)
            case "try":
                self.tasks(task["try"], f"{path}.try", depth + 1)
                self._catch(task.get("catch"), path, depth)
            case "fork" if isinstance(task["fork"], dict):
                self.tasks(task["fork"].get("branches"), f"{path}.fork.branches", depth + 1)
            case "call" if not isinstance(task.get("with", {}), dict):
                self.add(f"{path}.with", "is no object")
        wanted = _MEMBERS.get(kind, (dict,))
        if not isinstance(task[kind], wanted):
            self.add(f"{path}.{kind}", f"is no {' and no '.join(_WORDS[each] for each in wanted)}")

    def _catch(self, catch: Any, path: str, depth: int) -> None:
        if not isinstance(catch, dict):
            self.add(f"{path}.catch", "is required: an object", Rule.REQUIRED)
        elif "do" in catch:
            self.tasks(catch["do"], f"{path}.catch.do", depth + 1)

    def _switch(self, cases: Any, path: str, names: list[str]) -> None:
        fine = isinstance(cases, list) and cases
        if not fine or not all(isinstance(it, dict) and len(it) == 1 for it in cases):
            self.add(f"{path}.switch", "is no list of cases with one name each")
            return
        for index, entry in enumerate(cases):
            ((name, case),) = entry.items()
            where = f"{path}.switch[{index}].{name}"
            if not isinstance(case, dict):
                self.add(where, "is no object")
                continue
            self._directive(case.get("then", "continue"), f"{where}.then", names)
            if "when" in case and not isinstance(case["when"], str):
                self.add(f"{where}.when", "is no expression")

    def _directive(self, target: Any, path: str, names: list[str]) -> None:
        if not isinstance(target, str) or (target not in DIRECTIVES and target not in names):
            shown = str(target)[:80]
            self.add(
                path, f"there is no task {shown!r} in this list; {closest(shown, [*names, *DIRECTIVES])}"
            )
