"""The checks every asset carries, and how plain facts become their results.

Belongs here: check names, specs and results of a slot. Does not belong here: reading or writing tables; the assets
hand in what they know.

Severity: ERROR means rows are wrong, so they were not written, or are missing until somebody acts; WARN means a volume or
share is unusual.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from hl_assets.schemas.contract import TableContract
from hl_assets.schemas.validation import MAX_SAMPLES, ValidationReport

CONTRACT = "contract"
UNIQUE_KEY = "unique_key"
NON_EMPTY = "non_empty"
ROW_COUNT_DRIFT = "row_count_drift"
COVERAGE = "coverage"

_DESCRIPTIONS = {
    CONTRACT: "Every row keeps the pandera contract of its table; otherwise nothing is written.",
    UNIQUE_KEY: "The key of every table is unique within the slot; otherwise nothing is written.",
    NON_EMPTY: "The slot has rows.",
    ROW_COUNT_DRIFT: "The slot's row count is near that of the slot published before it.",
    COVERAGE: "The share of the wanted wallets that made it through this step.",
}
_BLOCKING = frozenset({CONTRACT, UNIQUE_KEY})


@dataclass(frozen=True)
class CheckKind:
    """A check that only some assets carry.

    Attributes:
        name: Its name.
        description: What holds when it passes.
        blocking: Whether rows that fail it are not written (severity ERROR).
        severe: Whether failing it is an error although nothing is held back; otherwise it warns.
    """

    name: str
    description: str
    blocking: bool = False
    severe: bool = False


QUARANTINE = CheckKind(
    "quarantine",
    "No slot of the table is in quarantine: every one that failed was replayed or waived.",
    severe=True,
)
"""The check of every derived asset."""


@dataclass(frozen=True)
class Finding:
    """What such a check found in one slot.

    Attributes:
        kind: The check.
        passed: Its verdict.
        facts: Numbers and words to show beside it.
        samples: Some of the rows that fail it.
    """

    kind: CheckKind
    passed: bool
    facts: Mapping[str, str | int | float] = field(default_factory=dict)
    samples: Sequence[Mapping[str, str | int | float]] = ()

    @property
    def blocks(self) -> bool:
        """Whether the slot's rows must not be written."""
        return self.kind.blocking and not self.passed


@dataclass(frozen=True)
class Coverage:
    """How many of the wanted units a step delivered.

    Attributes:
        done: Units delivered.
        wanted: Units that should have been.
        what: The share in words, e.g. "fetched / wanted wallets".
        missing: Some of the missing, with the reason.
    """

    done: int
    wanted: int
    what: str
    missing: Sequence[tuple[str, str]] = ()

    @property
    def share(self) -> float | None:
        """Delivered share, None if nothing was wanted."""
        return self.done / self.wanted if self.wanted else None


def check_specs(
    asset: str,
    *,
    partitions_def: dg.PartitionsDefinition[str],
    coverage: bool,
    others: Sequence[CheckKind] = (),
) -> list[dg.AssetCheckSpec]:
    """Specs of the checks an asset evaluates while it materialises."""
    names = [CONTRACT, UNIQUE_KEY, NON_EMPTY, ROW_COUNT_DRIFT, *([COVERAGE] if coverage else [])]
    kinds = [CheckKind(name, _DESCRIPTIONS[name], name in _BLOCKING) for name in names]
    return [
        dg.AssetCheckSpec(
            kind.name,
            asset=asset,
            description=kind.description,
            blocking=kind.blocking,
            partitions_def=partitions_def,
        )
        for kind in (*kinds, *others)
    ]


def finding_result(finding: Finding) -> dg.AssetCheckResult:
    """Result of a check that only some assets carry."""
    metadata: dict[str, Any] = dict(finding.facts)
    if finding.samples:
        records = [dg.TableRecord(dict(sample)) for sample in finding.samples[:MAX_SAMPLES]]
        metadata["samples"] = dg.MetadataValue.table(records)
    grave = finding.kind.blocking or finding.kind.severe
    severity = dg.AssetCheckSeverity.ERROR if grave else dg.AssetCheckSeverity.WARN
    return dg.AssetCheckResult(
        check_name=finding.kind.name, passed=finding.passed, severity=severity, metadata=metadata
    )


