"""The OpenAPI document: it says what the contracts say, and everything that can be answered."""

from typing import Any

import pytest
from fastapi import FastAPI
from pydantic import BaseModel, TypeAdapter

from hl_assets.api import models
from hl_assets.api.contract_models import contract_fields, model_of
from hl_assets.schemas import TABLES
from hl_assets.schemas.contract import TableContract
from hl_assets.schemas.metrics import WALLET_METRICS
from hl_assets.schemas.scores import WALLET_SCORES

SERVED = {
    "LeaderboardRow": (WALLET_SCORES, WALLET_METRICS),
    "Metrics": (WALLET_METRICS,),
    "Scores": (WALLET_SCORES,),
    "Trend": (WALLET_SCORES,),
}


@pytest.fixture(scope="module")
def document(app: FastAPI) -> dict[str, Any]:
    return app.openapi()


def test_it_has_exactly_the_endpoints(document: dict[str, Any]) -> None:
    assert sorted(document["paths"]) == [
        "/healthz",
        "/metrics",
        "/readyz",
        "/v1/coverage",
        "/v1/leaderboard",
        "/v1/leaderboard/summary",
        "/v1/runs/{slot}/funnel",
        "/v1/wallets/{address}",
        "/v1/wallets/{address}/equity",
        "/v1/wallets/{address}/grades",
        "/v1/wallets/{address}/scores",
        "/wallets",
    ]
    assert all(list(operations) == ["get"] for operations in document["paths"].values())


@pytest.mark.parametrize("name", list(SERVED))
def test_fields_mean_what_their_columns_mean(document: dict[str, Any], name: str) -> None:
    properties = document["components"]["schemas"][name]["properties"]
    meanings: dict[str, list[tuple[str, str]]] = {}
    for table in SERVED[name]:
        for column in table.columns:
            meanings.setdefault(column.name, []).append((column.description, column.unit))
    described = [
        field for field in properties if field in meanings and field not in {"wallet", "null_reasons"}
    ]
    for field in described:
        found = properties[field]
        assert any(
            found["description"].startswith(meaning) and found.get("x-unit", "") == unit
            for meaning, unit in meanings[field]
        ), field
    assert len(described) >= 4


def test_every_field_is_described(document: dict[str, Any]) -> None:
    bare = [
        f"{name}.{field}"
        for name, schema in document["components"]["schemas"].items()
        for field, found in schema.get("properties", {}).items()
        if "description" not in found and "$ref" not in found and "items" not in found
    ]
    assert bare == []


def test_every_parameter_has_a_description_and_no_array(document: dict[str, Any]) -> None:
    for path, operations in document["paths"].items():
        for parameter in operations["get"].get("parameters", []):
            assert parameter.get("description"), (path, parameter["name"])
            assert parameter["schema"].get("type") != "array"


def test_every_error_is_declared_as_a_problem(document: dict[str, Any]) -> None:
    for path, operations in document["paths"].items():
        responses = operations["get"]["responses"]
        errors = {status: found for status, found in responses.items() if int(status) >= 400}
        assert {"422", "429", "500", "503"} <= set(errors), path
        for found in errors.values():
            assert list(found["content"]) == ["application/problem+json"]
        assert "Retry-After" in errors["503"]["headers"]
    assert {"401", "409"} <= set(document["paths"]["/wallets"]["get"]["responses"])
    assert {"404", "409", "304"} <= set(document["paths"]["/v1/leaderboard"]["get"]["responses"])
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_null_reasons_are_listed(document: dict[str, Any]) -> None:
    for reason in ("span_under_90_days", "no_valid_grade", "not_on_the_board"):
        assert f"`{reason}`" in document["info"]["description"]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_contract_can_be_served(table: TableContract) -> None:
    """Types of every column are known, and each example keeps its own field's limits."""
    fields = contract_fields(table)
    assert list(fields) == table.column_names
    made = model_of("Row", "A row.", fields)
    for name, info in made.model_fields.items():
        for example in info.examples or ():
            kind = fields[name][0]
            TypeAdapter(kind).validate_python(example)
            assert info.is_required(), name


def test_examples_of_documents_fit_their_fields() -> None:
    for name in dir(models):
        model = getattr(models, name)
        if isinstance(model, type) and issubclass(model, BaseModel):
            for info in model.model_fields.values():
                for example in info.examples or ():
                    TypeAdapter(info.annotation).validate_python(example)


def test_an_unknown_column_is_an_error() -> None:
    with pytest.raises(KeyError, match="shoe_size"):
        contract_fields(WALLET_SCORES, ["shoe_size"])
    with pytest.raises(KeyError, match="shoe_size"):
        contract_fields(WALLET_SCORES, without=["shoe_size"])
