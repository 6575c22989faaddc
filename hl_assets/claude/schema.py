"""The JSON schema of the answer, in the dialect the service enforces.

Belongs here: building it from `hl_assets.grading.answer.GradeAnswer`. The answer's fields belong there.
"""

from typing import Any

from hl_assets.grading.answer import GradeAnswer


def answer_schema() -> dict[str, Any]:
    """The schema sent with every request: enums enforced, all fields required, nothing extra allowed."""
    from anthropic import transform_schema  # noqa: PLC0415 - the SDK takes a second to import

    return transform_schema(_untitled(GradeAnswer.model_json_schema()))


def _untitled(schema: Any) -> Any:
    """The schema without pydantic's titles, which repeat the fields' names and cost tokens in every request."""
    if isinstance(schema, dict):
        return {
            key: _untitled(value)
            for key, value in schema.items()
            if not (key == "title" and isinstance(value, str))
        }
    if isinstance(schema, list):
        return [_untitled(value) for value in schema]
    return schema
