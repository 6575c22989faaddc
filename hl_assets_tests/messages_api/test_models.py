"""The model catalogue through the real client."""

import anthropic
import pytest

from hl_assets_tests.messages_api.fixtures import StartMessagesApi
from hl_assets_tests.messages_api.samples import MODEL


async def test_a_model_is_described_as_the_client_expects(messages_api: StartMessagesApi) -> None:
    async with messages_api().client() as client:
        found = await client.models.retrieve(MODEL)
        ending = await client.models.retrieve("claude-sonnet-4-5")
    assert type(found).model_validate(found.to_dict()) == found
    assert (found.id, found.type, found.line, found.lifecycle, found.retires_at) == (
        MODEL,
        "model",
        "haiku",
        "active",
        None,
    )
    assert found.capabilities is not None
    assert found.capabilities.structured_outputs.supported
    assert found.capabilities.batch.supported
    assert ending.lifecycle == "deprecated"
    assert ending.retires_at is not None
    assert ending.deprecated_at is not None


async def test_an_unknown_model_is_not_found(messages_api: StartMessagesApi) -> None:
    async with messages_api().client() as client:
        with pytest.raises(anthropic.NotFoundError, match="model: claude-none"):
            await client.models.retrieve("claude-none")


async def test_the_list_has_pages_and_hides_retired_models(messages_api: StartMessagesApi) -> None:
    async with messages_api().client() as client:
        names = [model.id async for model in client.models.list(limit=2)]
        retired = [model.id async for model in client.models.list(lifecycle=["retired"])]
        page = await client.models.list(before_id=names[3], limit=2)
        with pytest.raises(anthropic.BadRequestError, match="limit"):
            await client.models.list(limit=0)
        with pytest.raises(anthropic.BadRequestError, match="after_id"):
            await client.models.list(after_id="claude-none")
    assert len(names) == len(set(names)) == 6
    assert [model.id for model in page.data] == names[1:3]
    assert retired == ["claude-3-5-haiku-20241022"]
    assert not set(retired) & set(names)
