"""Hand-written YAML, read safely: size-capped, no aliases, no tags, no key twice, every mistake named with its line."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from .errors import UsageError

MAX_BYTES = 1 << 20
Model = TypeVar("Model", bound=BaseModel)


class Strict(BaseModel):
    """Base of everything read from YAML: frozen, and an unknown word is an error, not ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class _PlainLoader(yaml.SafeLoader):
    """Safe YAML without aliases, which nobody needs here and a billion-laughs file does, and with every key once."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.events.AliasEvent):
            here = self.get_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, "aliases are not allowed", here)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value} stands here twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except ValueError as error:  # the 13th month, a number of 5000 digits
            raise yaml.constructor.ConstructorError(None, None, str(error), node.start_mark) from None


def load_yaml(path: Path, model: type[Model]) -> Model:
    """The document at `path` as a `model`; `UsageError` naming file and line for anything else."""
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise UsageError(f"{path.name} is too large to be hand-written", got=f"{size} bytes", allowed="up to 1 MB")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UsageError(f"no such file: {path}") from None
    except (UnicodeDecodeError, IsADirectoryError):
        raise UsageError(f"{path.name} is not a text file") from None
    try:
        loader = _PlainLoader(text)
        try:
            node = loader.get_single_node()
            document = loader.construct_document(node) if node is not None else {}
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise UsageError(f"{path.name}{line}: not valid YAML: {getattr(error, 'problem', None) or error}") from None
    except RecursionError:
        raise UsageError(f"{path.name}: not valid YAML: nested too deeply") from None
    try:
        return model.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        location, message = first["loc"], first["msg"].removeprefix("Value error, ")
        where = ".".join(str(part) for part in location)
        got = first.get("input")
        shown = None if first["type"] == "missing" or isinstance(got, dict | list) else repr(got)
        raise UsageError(
            f"{path.name}:{_line_of(node, location)}: {where + ': ' if where else ''}{message}", got=shown
        ) from None


def line_of(path: Path, *location: int | str) -> str:
    """`grid.yaml:7: `, where the keys and indices of `location` lead to in a document that `load_yaml` has read."""
    loader = _PlainLoader(path.read_text(encoding="utf-8"))
    try:
        return f"{path.name}:{_line_of(loader.get_single_node(), location)}: "
    finally:
        loader.dispose()


def _line_of(node: yaml.Node | None, location: tuple[int | str, ...]) -> int:
    """Line of the deepest node that `location` reaches, counted from 1."""
    line = 1
    for part in location:
        children: list[yaml.Node] = []
        if isinstance(node, yaml.MappingNode):
            children = [value for key, value in node.value if key.value == str(part)]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            children = node.value[part : part + 1]
        if not children:
            break
        node = children[0]
        line = node.start_mark.line + 1
    return line