def report_result(check: str, reports: Sequence[ValidationReport]) -> dg.AssetCheckResult:
    """Result of `contract` or `unique_key` over the frames of one or more slots."""
    failed = [report for report in reports if not report.passed]
    metadata: dict[str, dg.MetadataValue] = {
        "rows": dg.MetadataValue.int(sum(report.rows for report in reports)),
        "tables": dg.MetadataValue.text(", ".join(dict.fromkeys(report.table for report in reports))),
    }
    if failed:
        metadata["failures"] = _failures_table(failed)
        metadata["samples"] = _samples_table(failed)
    return dg.AssetCheckResult(
        check_name=check,
        passed=not failed,
        severity=dg.AssetCheckSeverity.ERROR,
        description="; ".join(report.summary for report in failed) or None,
        metadata=metadata,
    )


def non_empty_result(contract: TableContract, rows: int) -> dg.AssetCheckResult:
    """Result of `non_empty`: an error where the source always has rows, else a warning."""
    fatal = contract.empty_is == "error"
    return dg.AssetCheckResult(
        check_name=NON_EMPTY,
        passed=rows > 0,
        severity=dg.AssetCheckSeverity.ERROR if fatal else dg.AssetCheckSeverity.WARN,
        metadata={"table": contract.name, "rows": rows},
    )


def drift_result(
    contract: TableContract, rows: int, previous: int | None, limit: float
) -> dg.AssetCheckResult:
    """Result of `row_count_drift` against the slot published before; the first slot has nothing to drift from."""
    drift = None if previous is None else abs(rows - previous) / max(previous, 1)
    metadata: dict[str, dg.MetadataValue] = {
        "table": dg.MetadataValue.text(contract.name),
        "rows": dg.MetadataValue.int(rows),
        "limit": dg.MetadataValue.float(limit),
    }
    if drift is None or previous is None:
        metadata["compared_with"] = dg.MetadataValue.text("no earlier slot")
    else:
        metadata["previous_rows"] = dg.MetadataValue.int(previous)
        metadata["drift"] = dg.MetadataValue.float(drift)
    return dg.AssetCheckResult(
        check_name=ROW_COUNT_DRIFT,
        passed=drift is None or drift <= limit,
        severity=dg.AssetCheckSeverity.WARN,
        metadata=metadata,
    )


def coverage_result(coverage: Coverage, minimum: float) -> dg.AssetCheckResult:
    """Result of `coverage`; with nothing wanted there is no share, and that is a warning."""
    share = coverage.share
    metadata: dict[str, dg.MetadataValue] = {
        "what": dg.MetadataValue.text(coverage.what),
        "done": dg.MetadataValue.int(coverage.done),
        "wanted": dg.MetadataValue.int(coverage.wanted),
        "minimum": dg.MetadataValue.float(minimum),
    }
    if share is not None:
        metadata["share"] = dg.MetadataValue.float(share)
    if coverage.missing:
        records = [
            dg.TableRecord({"wallet": wallet, "reason": reason})
            for wallet, reason in coverage.missing[:MAX_SAMPLES]
        ]
        metadata["missing"] = dg.MetadataValue.table(records)
    return dg.AssetCheckResult(
        check_name=COVERAGE,
        passed=share is not None and share >= minimum,
        severity=dg.AssetCheckSeverity.WARN,
        metadata=metadata,
    )


def _failures_table(reports: Sequence[ValidationReport]) -> dg.MetadataValue:
    return dg.MetadataValue.table(
        [
            dg.TableRecord({"table": report.table, "column": f.column, "rule": f.rule, "rows": f.count})
            for report in reports
            for f in report.failures
        ]
    )


def _samples_table(reports: Sequence[ValidationReport]) -> dg.MetadataValue:
    samples = [
        dg.TableRecord({"table": report.table, **sample}) for report in reports for sample in report.samples
    ]
    return dg.MetadataValue.table(samples[:MAX_SAMPLES])
