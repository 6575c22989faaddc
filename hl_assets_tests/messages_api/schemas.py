"""What the stand-in knows of JSON schema: which schemas the API takes, and which places of an answer a schema governs.

Belongs here: reading schemas. Making answers is in `answers.py`, spoiling them in `damage.py`.
Source of the limits: https://docs.claude.com/en/docs/build-with-claude/structured-outputs, "JSON Schema limitations".
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hl_assets_tests.messages_api.errors import ApiError, invalid

Schema = Mapping[str, Any]

_PATH = "output_config.format.schema"
_TYPES = {"object", "array", "string", "integer", "number", "boolean", "null"}
_UNSUPPORTED = {
    "string": ("minLength", "maxLength", "pattern"),
    "integer": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    "array": ("maxItems", "uniqueItems", "contains", "prefixItems"),
    "object": ("patternProperties", "minProperties", "maxProperties"),
}


@dataclass(frozen=True, slots=True)
class Place:
    """One value inside an answer: `holder[key]`, its schema (references followed) and whether it is a required field."""

    holder: Any
    key: str | int
    schema: Schema
    required: bool

    @property
    def value(self) -> Any:
        """What stands there."""
        return self.holder[self.key]


def check_schema(root: Any) -> None:
    """Refuse what the API refuses.

    Raises:
        ApiError: 400, naming the limit the schema breaks.
    """
    if not isinstance(root, dict):
        raise invalid(f"{_PATH}: Input should be a valid dictionary")
    for name, schema in root.get("$defs", {}).items():
        _check(schema, root, (name,))
    _check(root, root, ())


def resolve(schema: Schema, root: Schema) -> Schema:
    """The schema with `$ref` followed."""
    while "$ref" in schema:
        name = str(schema["$ref"]).removeprefix("#/$defs/")
        schema = root["$defs"][name]
    return schema


def branch_for(schema: Schema, root: Schema, value: Any) -> Schema:
    """The branch of a union that fits a value already there."""
    schema = resolve(schema, root)
    while "anyOf" in schema:
        branches = [resolve(branch, root) for branch in schema["anyOf"]]
        fitting = [branch for branch in branches if (branch.get("type") == "null") == (value is None)]
        schema = fitting[0] if fitting else branches[0]
    return schema


def places(answer: Any, root: Schema) -> Iterator[Place]:
    """Every value of an answer with its schema, outermost first."""
    yield from _inside(answer, branch_for(root, root, answer), root)


def _inside(value: Any, schema: Schema, root: Schema) -> Iterator[Place]:
    if isinstance(value, dict):
        children = [
            (key, part, key in schema.get("required", ()))
            for key, part in schema.get("properties", {}).items()
            if key in value
        ]
    elif isinstance(value, list) and "items" in schema:
        children = [(index, schema["items"], False) for index in range(len(value))]
    else:
        return
    for key, part, required in children:
        found = branch_for(part, root, value[key])
        yield Place(value, key, found, required)
        yield from _inside(value[key], found, root)


def _check(schema: Any, root: Schema, open_names: tuple[str, ...]) -> None:
    if not isinstance(schema, dict):
        raise invalid(f"{_PATH}: every schema must be an object")
    if "$ref" in schema:
        _check_reference(str(schema["$ref"]), root, open_names)
        return
    for union in ("oneOf", "allOf", "not", "if"):
        if union in schema:
            raise invalid(f"{_PATH}: Schema type '{union}' is not supported")
    if not {"anyOf", "enum", "const"} & set(schema):
        _check_keywords(schema)
    parts = [*schema.get("anyOf", ()), *schema.get("properties", {}).values()]
    for part in [*parts, *([schema["items"]] if "items" in schema else ())]:
        _check(part, root, open_names)


def _check_reference(reference: str, root: Schema, open_names: tuple[str, ...]) -> None:
    name = reference.removeprefix("#/$defs/")
    if name == reference or name not in root.get("$defs", {}):
        raise invalid(f"{_PATH}: Invalid $ref: {reference}")
    if name in open_names:
        raise invalid(f"{_PATH}: Circular reference detected in schema definitions: {name}")
    _check(root["$defs"][name], root, (*open_names, name))


def _check_keywords(schema: Schema) -> None:
    kind = schema.get("type")
    if kind not in _TYPES:
        raise invalid(f"{_PATH}: Schema must have a type of {', '.join(sorted(_TYPES))}; got {kind!r}")
    if kind == "object":
        if schema.get("additionalProperties") is not False:
            raise invalid(
                f"{_PATH}: For 'object' type, 'additionalProperties' must be explicitly set to false"
            )
        unknown = set(schema.get("required", ())) - set(schema.get("properties", {}))
        if unknown:
            raise invalid(f"{_PATH}: required names unknown properties: {', '.join(sorted(unknown))}")
    if kind == "array" and schema.get("minItems", 0) not in {0, 1}:
        raise invalid(f"{_PATH}: For 'array' type, 'minItems' values other than 0 or 1 are not supported")
    found = [word for word in _UNSUPPORTED.get(kind, ()) if word in schema]
    if found:
        raise _unsupported(kind, found)


def _unsupported(kind: str, found: list[str]) -> ApiError:
    if len(found) == 1:
        return invalid(f"{_PATH}: For '{kind}' type, property '{found[0]}' is not supported")
    return invalid(f"{_PATH}: For '{kind}' type, properties {', '.join(found)} are not supported")
