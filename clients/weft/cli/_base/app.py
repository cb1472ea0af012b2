"""What every command shares: the global options, error handling, and help with examples."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from weft.cli._base.errors import Exit, output_fault, report, report_defect, report_output, report_usage
from weft.cli._base.inputs import parse_duration
from weft.cli._base.interrupts import asks_for_json, interrupts
from weft.cli._base.plugins import Plugin, find_plugins
from weft.cli._base.session import DEFAULT_TARGET, Output, Settings, remember
from weft.cli._base.tracing import check_limit, traced
from weft.cli._base.usage import usage_fault
from weft.core.errors import WeftError

__all__ = ["Command", "PlainGroup", "RootGroup", "command", "duration", "group"]

_PANEL = "Global options"


def duration(text: str | None, option: str | None = None) -> Any:
    """Read an option such as ``30s``.

    Args:
        text: What was typed; None: nothing.
        option: Its name, where Typer does not know it.
    """
    if text is None:
        return None
    try:
        return parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


def _keep(context: typer.Context, param: typer.CallbackParam, value: Any) -> Any:
    remember(context, str(param.name), value)
    return value


def _keep_duration(context: typer.Context, param: typer.CallbackParam, value: str | None) -> Any:
    span = duration(value)
    if span is not None and not span:
        raise typer.BadParameter("it is longer than 0")
    remember(context, str(param.name), span)
    return value


def _global_options(
    target: Annotated[
        str | None,
        typer.Option(
            "--target",
            "-t",
            callback=_keep,
            expose_value=False,
            metavar="TARGET",
            rich_help_panel=_PANEL,
            help="The server: host:port, or such as consul://weft-execution; "
            f"else the variable WEFT_TARGET, else {DEFAULT_TARGET}.",
        ),
    ] = None,
    output: Annotated[
        Output | None,
        typer.Option(
            "--output",
            "-o",
            callback=_keep,
            expose_value=False,
            case_sensitive=False,
            rich_help_panel=_PANEL,
            help="Form of the result on stdout; table by default.",
        ),
    ] = None,
    request_timeout: Annotated[
        str | None,
        typer.Option(
            "--request-timeout",
            callback=_keep_duration,
            expose_value=False,
            metavar="DURATION",
            rich_help_panel=_PANEL,
            help="How long one request may take, such as 500ms, 30s or 5m.",
        ),
    ] = None,
    no_color: Annotated[
        bool,
        typer.Option(
            "--no-color",
            callback=_keep,
            expose_value=False,
            rich_help_panel=_PANEL,
            help="No colours on a terminal; the variable NO_COLOR does the same.",
        ),
    ] = False,
    debug: Annotated[
        bool,
        typer.Option(
            "--debug",
            callback=_keep,
            expose_value=False,
            rich_help_panel=_PANEL,
            help="Show where a failure happened, and the id of its trace.",
        ),
    ] = False,
) -> None:
    """Declare the options; their callbacks keep what they say."""


@cache
def _global_params() -> list[Any]:
    """Let Typer make the options once; every command carries the same objects."""
    template = typer.Typer(add_completion=False)
    template.command()(_global_options)
    return list(typer.main.get_command(template).params)


def _add_global_params(params: list[Any]) -> None:
    """Add the options whose names the command does not use itself."""
    taken = {name for param in params for name in param.opts}
    params.extend(param for param in _global_params() if taken.isdisjoint(param.opts))


def _without_noise(params: list[Any]) -> list[Any]:
    """Leave out of the help that a flag is a bool: it takes no value."""
    for param in params:
        if getattr(param, "is_flag", False):
            param.metavar = ""
    return params


class PlainCommand(TyperCommand):
    """A command whose help has no more signs than it needs."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, as the help shows them."""
        return _without_noise(super().get_params(ctx))

    def parse_args(self, ctx: Any, args: Any) -> Any:
        """Parse them; every error says of which command it is."""
        try:
            return super().parse_args(ctx, args)
        except typer.TyperException as error:
            if getattr(error, "ctx", ctx) is None:
                error.ctx = ctx  # type: ignore[attr-defined] # of usage errors
            raise

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the words of the usage line: what is needed stands bare, as is the custom."""
        return [
            piece.removeprefix("{").replace("}", "") if piece.startswith("{") else piece
            for piece in super().collect_usage_pieces(ctx)
        ]


class PlainGroup(TyperGroup):
    """A group whose help has no more signs than it needs."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, as the help shows them."""
        return _without_noise(super().get_params(ctx))


