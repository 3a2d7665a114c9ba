"""Documents that people write, as strict models: what is wrong in them, each with its path.

Unknown keys are errors with a suggestion, wrong values name the path and what is expected there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from inspect import isclass
from typing import Any, ClassVar, NamedTuple, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from buildnet.mesh.errors import UsageError
from buildnet.mesh.suggest import did_you_mean
from buildnet.pool.wording import expectation
from buildnet.pool.yaml_document import YamlDocument, YamlPath, load_yaml

Model = TypeVar("Model", bound=BaseModel)
_SHOWN = 60


class Keys(BaseModel):
    """Base of the models: immutable, and unknown keys are errors. ``called_elsewhere``: what others
    call a key here."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    called_elsewhere: ClassVar[Mapping[str, str]] = {}


class DocumentProblem(NamedTuple):
    """One thing that is wrong. ``path``: where, such as ``("resources", "cpu", "cores")``;
    ``line``: in the file, from 1; None: it came in no file."""

    line: int | None
    path: YamlPath
    message: str
    hint: str | None = None

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message} ({self.hint})"


class InvalidDocumentError(UsageError):
    """A configuration, template or profile that says something without meaning; ``problems`` holds
    all of it."""

    code = "INVALID_CONFIGURATION"

    def __init__(self, where: str, problems: Iterable[DocumentProblem]) -> None:
        self.problems = tuple(problems)
        one = len(self.problems) == 1
        super().__init__(
            "\n".join(
                f"{where}{'' if each.line is None else f':{each.line}'}: "
                f"{each.message if one else each}"
                for each in self.problems
            ),
            hint=(self.problems[0].hint if one else None)
            or "the reference of configurations explains every key",
        )


def expected(what: str) -> PydanticCustomError:
    """Return the error of a validator: what should have stood there."""
    return PydanticCustomError("expected", "expected {what}", {"what": what})


def contradiction(message: str, hint: str = "") -> PydanticCustomError:
    """Return the error of keys that are right one by one but not together."""
    return PydanticCustomError("wrong", "{text}", {"text": message, "hint": hint})


def load_document(text: str, where: str) -> YamlDocument:
    """Read a document as YAML or JSON.

    Raises:
        YamlError: it is neither.
        InvalidDocumentError: it does not hold keys and values.
    """
    if text.lstrip().startswith("{"):
        text = text.replace("\t", " ")  # JSON may be indented with tabs, YAML may not
    document = load_yaml(text, where)
    if not isinstance(document.data, dict):
        raise InvalidDocumentError(where, [DocumentProblem(1, (), "expected keys and values")])
    return document


def read_model(
    model: type[Model], data: object, where: str, document: YamlDocument | None = None
) -> Model:
    """Return ``data`` as a model. ``where`` names it in errors; ``document``: where it came from.

    Raises:
        InvalidDocumentError: something is wrong with it.
    """
    try:
        return model.model_validate(without_nulls(data))
    except ValidationError as error:
        raise InvalidDocumentError(where, problems_of(error, model, document)) from error


def problems_of(
    error: ValidationError, model: type[BaseModel], document: YamlDocument | None = None
) -> list[DocumentProblem]:
    """Return what a validation found, in our words, in the order of the lines."""
    found = {_problem(one, model, document) for one in error.errors(include_url=False)}
    return sorted(found, key=lambda one: (one.line or 0, [str(step) for step in one.path]))


def without_nulls(value: object) -> object:
    """Drop keys without a value (``volumes:`` and nothing after it): they mean the default."""
    if isinstance(value, dict):
        return {key: without_nulls(one) for key, one in value.items() if one is not None}
    if isinstance(value, list):
        return [without_nulls(one) for one in value]
    return value


def dotted(path: YamlPath) -> str:
    """Return a path as people write it: ``resources.storage.volumes[0].path``; what of a key can't
    be printed as an escape."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{_shown(step)}" for step in path)
    return text.removeprefix(".")


def _shown(key: object) -> str:
    text = str(key)
    return text if text.isprintable() else repr(text)[1:-1]


def _problem(
    error: ErrorDetails, model: type[BaseModel], document: YamlDocument | None
) -> DocumentProblem:
    path: YamlPath = tuple(step for step in error["loc"] if step != "[key]")
    message, hint = _wording(error, path, model)
    line = None if document is None else document.line(path)
    return DocumentProblem(line, path, message, hint)


def _wording(error: ErrorDetails, path: YamlPath, model: type[BaseModel]) -> tuple[str, str | None]:
    kind, context = error["type"], error.get("ctx") or {}
    inside = f" in {dotted(path[:-1])}" if len(path) > 1 else ""
    if kind == "extra_forbidden":
        return f"unknown key {path[-1]!r}{inside}", _known(_model_at(model, path[:-1]), path[-1])
    if kind == "missing":
        return f"the key {path[-1]!r} is missing{inside}", None
    if kind == "wrong":
        place = f"{dotted(path)}: " if path else ""
        return f"{place}{context['text']}", context["hint"] or None
    hint: str | None = None
    if kind == "literal_error":
        options = re.findall(r"'([^']+)'", str(context.get("expected", "")))
        hint = did_you_mean(str(error["input"]), options)
    given = json.dumps(error["input"], ensure_ascii=False, default=str)
    given = given if len(given) <= _SHOWN else given[: _SHOWN - 1] + "…"
    name = dotted(path) or "the document"
    return f"wrong value {given} for {name}: expected {expectation(kind, context)}", hint


def _known(model: type[BaseModel], key: object) -> str:
    elsewhere = model.called_elsewhere if issubclass(model, Keys) else {}
    if key in elsewhere:
        return f"it is called {elsewhere[str(key)]!r} here"
    known = list(model.model_fields)
    return did_you_mean(str(key), known) or f"known keys: {', '.join(known)}"


def _model_at(model: type[BaseModel], path: YamlPath) -> type[BaseModel]:
    """Return the model of what stands at a path, as far as it leads to one."""
    here = model
    for step in path:
        field = here.model_fields.get(step) if isinstance(step, str) else None
        here = (field and _model_in(field.annotation)) or here
    return here


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isclass(annotation) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_model_in, get_args(annotation))), None)
