"""Templates: configurations with variables in them, that people fill in.

``{cores}`` or ``{{cores}}`` in a text of ``config`` stands for the variable ``cores``. A text that
is nothing else takes the variable's own type: ``cores: "{cores}"`` becomes a number.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from buildnet.mesh.suggest import did_you_mean
from buildnet.pool.configuration import BuildConfiguration, Description, Identifier, Title
from buildnet.pool.strict_model import (
    DocumentProblem,
    InvalidDocumentError,
    Keys,
    contradiction,
    dotted,
    load_document,
    problems_of,
    read_model,
    without_nulls,
)
from buildnet.pool.yaml_document import YamlDocument, YamlPath

Value = bool | int | float | str
Category = Literal["local_only", "quick_build", "full_build", "ci_cd", "custom"]

_NAME = r"[A-Za-z_][A-Za-z0-9_]{0,63}"
_PLACEHOLDER = re.compile(rf"\{{\{{\s*({_NAME})\s*\}}\}}|\{{({_NAME})\}}", re.ASCII)
_TRUTH = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_MAX_TEXT = 1000
_DEPTH = 16


class Variable(Keys):
    """What who uses a template may choose. ``default`` None: they have to; ``minimum`` and
    ``maximum`` bound numbers; ``choices`` are those of the type ``choice``."""

    name: Annotated[str, Field(pattern=rf"^{_NAME}$")]
    type: Literal["integer", "number", "text", "boolean", "choice"]
    description: Description = ""
    default: Value | None = None
    minimum: float | None = None
    maximum: float | None = None
    choices: Annotated[tuple[str, ...], Field(max_length=100)] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Variable:
        bounds = [one for one in (self.minimum, self.maximum) if one is not None]
        if bounds and self.type not in ("integer", "number"):
            raise contradiction("minimum and maximum are for integer and number")
        if not all(map(math.isfinite, bounds)) or bounds != sorted(bounds):
            raise contradiction("minimum and maximum must be numbers, and minimum the smaller one")
        if bool(self.choices) is not (self.type == "choice"):
            raise contradiction("choices are for the type choice, which needs them")
        if self.default is not None:
            try:
                self.value(self.default)
            except ValueError as error:
                raise contradiction(
                    f"the default {self.default!r:.60} does not fit: {error}"
                ) from None
        return self

    def value(self, given: object) -> Value:
        """Return a value of this variable's type; text is read as one.

        Raises:
            ValueError: it does not fit; says what does.
        """
        found = _READERS[self.type](given)
        if found is None or (self.choices and found not in self.choices):
            raise ValueError(f"expected {self.wanted}")
        if isinstance(found, int | float) and not isinstance(found, bool):
            low = -math.inf if self.minimum is None else self.minimum
            high = math.inf if self.maximum is None else self.maximum
            if not low <= found <= high:
                raise ValueError(f"expected {self.wanted}")
        return found

    @property
    def wanted(self) -> str:
        """What it takes, in words."""
        if self.type == "choice":
            return f"one of {', '.join(self.choices)}"
        words = {"integer": "a whole number", "number": "a number", "text": "text"}
        bounds = [f"from {self.minimum:g}"] if self.minimum is not None else []
        bounds += [f"to {self.maximum:g}"] if self.maximum is not None else []
        return " ".join([words.get(self.type, "true or false"), *bounds])

    def sample(self) -> Value:
        """Return a value that fits, to try the template with."""
        if self.default is not None:
            return self.value(self.default)
        if self.type == "choice":
            return self.choices[0]
        if self.type in ("integer", "number"):
            low = 1.0 if self.minimum is None else self.minimum
            found = low if self.maximum is None else min(low, self.maximum)
            return math.ceil(found) if self.type == "integer" else found
        return True if self.type == "boolean" else "x"


class Template(Keys):
    """A reusable pattern of a configuration. ``id`` None: it is kept under none yet."""

    id: Identifier | None = None
    name: Title | None = None
    description: Description = ""
    icon: Annotated[str, Field(max_length=64)] | None = None
    category: Category = "custom"
    config: dict[str, Any]
    variables: Annotated[tuple[Variable, ...], Field(max_length=100)] = ()
    use_cases: Annotated[tuple[Description, ...], Field(max_length=20)] = ()

    @model_validator(mode="after")
    def _complete(self) -> Template:
        names = [one.name for one in self.variables]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise contradiction(f"two variables are called {twice[0]!r}")
        if "id" in self.config:
            raise contradiction("config has an id", "remove it: who uses the template chooses one")
        if _depth(self.config) > _DEPTH:
            raise contradiction(f"config is nested deeper than {_DEPTH} levels")
        used = set()
        for path, text in _texts(self.config):
            for name in _names_in(text):
                if name not in names:
                    known = f"declared are: {', '.join(names)}" if names else "declare it"
                    raise contradiction(
                        f"config.{dotted(path)} names the variable {name!r}, which is not declared",
                        did_you_mean(name, names) or known,
                    )
                used.add(name)
        for name in names:
            if name not in used:
                raise contradiction(
                    f"the variable {name!r} stands nowhere in config", f'write "{{{name}}}" there'
                )
        return self

    def document(self) -> dict[str, Any]:
        """Return what it says beyond the defaults, as it is kept and exported, without the id."""
        found: dict[str, Any] = self.model_dump(
            mode="json", exclude={"id", "config"}, exclude_defaults=True, exclude_none=True
        )
        return {**found, "config": self.config}

    def fill(self, given: Mapping[str, object], where: str) -> BuildConfiguration:
        """Return the configuration that it makes of the values ``given`` by name.

        Raises:
            InvalidDocumentError: a value is missing or does not fit, or there is no such variable.
        """
        names = [one.name for one in self.variables]
        known = f"known: {', '.join(names)}" if names else "this template has none"
        problems = [
            DocumentProblem(
                None, (name,), f"there is no variable {name!r}", did_you_mean(name, names) or known
            )
            for name in given
            if name not in names
        ]
        values: dict[str, Value] = {}
        for one in self.variables:
            chosen = given.get(one.name, one.default)
            if chosen is None:
                text = f"the variable {one.name!r} needs a value: {one.wanted}"
                problems.append(DocumentProblem(None, (one.name,), text, f"--set {one.name}=…"))
                continue
            try:
                values[one.name] = one.value(chosen)
            except ValueError as error:
                text = f"wrong value {chosen!r:.60} for the variable {one.name!r}: {error}"
                problems.append(DocumentProblem(None, (one.name,), text))
        if problems:
            raise InvalidDocumentError(where, problems)
        return read_model(BuildConfiguration, _filled(self.config, values), where)


def read_template(data: object, where: str, document: YamlDocument | None = None) -> Template:
    """Return a template from plain data; what it makes with its defaults has to be a configuration.

    Raises:
        InvalidDocumentError: something is wrong with it.
    """
    template = read_model(Template, data, where, document)
    values = {one.name: one.sample() for one in template.variables}
    open_ends = {one.name for one in template.variables if one.default is None}
    unsure = {path for path, text in _texts(template.config) if open_ends & set(_names_in(text))}
    try:
        BuildConfiguration.model_validate(without_nulls(_filled(template.config, values)))
    except ValidationError as error:
        found = [
            one._replace(
                path=("config", *one.path),
                line=None if document is None else document.line(("config", *one.path)),
                message=f"config: {one.message}",
            )
            for one in problems_of(error, BuildConfiguration)
            # Who uses the template is told what their value does; nobody can know it here.
            if not any(path[: len(one.path)] == one.path for path in unsure)
        ]
        if found:
            raise InvalidDocumentError(where, found) from error
    return template


def parse_template(text: str, where: str) -> Template:
    """Read a template as YAML or JSON.

    Raises:
        YamlError, InvalidDocumentError: something is wrong with it.
    """
    document = load_document(text, where)
    return read_template(document.data, where, document)


def _integer(given: object) -> Value | None:
    if isinstance(given, str) and re.fullmatch(r"\s*[-+]?\d{1,15}\s*", given, re.ASCII):
        return int(given)
    return given if isinstance(given, int) and not isinstance(given, bool) else None


def _number(given: object) -> Value | None:
    if isinstance(given, str) and re.fullmatch(r"\s*[-+]?\d{1,15}(\.\d{0,9})?\s*", given, re.ASCII):
        return float(given)
    is_number = isinstance(given, int | float) and not isinstance(given, bool)
    return given if is_number and math.isfinite(given) else None  # type: ignore[arg-type,return-value]


def _boolean(given: object) -> Value | None:
    return (
        _TRUTH.get(given.strip().lower())
        if isinstance(given, str)
        else (given if isinstance(given, bool) else None)
    )


def _text(given: object) -> Value | None:
    if isinstance(given, bool) or not isinstance(given, str | int | float):
        return None
    text = str(given)
    return text if len(text) <= _MAX_TEXT and text.isprintable() else None


_READERS: Mapping[str, Callable[[object], Value | None]] = {
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
    "text": _text,
    "choice": _text,
}


def _filled(value: Any, values: Mapping[str, Value]) -> Any:
    """Return ``value`` with its placeholders replaced."""
    if isinstance(value, dict):
        return {key: _filled(one, values) for key, one in value.items()}
    if isinstance(value, list):
        return [_filled(one, values) for one in value]
    if not isinstance(value, str):
        return value
    whole = _PLACEHOLDER.fullmatch(value.strip())
    if whole is not None:
        return values[whole[1] or whole[2]]
    return _PLACEHOLDER.sub(lambda found: _written(values[found[1] or found[2]]), value)


def _written(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _names_in(text: str) -> list[str]:
    return [found[1] or found[2] for found in _PLACEHOLDER.finditer(text)]


def _texts(value: Any, path: YamlPath = ()) -> Iterator[tuple[YamlPath, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict | list):
        steps = value.items() if isinstance(value, dict) else enumerate(value)
        for step, one in steps:
            yield from _texts(one, (*path, step))


def _depth(value: Any) -> int:
    """Return how deep it is nested; what is far too deep is not followed to its end."""
    level, depth = [value], 0
    while level and depth <= _DEPTH:
        below = [one for one in level if isinstance(one, dict | list)]
        level = [each for one in below for each in (one.values() if isinstance(one, dict) else one)]
        depth += 1
    return depth
