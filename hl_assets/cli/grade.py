"""`hl-assets grade`: one wallet's grade by the configured grader, with what it is asked.

Belongs here: this command. Does not belong here: grading, rendering a grade (`cli.grade_lines`).
"""

import dataclasses
import json
from datetime import timedelta

import pandas as pd
from rich.console import Console

from hl_assets.assets.grade_rows import grade_rows, read_slot, rule_scores
from hl_assets.assets.grade_slot import GradedSlot, SlotToGrade, grade_slot
from hl_assets.claude.prices import worst_case_usd
from hl_assets.claude.profile import GraderProfile
from hl_assets.cli.errors import CommandError
from hl_assets.cli.grade_lines import grade_lines
from hl_assets.cli.show import newest_slot
from hl_assets.exchange.addresses import normalize_address
from hl_assets.grading.canonical import canonical_input
from hl_assets.grading.interface import GradeInput
from hl_assets.grading.readiness import ReadinessRules, unready_reasons
from hl_assets.resources.grader import GraderResource, configured_price, configured_profile
from hl_assets.resources.warehouse import WarehouseResource
from hl_assets.settings import Settings
from hl_assets.slots import slot_text

_TYPICAL_ANSWER_TOKENS = 500


def grade_wallet(
    values: dict[str, object],
    address: str,
    as_of: str | None,
    console: Console,
    *,
    dry_run: bool,
    fresh: bool,
) -> None:
    """Grade one wallet and print prompt, input and grade.

    Args:
        values: Settings that were given, by field name.
        address: The wallet.
        as_of: Newest slot at or before this instant.
        console: Where to print.
        dry_run: Print the request, its token estimate and price; ask nobody.
        fresh: Ask even if a stored answer fits.

    Raises:
        InvalidAddressError: The address is none.
        CommandError: The wallet has no metrics in that slot.
    """
    settings = Settings.load(**values)
    wallet = normalize_address(address)
    with WarehouseResource.from_settings(settings).open("hl-assets grade", "ai_grades") as session:
        slot = newest_slot(session.store, settings, as_of)
        metrics, to_grade = read_slot(session.store, slot, settings)
        one = _only(to_grade, wallet)
        item = one.inputs[0]
        if dry_run:
            _print_request(settings, item, console)
            return
        grader = GraderResource.from_settings(settings)
        if fresh and grader.model is not None:
            grader = dataclasses.replace(
                grader, model=dataclasses.replace(grader.model, regrade_after=timedelta(0))
            )
        if grader.model is not None:
            _print_prompt(grader.model.profile, item, console)
        graded = grade_slot(session.store, one, grader)
    row = grade_rows(graded.grades, rule_scores(one.inputs), metrics[metrics["wallet"] == wallet])
    console.print(f"Wallet {wallet} as of {slot_text(slot)}. {grader.why}", highlight=False, soft_wrap=True)
    _print_grade(row, console)
    _print_money(graded, console)


def _only(slot: SlotToGrade, wallet: str) -> SlotToGrade:
    """The slot with this wallet alone; its percentiles stay those among all."""
    if wallet not in slot.wallets:
        raise CommandError(
            f"{wallet} has no metrics at {slot_text(slot.slot)}: it was not fetched then. `hl-assets top` lists wallets; "
            "--as-of chooses another slot"
        )
    position = list(slot.wallets).index(wallet)
    return dataclasses.replace(slot, inputs=[slot.inputs[position]], wallets=[wallet])


def _print_request(settings: Settings, item: GradeInput, console: Console) -> None:
    """The request as it would be sent, with its tokens and price; no key is needed for it."""
    profile, price = configured_profile(settings), configured_price(settings)
    console.print_json(json.dumps(profile.request(item)))
    for reason in unready_reasons(item, ReadinessRules()):
        console.print(f"This wallet would not be asked about: {reason}.", style="yellow")
    tokens = profile.input_tokens_estimate(canonical_input(item))
    most = worst_case_usd(price, input_tokens=tokens, max_tokens=profile.max_tokens)
    usual = worst_case_usd(price, input_tokens=tokens, max_tokens=_TYPICAL_ANSWER_TOKENS)
    console.print(
        f"Not sent. At most {tokens:,} tokens in (a cautious estimate) and {profile.max_tokens:,} out. Price with "
        f"{profile.model}: about {usual:.5f} USD for an answer of {_TYPICAL_ANSWER_TOKENS} tokens, at most {most:.5f} USD.",
        highlight=False,
        soft_wrap=True,
    )


def _print_prompt(profile: GraderProfile, item: GradeInput, console: Console) -> None:
    console.rule(f"Prompt {profile.prompt.version} ({profile.prompt.sha256[:8]})")
    console.print(profile.prompt.text, markup=False, highlight=False)
    console.rule("Input")
    console.print_json(canonical_input(item))
    console.rule("Grade")


def _print_grade(row: pd.DataFrame, console: Console) -> None:
    for line in grade_lines(row.iloc[0].to_dict(), reasons=True):
        console.print(line, soft_wrap=True)
    disagreement = row["rule_disagreement"].iloc[0]
    if pd.notna(disagreement):
        console.print(f"Mean difference to the rules' scores: {disagreement:.1f} points", highlight=False)


def _print_money(graded: GradedSlot, console: Console) -> None:
    tally = graded.tally
    if tally is None:
        return
    for trouble in (graded.trouble, graded.note):
        if trouble is not None:
            console.print(trouble, style="yellow", markup=False, soft_wrap=True)
    console.print(
        f"{tally.calls} calls, {tally.input_tokens + tally.cache_read_tokens + tally.cache_write_tokens:,} tokens in "
        f"({tally.cache_read_tokens:,} from the service's cache), {tally.output_tokens:,} out, {tally.usd:.5f} USD; "
        f"{graded.usd_today:.5f} USD today. The answer is in grade_calls; ai_grades takes it up when the slot is derived again.",
        highlight=False,
        soft_wrap=True,
    )
