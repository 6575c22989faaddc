"""Judging frames before they are written: validate, then publish or refuse.

Belongs here: the verdict on the frames of one slot, its blocking check results and the failure of a refusal. Does not
belong here: publishing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import dagster as dg
import pandas as pd

from hl_assets.checks.results import CONTRACT, UNIQUE_KEY, report_result
from hl_assets.schemas.contract import TableContract
from hl_assets.schemas.validation import ValidationReport, duplicate_keys, validate_contract


@dataclass(frozen=True)
class Verdict:
    """Whether frames may be written.

    Attributes:
        contract_reports: One report per frame on types, nulls and value rules.
        key_reports: One report per frame on the uniqueness of its key.
        emptied: Tables without rows whose source always has some.
    """

    contract_reports: tuple[ValidationReport, ...]
    key_reports: tuple[ValidationReport, ...]
    emptied: tuple[str, ...]

    @property
    def publishable(self) -> bool:
        """Whether every frame keeps its contract."""
        return not self.emptied and all(
            report.passed for report in chain(self.contract_reports, self.key_reports)
        )

    @property
    def summary(self) -> str:
        """What is wrong, in one line."""
        broken = [r.summary for r in chain(self.contract_reports, self.key_reports) if not r.passed]
        return "; ".join([*broken, *(f"{table} has no rows" for table in self.emptied)])


def judge(frames: Sequence[tuple[TableContract, pd.DataFrame]]) -> Verdict:
    """Judge the frames that one slot would publish together."""
    return Verdict(
        contract_reports=tuple(validate_contract(contract, frame) for contract, frame in frames),
        key_reports=tuple(duplicate_keys(contract, frame) for contract, frame in frames),
        emptied=tuple(c.name for c, frame in frames if c.empty_is == "error" and frame.empty),
    )


def blocking_results(verdicts: Sequence[Verdict]) -> list[dg.AssetCheckResult]:
    """Results of the blocking checks over the slots of a run."""
    return [
        report_result(CONTRACT, [report for verdict in verdicts for report in verdict.contract_reports]),
        report_result(UNIQUE_KEY, [report for verdict in verdicts for report in verdict.key_reports]),
    ]


def refusal(summary: str, slots: Sequence[str]) -> dg.Failure:
    """The failure of a step that refused to write; raised after its check results are recorded."""
    return dg.Failure(
        f"nothing was written for {', '.join(slots)}: {summary}. The failed checks hold counts and samples; what was "
        "published before is unchanged",
        allow_retries=False,
    )