class Command(PlainCommand):
    """A command that takes the global options after its name as well."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        _add_global_params(self.params)

    def invoke(self, ctx: Any) -> Any:
        """Run it; all that it calls is one trace, where somebody wants to see it."""
        name = " ".join(ctx.command_path.split()[1:])
        with traced(name, debug=Settings.of(ctx).debug):
            return super().invoke(ctx)


class RootGroup(PlainGroup):
    """``weft`` itself: global options, commands of other packages, and error handling."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        _add_global_params(self.params)
        self._plugins: dict[str, Plugin] | None = None
        self._as_json = False

    def list_commands(self, ctx: Any) -> list[str]:
        """Name every command, those of other packages last."""
        return [*super().list_commands(ctx), *self._found_plugins()]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Find a command; another package's is loaded only when it runs."""
        return super().get_command(ctx, cmd_name) or self._found_plugins().get(cmd_name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find what is named; what is like it is suggested, commands of other packages included."""
        try:
            return super().resolve_command(ctx, args)
        except typer.TyperException as error:
            from difflib import get_close_matches  # noqa: PLC0415 - only on the way to an error

            if alike := get_close_matches(args[0], self.list_commands(ctx)):
                names = ", ".join(map(repr, alike))
                error.message = f"No such command {args[0]!r}. Did you mean {names}?"
            raise

    def _found_plugins(self) -> dict[str, Plugin]:
        if self._plugins is None:
            found = find_plugins(PlainCommand, PlainGroup)
            self._plugins = {name: it for name, it in found.items() if name not in self.commands}
        return self._plugins

    def invoke(self, ctx: Any) -> Any:
        """Run the command, and turn every failure into a message and an exit code."""
        try:
            check_limit(os.environ)
        except WeftError as error:
            raise typer.Exit(_report_environment(error, as_json=self._as_json)) from None
        try:
            return super().invoke(ctx)
        except (typer.Exit, typer.Abort, BrokenPipeError):
            raise
        except OSError as error:
            if output_fault(error):
                raise
            raise typer.Exit(_report(error, Settings.of(ctx), as_json=self._as_json)) from None
        except KeyboardInterrupt:
            interrupts.say()
            raise typer.Exit(Exit.INTERRUPTED) from None
        except Exception as error:
            raise typer.Exit(_report(error, Settings.of(ctx), as_json=self._as_json)) from None

    def main(
        self,
        args: Any = None,
        prog_name: Any = None,
        complete_var: Any = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Parse and run; the exit code is the process's own when standing alone."""
        words = sys.argv[1:] if args is None else list(args)
        self._as_json = asks_for_json(words)
        try:
            code = super().main(args, prog_name, complete_var, False, windows_expand_args, **extra)
            sys.stdout.flush()
        except typer.TyperException as error:  # from an option before the command
            code = _report_usage(error, as_json=self._as_json)
        except OSError as error:
            code = _report_output(error, as_json=self._as_json)
        if standalone_mode:
            sys.exit(code if isinstance(code, int) else 0)
        return code


def _report(error: Exception, settings: Settings, *, as_json: bool) -> int:
    if isinstance(error, typer.TyperException):  # perhaps raised before --output was read
        return _report_usage(error, as_json=as_json)
    as_json = settings.output is Output.JSON
    if isinstance(error, WeftError):
        return report(error, as_json=as_json, target=settings.target, debug=settings.debug)
    return report_defect(error, as_json=as_json, debug=settings.debug)


def _report_output(error: OSError, *, as_json: bool) -> int:
    """Say that stdout cannot be written, but not when nobody reads it any more; drop what waits for it."""
    fault = output_fault(error)
    if not fault and not isinstance(error, BrokenPipeError):
        raise error
    sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - as long as the process
    return report_output(fault, as_json=as_json) if fault else Exit.FAILED


def _report_environment(error: WeftError, *, as_json: bool) -> int:
    report(error, as_json=as_json)
    return Exit.USAGE  # as of all settings that ``weft server`` cannot start with


def _report_usage(error: typer.TyperException, *, as_json: bool) -> int:
    if type(error).__name__ == "NoArgsIsHelpError":
        return error.exit_code  # its text was the help, and is printed already
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "weft"
    return report_usage(usage_fault(error), command=path, as_json=as_json)


def group(description: str) -> typer.Typer:
    """Make a group of commands about one noun."""
    return typer.Typer(cls=PlainGroup, no_args_is_help=True, help=description, add_completion=False)


def command(app: typer.Typer, name: str, *examples: str) -> Callable[[Callable[..., None]], Any]:
    """Add a function to a group as a command, with examples below its help."""
    return app.command(name, cls=Command, epilog=_epilog(examples))


def _epilog(examples: tuple[str, ...]) -> str:
    heading = "[bold]Example[/bold]" if len(examples) == 1 else "[bold]Examples[/bold]"
    escaped = [text.replace("[", "\\[") for text in examples]  # not markup
    return "\n".join((heading, *(f"  [cyan]{text}[/cyan]" for text in escaped)))
