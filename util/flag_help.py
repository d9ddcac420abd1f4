"""`--help` that can be read: one line of usage, a program's own flags first, and none that are of no use to it."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from util.errors import InputError

PLACEHOLDERS = {int: "N", float: "X", Path: "PATH"}
NO_TEXT = "a file of flags (@FILE) is not text in UTF-8"
INDENTATION = 30  # columns, where what a flag does begins


def placeholder(action: argparse.Action) -> str:
    """What stands for a flag's value: what it says itself, its type, or the last word of its name."""
    if isinstance(action.metavar, str):
        return action.metavar
    return PLACEHOLDERS.get(action.type) or action.dest.rpartition("_")[2].upper()


class ReadableFormatter(argparse.HelpFormatter):
    """Short placeholders; defaults in brackets, where there is one to tell."""

    def __init__(self, prog: str, **options: Any) -> None:
        super().__init__(prog, max_help_position=INDENTATION, **options)

    def _get_default_metavar_for_optional(self, action: argparse.Action) -> str:
        return placeholder(action)

    def _get_help_string(self, action: argparse.Action) -> str:
        default, text = action.default, action.help or ""
        if default is None or default is False or default in ("", argparse.SUPPRESS) or "default" in text:
            return text
        shown = " ".join(map(str, default)) if isinstance(default, list | tuple) else str(default)
        return f"{text} [{shown.replace('%', '%%')}]"


class FlagParser(argparse.ArgumentParser):
    """A parser whose help has the groups that a program adds itself first, and leaves some out.

    unused: titles of the groups whose flags are taken, and are of no use to the program.
    """

    def __init__(self, *, unused: Sequence[str] = (), **options: Any) -> None:
        super().__init__(formatter_class=ReadableFormatter, **options)
        self.unused = unused
        self._shared: list[Any] = []

    def leave_out(self, *names: str) -> None:
        """Flags that are taken, and that `--help` does not show."""
        for name in names:
            self._option_string_actions[f"--{name}"].help = argparse.SUPPRESS

    def shared_so_far(self) -> None:
        """Groups that are added from now on are the program's own."""
        self._shared = list(self._action_groups)

    def parse_known_args(self, *arguments: Any, **options: Any) -> tuple[argparse.Namespace, list[str]]:
        """As always; raises InputError for an @file that is no text."""
        try:
            return super().parse_known_args(*arguments, **options)
        except UnicodeDecodeError as error:
            raise InputError(NO_TEXT) from error

    def format_usage(self) -> str:
        """One line: what must be given."""
        required = [f"{action.option_strings[0]} {placeholder(action)}" for action in self._actions if action.required]
        return " ".join(["usage:", self.prog, *required, "[flags]"]) + "\n"

    def format_help(self) -> str:
        """All that `--help` says."""
        own = [group for group in self._action_groups if group not in self._shared]
        formatter = self._get_formatter()
        formatter.add_text(self.description)
        for group in (*own, *self._shared):
            if group.title not in self.unused:
                formatter.start_section(group.title)
                formatter.add_text(group.description)
                formatter.add_arguments(group._group_actions)
                formatter.end_section()
        if self.unused:
            formatter.add_text("main.py --help also lists the flags of training: they are taken, and do nothing here.")
        formatter.add_text(self.epilog)
        return f"{self.format_usage()}\n{formatter.format_help()}"
