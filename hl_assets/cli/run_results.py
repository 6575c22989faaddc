"""What went wrong in a run of Dagster's, in one line each.

Belongs here: reading a run's result. Does not belong here: running.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dagster import ExecuteInProcessResult
    from dagster._core.execution.plan.objects import StepFailureData


def failures(result: "ExecuteInProcessResult") -> Iterator[str]:
    """Why steps failed."""
    for event in result.all_events:
        if event.is_step_failure:
            yield f"{event.step_key} failed: {_cause(event.step_failure_data)}"


def failed_checks(result: "ExecuteInProcessResult") -> Iterator[str]:
    """What the checks that did not pass say."""
    for evaluation in result.get_asset_check_evaluations():
        if not evaluation.passed:
            facts = ", ".join(
                f"{name} {entry.value}"
                for name, entry in evaluation.metadata.items()
                if isinstance(entry.value, str | int | float)
            )
            yield f"check {evaluation.check_name} of {evaluation.asset_key.to_user_string()}: {facts}"


def _cause(failure: "StepFailureData") -> str:
    """The failure's own description; Dagster wraps it in its stack of errors."""
    if failure.user_failure_data is not None and failure.user_failure_data.description:
        return failure.user_failure_data.description
    return failure.error.message.strip() if failure.error is not None else "no error recorded"
