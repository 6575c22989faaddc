"""Judging a frame by its contract: pandera's verdict, grouped so that it fits in a check's metadata.

Belongs here: validation and its report, as plain data. Does not belong here: what to do about it (`hl_assets.checks`
turns a report into Dagster check results; assets refuse to write).
"""

from dataclasses import dataclass
from typing import Any

import pandas as pd
import pandera.errors

from hl_assets.schemas.contract import TableContract

MAX_SAMPLES = 20
MAX_SAMPLE_LENGTH = 120


@dataclass(frozen=True)
class RuleFailure:
    """One rule of one column that rows broke."""

    column: str
    rule: str
    count: int


@dataclass(frozen=True)
class ValidationReport:
    """What is wrong with a frame; nothing, if `failures` is empty.

    Attributes:
        table: Contract's name.
        rows: Rows judged.
        failures: Broken rules with how many rows broke each, worst first.
        samples: At most 20 broken values: column, rule, value, row.
    """

    table: str
    rows: int
    failures: tuple[RuleFailure, ...]
    samples: tuple[dict[str, Any], ...]

    @property
    def passed(self) -> bool:
        """Whether the frame keeps its contract."""
        return not self.failures

    @property
    def summary(self) -> str:
        """One line for a log or an error."""
        if self.passed:
            return f"{self.table}: {self.rows} rows keep the contract"
        broken = "; ".join(f"{f.column} {f.rule}: {f.count}" for f in self.failures[:5])
        more = f" and {len(self.failures) - 5} more rules" if len(self.failures) > 5 else ""
        return f"{self.table}: {self.rows} rows break the contract: {broken}{more}"


def validate_contract(contract: TableContract, frame: pd.DataFrame) -> ValidationReport:
    """Judge a frame by the contract's pandera model: types, nulls and value rules.

    Counts are lower bounds: pandera reports per column what it finds in one pass.
    """
    try:
        contract.schema.validate(frame, lazy=True)
    except pandera.errors.SchemaErrors as error:
        return _report(contract, frame, error.failure_cases)
    return ValidationReport(contract.name, len(frame), (), ())


def duplicate_keys(contract: TableContract, frame: pd.DataFrame) -> ValidationReport:
    """Judge whether the contract's key is unique in a frame."""
    repeated = frame.loc[frame.duplicated(list(contract.key), keep=False), list(contract.key)]
    if repeated.empty:
        return ValidationReport(contract.name, len(frame), (), ())
    rule = f"unique ({', '.join(contract.key)})"
    samples = tuple(
        {"column": "key", "rule": rule, "value": _short(tuple(map(str, row))), "row": str(index)}
        for index, row in zip(
            repeated.index[:MAX_SAMPLES], repeated.head(MAX_SAMPLES).to_numpy(), strict=True
        )
    )
    return ValidationReport(contract.name, len(frame), (RuleFailure("key", rule, len(repeated)),), samples)


def _report(contract: TableContract, frame: pd.DataFrame, cases: pd.DataFrame) -> ValidationReport:
    cases = cases.assign(column=cases["column"].fillna("table").astype(str), check=cases["check"].astype(str))
    counts = cases.groupby(["column", "check"], sort=False).size().sort_values(ascending=False, kind="stable")
    failures = tuple(
        RuleFailure(str(key[0]), str(key[1]), int(n)) for key, n in counts.items() if isinstance(key, tuple)
    )
    samples = tuple(
        {"column": row.column, "rule": row.check, "value": _short(row.failure_case), "row": str(row.index)}
        for row in cases[["column", "check", "failure_case", "index"]]
        .head(MAX_SAMPLES)
        .itertuples(name="Case", index=False)
    )
    return ValidationReport(contract.name, len(frame), failures, samples)


def _short(value: object) -> str:
    """A value's repr, cut; repr also escapes control characters of untrusted text."""
    text = ascii(value)
    return text if len(text) <= MAX_SAMPLE_LENGTH else text[: MAX_SAMPLE_LENGTH - 1] + "…"
