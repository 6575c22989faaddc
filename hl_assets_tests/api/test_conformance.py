"""schemathesis against the served OpenAPI: generated requests, valid and invalid, and every answer as documented."""

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, GenerationMode, Response
from schemathesis.specs.openapi.checks import positive_data_acceptance

from hl_assets.api.app import create_app
from hl_assets.settings import Settings
from hl_assets.warehouse.config import WarehouseConfig
from hl_assets.warehouse.connection import Warehouse

_EXAMPLES = 8
"""Of each kind and operation."""


_UNSAYABLE = ("the range is longer than", "lies after `to`", "is not a cursor", "has more than")
"""Rules between parameters, and of cursors, that a JSON schema cannot say."""


def _breaks_an_unsayable_rule(answer: Response) -> bool:
    return answer.status_code == 422 and any(rule in answer.json()["detail"] for rule in _UNSAYABLE)


def _paths() -> list[str]:
    """Documented paths; the app is made without contacting any warehouse."""
    nowhere = Warehouse(WarehouseConfig(url="http://127.0.0.1:1"))
    return sorted(create_app(Settings.load(), nowhere).openapi()["paths"])


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize("path", _paths())
def test_answers_are_as_documented(app: FastAPI, path: str, mode: GenerationMode) -> None:
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)
    operation = schema[path]["GET"]
    if mode is GenerationMode.NEGATIVE and not list(operation.iter_parameters()):
        pytest.skip("nothing to get wrong")

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=_EXAMPLES,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def conforms(case: Case) -> None:
        answer = case.call()
        case.validate_response(
            answer, excluded_checks=[positive_data_acceptance] if _breaks_an_unsayable_rule(answer) else None
        )

    conforms()
