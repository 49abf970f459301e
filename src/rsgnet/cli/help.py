"""The help of commands, at any width: names of options are never cut, texts wrap, examples can be copied."""

from __future__ import annotations

from typing import Any

from typer.core import TyperArgument, TyperCommand, TyperGroup

_NAME_COLUMN, _MAX_WIDTH = 26, 100


class _WholeSummary:
    """A command whose line in lists of commands is not cut."""

    help: str | None

    def get_short_help_str(self, limit: int = 0) -> str:
        """Returns the first paragraph of the help; the limit, after which typer cuts, does not matter."""
        return (self.help or "").split("\n\n")[0]


class HelpCommand(_WholeSummary, TyperCommand):
    """A command with this project's help."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Prints the help."""
        _print_help(self, ctx, [])


class HelpGroup(_WholeSummary, TyperGroup):
    """A group of commands with this project's help."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Prints the help with the list of commands."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        _print_help(self, ctx, [(name, command.get_short_help_str()) for name, command in commands if command])


def _print_help(command: Any, ctx: Any, commands: list[tuple[str, str]]) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    width = max(20, min(console.width, _MAX_WIDTH))
    arguments = [param for param in command.get_params(ctx) if isinstance(param, TyperArgument)]
    options = [param for param in command.get_params(ctx) if not isinstance(param, TyperArgument)]
    shown = " ".join([ctx.command_path, *(_name_argument(each) for each in arguments), "OPTIONS"])
    console.print(Text(f"Usage: {shown}{' COMMAND' if commands else ''}", "bold"), width=width)
    for paragraph in (command.help or "").split("\n\n"):
        console.print()
        if paragraph.startswith(" "):  # examples: whole lines, which can be copied
            console.print(Text(paragraph.replace("\\[", "["), no_wrap=True, overflow="ignore"), crop=False)
        else:
            console.print(Text.from_markup(paragraph), width=width)
    sections = {
        "Commands": commands,
        "Arguments": [(_name_argument(each), _describe(each)) for each in arguments],
        "Options": [(_name_option(each), _describe(each)) for each in options if not each.hidden],
    }
    for title, rows in sections.items():
        if rows:
            console.print()
            console.print(Text(f"{title}:", "bold"))
            _print_rows(console, rows, width)


def _print_rows(console: Any, rows: list[tuple[str, str]], width: int) -> None:
    """Prints names and texts in two columns; a long name, or any on a narrow terminal, has a line of its own."""
    from rich.text import Text

    column = min(_NAME_COLUMN, width // 3)
    for name, text in rows:
        described = Text.from_markup(text).wrap(console, width - column)
        start = f"  {name}"
        if len(start) > column - 2:
            console.print(Text(start, "cyan", no_wrap=True, overflow="ignore"), crop=False)
            start = ""
        for line in described or [Text()]:
            console.print(Text.assemble((start.ljust(column), "cyan"), line), crop=False)
            start = ""


def _name_argument(param: Any) -> str:
    name = param.metavar or (param.name or "").upper()
    return f"{name}..." if param.nargs != 1 else str(name)


def _name_option(param: Any) -> str:
    names = "/".join([", ".join(param.opts), *([", ".join(param.secondary_opts)] if param.secondary_opts else [])])
    return names if param.is_flag else f"{names} {param.metavar or (param.name or '').upper()}"


def _describe(param: Any) -> str:
    """Returns a parameter's help, as rich's markup, with its default."""
    text, default = param.help or "", param.default
    if param.required:
        return f"{text} [dim]\\[required][/dim]"
    if isinstance(default, bool):
        return f"{text} [dim]\\[default: {param.opts[0]}][/dim]" if default and param.secondary_opts else text
    if default is None or callable(default) or not str(default) or default == []:
        return text
    return f"{text} [dim]\\[default: {default}][/dim]"
