"""Hypothesis strategies over what the stand-in can answer."""

from typing import Any

from hypothesis import strategies as st

from hl_assets_tests.messages_api.answers import Body, Content, answer_for, schema_of
from hl_assets_tests.messages_api.errors import StandInError
from hl_assets_tests.messages_api.schemas import Schema


def answers(
    schema: Schema, body: Body | None = None, texts: st.SearchStrategy[str] | None = None
) -> st.SearchStrategy[Any]:
    """Every value that validates against the schema.

    Args:
        schema: JSON schema as in `output_config.format.schema`.
        body: Request to answer; scores then follow its percentiles, and texts quote its numbers. Without it every
            combination of choices is reachable.
        texts: Free texts instead.
    """
    content = None if body is None else Content.of(body)

    @st.composite
    def walk(draw: st.DrawFn) -> Any:
        rng = draw(st.randoms(use_true_random=False))
        write = None if texts is None else (lambda _path: draw(texts))
        return answer_for(schema, rng, content, write)

    return walk()


def answers_to(body: Body, texts: st.SearchStrategy[str] | None = None) -> st.SearchStrategy[Any]:
    """Every valid answer to a request, about its row or not.

    Raises:
        StandInError: The request asks for no schema.
    """
    schema = schema_of(body)
    if schema is None:
        raise StandInError("the request has no output_config.format to draw answers for")
    return st.one_of(answers(schema, body, texts), answers(schema, None, texts))
