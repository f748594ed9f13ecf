"""YAML text as a plain tree whose every value knows its line.

A scalar stays the text that was written, and the model gives it its type: `model: 2024-07-18` is no
date, `no` is not false where a name stands, and an environment variable says the same as the file.

The reader is PyYAML's own, without its object construction; the one written in C dies of deep
nesting. Bounds: characters, depth, and values counted after aliases are followed, so that a
"billion laughs" is refused at the price of what is still allowed.
"""

from dataclasses import dataclass, field

import yaml

from headrace.schemas.config.errors import ConfigMalformed, Problem, ProblemCode
from headrace.schemas.config.keypath import KeyPath, Tree, spell

MAX_TEXT = 1 << 20
"""Characters; also what a Kubernetes ConfigMap can hold."""
MAX_DEPTH = 32
MAX_VALUES = 100_000

_TAG = "tag:yaml.org,2002:"
_PLAIN_TAGS = frozenset(
    _TAG + name
    for name in ("bool", "float", "int", "map", "null", "seq", "str", "timestamp", "value")
)


@dataclass
class Document:
    """A tree, where each of its values was said, and what was wrong with the writing itself."""

    source: str
    tree: dict[str, Tree] = field(default_factory=dict)
    marks: dict[KeyPath, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def where(self, path: KeyPath) -> str:
        """Where the value at `path` was said, or else the nearest value around it."""
        for end in range(len(path), -1, -1):
            if path[:end] in self.marks:
                return self.marks[path[:end]]
        return self.source

    def problem(self, code: ProblemCode, path: KeyPath, message: str) -> Problem:
        """A problem with the value at `path`."""
        return Problem(code, self.where(path), spell(path), message)


def read_document(text: str, source: str) -> Document:
    """The document in `text`; `source` is the file's name in messages. Raises `ConfigMalformed`."""
    if len(text) > MAX_TEXT:
        raise _malformed(source, f"longer than {MAX_TEXT} characters")
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        return _Walk(source).document(root)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = source if mark is None else f"{source}:{mark.line + 1}"
        raise _malformed(where, _plain_words(error)) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise _malformed(f"{source}:{line}", "a control character stands in the text") from None
    except RecursionError:
        raise _malformed(source, f"nested deeper than {MAX_DEPTH} levels") from None


def _malformed(where: str, message: str) -> ConfigMalformed:
    return ConfigMalformed([Problem(ProblemCode.MALFORMED, where, "", message)])


def _plain_words(error: yaml.MarkedYAMLError) -> str:
    """PyYAML's words without its excerpt of the text, which might show a secret."""
    problem = error.problem or "not YAML"
    if "'\\t'" in problem:
        return "a tab stands where YAML wants spaces"
    return f"{problem} ({error.context})" if error.context else problem


class _Walk:
    """One walk over a composed document."""

    def __init__(self, source: str) -> None:
        self._into = Document(source)
        self._values = 0

    def document(self, root: yaml.Node | None) -> Document:
        if root is None:
            return self._into
        if not isinstance(root, yaml.MappingNode):
            raise _malformed(self._line(root), "a configuration is a mapping of keys to values")
        self._into.tree = self._mapping(root, ())
        return self._into

    def _value(self, node: yaml.Node, path: KeyPath) -> Tree:
        self._values += 1
        if self._values > MAX_VALUES:
            raise _malformed(self._line(node), f"more than {MAX_VALUES} values, aliases followed")
        if len(path) > MAX_DEPTH:
            raise _malformed(self._line(node), f"nested deeper than {MAX_DEPTH} levels")
        if node.tag not in _PLAIN_TAGS:
            raise _malformed(self._line(node), f"the tag {node.tag.removeprefix(_TAG)} is not read")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self._item(item, (*path, i)) for i, item in enumerate(node.value)]
        return None if node.tag == _TAG + "null" else str(node.value)

    def _item(self, node: yaml.Node, path: KeyPath) -> Tree:
        self._into.marks[path] = self._line(node)
        return self._value(node, path)

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Tree]:
        members: dict[str, Tree] = {}
        merged: list[yaml.Node] = []
        for key, value in node.value:
            if key.tag == _TAG + "merge":
                merged += value.value if isinstance(value, yaml.SequenceNode) else [value]
                continue
            name = self._key(key)
            here = (*path, name)
            if name in members:
                self._repeated(key, here)
                continue
            self._into.marks[here] = self._line(key)
            members[name] = self._value(value, here)
        return self._merge(members, merged, path)

    def _merge(
        self, members: dict[str, Tree], merged: list[yaml.Node], path: KeyPath
    ) -> dict[str, Tree]:
        """YAML's `<<`: what the mapping itself says wins, then the first that is merged in."""
        for node in merged:
            if not isinstance(node, yaml.MappingNode):
                raise _malformed(self._line(node), "only a mapping can be merged in with <<")
            for key, value in node.value:
                here = (*path, self._key(key))
                if here[-1] not in members:
                    self._into.marks[here] = self._line(key)
                    members[self._key(key)] = self._value(value, here)
        return members

    def _key(self, node: yaml.Node) -> str:
        if not isinstance(node, yaml.ScalarNode) or node.tag not in _PLAIN_TAGS:
            raise _malformed(self._line(node), "a key is plain text")
        return str(node.value)

    def _repeated(self, key: yaml.Node, path: KeyPath) -> None:
        message = f"stands twice, first at {self._into.marks[path]}"
        problem = Problem(ProblemCode.CONFLICT, self._line(key), spell(path), message)
        self._into.problems.append(problem)

    def _line(self, node: yaml.Node) -> str:
        return f"{self._into.source}:{node.start_mark.line + 1}"
