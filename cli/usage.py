"""What is wrong with a command line, in BuildNet's words. Typer finds it, and tells it in those of
the libraries that it uses."""

from __future__ import annotations

import re
from typing import Any

from buildnet.mesh.errors import UsageError
from buildnet.mesh.suggest import did_you_mean
from buildnet.pool.wording import expectation


def is_usage_error(error: Exception) -> bool:
    """Tell whether Typer found the arguments wrong. (It carries its own copy of Click, so that its
    errors can't be named by an import of Click's.)"""
    return any(kind.__name__ == "UsageError" for kind in type(error).__mro__) and hasattr(
        error, "format_message"
    )


def in_words(error: Any) -> UsageError:
    """Return Typer's error as ours."""
    context, parameter = error.ctx, getattr(error, "param", None)
    command = context.command_path if context is not None else "buildnet"
    hint = f"see: {command} --help"
    match type(error).__name__:
        case "MissingParameter" if parameter is not None:
            return UsageError(f"{_name(parameter)} is missing", hint=hint)
        case "BadParameter" if parameter is not None and hasattr(error.__cause__, "errors"):
            return _wrong_value(parameter, error.__cause__.errors(include_url=False)[0], hint)
        case "NoSuchOption" if context is not None:
            known = [name for one in context.command.params for name in one.opts]
            meant = did_you_mean(error.option_name, known)
            return UsageError(f"{command} has no option {error.option_name}", hint=meant or hint)
    message = error.format_message()
    for told, ours in _OURS:
        if found := told.match(message):
            return UsageError(ours.format(found[1], command=command), hint=_meant(message) or hint)
    return UsageError(message, hint=hint)


_OURS = (
    (re.compile(r"No such command '(.*?)'"), "{command} has no command {0!r}"),
    (re.compile(r"Option '(.*?)' requires an argument"), "{0} needs a value"),
    (re.compile(r"Option '(.*?)' does not take a value"), "{0} takes no value"),
    (re.compile(r"Got unexpected extra arguments?(?:\(s\))? \((.*)\)"), "too many arguments: {0}"),
)


def _meant(message: str) -> str | None:
    found = re.search(r"Did you mean ('.*?')", message)
    return f"did you mean {found[1]}?" if found else None


def _wrong_value(parameter: Any, wrong: dict[str, Any], hint: str) -> UsageError:
    given, expected = str(wrong["input"]), expectation(wrong["type"], wrong.get("ctx", {}))
    kind = getattr(parameter, "type_descriptor", None)
    choices = [str(one) for one in getattr(kind, "choices", None) or ()]
    if choices:
        expected, hint = f"one of {', '.join(choices)}", did_you_mean(given, choices) or hint
    return UsageError(
        f"wrong value {given!r} for {_name(parameter)}: expected {expected}", hint=hint
    )


def _name(parameter: Any) -> str:
    if parameter.param_type_name == "option":
        return str(parameter.opts[0])
    return str(parameter.metavar or parameter.name.upper().replace("_", "-"))
