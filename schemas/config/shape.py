"""What the model allows at a path, read from its annotations."""

from types import NoneType, UnionType
from typing import Annotated, Union, get_args, get_origin

from pydantic import SecretStr

from headrace.schemas.config.keypath import KeyPath
from headrace.schemas.config.model import Config
from headrace.schemas.config.section import Section


def shape_at(path: KeyPath) -> object:
    """The type of the value at `path`: a class or a `dict` or `list` alias; None: unknown."""
    shape: object = Config
    for step in path:
        shape = member_shape(shape, step)
    return shape


def member_shape(shape: object, step: str | int) -> object:
    """The type of one member of a value of type `shape`; None where it can have no such member."""
    if section := as_section(shape):
        found = section.model_fields.get(str(step))
        return None if found is None else bare(found.annotation)
    arguments = get_args(shape)
    if get_origin(shape) is dict and isinstance(step, str):
        return bare(arguments[1])
    if get_origin(shape) is list and isinstance(step, int):
        return bare(arguments[0])
    return None


def as_section(shape: object) -> type[Section] | None:
    """`shape` where it is a section of the model."""
    return shape if isinstance(shape, type) and issubclass(shape, Section) else None


def bare(annotation: object) -> object:
    """`annotation` without `Annotated` and without `| None`."""
    if get_origin(annotation) is Annotated:
        return bare(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return bare(next(arg for arg in get_args(annotation) if arg is not NoneType))
    return annotation


def is_secret(path: KeyPath) -> bool:
    """Whether the model holds the value at `path` as a secret."""
    return shape_at(path) is SecretStr


def known_keys(path: KeyPath) -> tuple[str, ...]:
    """The keys that a section at `path` may have."""
    section = as_section(shape_at(path))
    return tuple(section.model_fields) if section else ()
