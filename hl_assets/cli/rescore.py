"""`hl-assets rescore`: stored slots scored again under other weights, beside what was published.

Belongs here: options, progress and summary of this command. Does not belong here: scoring and storing (`assets.rescoring`).
"""

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta

from filelock import FileLock, Timeout

from hl_assets.assets.rescoring import Rescored, rescorable, rescore
from hl_assets.assets.score_inputs import ScoringRules
from hl_assets.cli.console import make_console
from hl_assets.cli.errors import CommandError
from hl_assets.cli.progress_bar import progress_bar
from hl_assets.progress import Progress, announce
from hl_assets.resources.scoring import eligibility_rules, scoring_config
from hl_assets.resources.warehouse import WarehouseResource, WarehouseSession
from hl_assets.scoring.config import ScoringConfig, parse_weights
from hl_assets.settings import Settings
from hl_assets.slots import parse_instant, slot_text
from hl_assets.warehouse.connection import Warehouse
from hl_assets.warehouse.manifest import Publication

console = make_console()

_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")
_ONLY_A_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_NAME_TAKEN_SQL = """
SELECT config_hash FROM rescored_scores
WHERE config_name = {name:String} AND config_hash != {config_hash:String} LIMIT 1
"""


def run_rescore(
    values: dict[str, object], weights: str, start: str | None, end: str | None, name: str | None
) -> None:
    """Score the stored slots of a time span under other weights.

    Args:
        values: Settings that were given, by field name.
        weights: As SCORE_WEIGHTS.
        start: First instant, None for the first stored slot.
        end: Last instant, a date meaning the whole day; None for the newest slot.
        name: What to call the configuration, None for its hash.

    Raises:
        ScoringConfigError: The weights cannot be used.
        CommandError: They are the default ones, the name is taken or no name, nothing is stored, or another re-scoring runs.
    """
    settings = Settings.load(**values)
    config = ScoringConfig(weights=parse_weights(weights), eligibility=eligibility_rules(settings))
    name = _usable_name(name, config, settings)
    resource = WarehouseResource.from_settings(settings)
    began = time.perf_counter()
    with _alone(settings), resource.open(f"rescore-{config.config_hash()}", "rescored_scores") as session:
        _refuse_taken_name(session.store, name, config)
        slots = _slots(session, settings, start, end)
        rules = ScoringRules.from_settings(settings, config)
        done: list[Rescored] = []
        with progress_bar(console, "Scoring"):
            for scored in rescore(session, rules, name, slots):
                done.append(scored)
                announce(Progress("slots", len(done), len(slots)))
    for line in _summary(done, config, name, time.perf_counter() - began):
        console.print(line, highlight=False, soft_wrap=True, markup=False)


def _usable_name(name: str | None, config: ScoringConfig, settings: Settings) -> str:
    default = scoring_config(settings)
    if config.config_hash() == default.config_hash():
        raise CommandError(
            f"these are the default weights (configuration {default.config_hash()}), which every slot is scored with; "
            "give others, e.g. --weights max_drawdown=2"
        )
    if name is not None and not _NAME.fullmatch(name):
        raise CommandError(f"--name {name!r}: give 1 to 40 letters, digits, - or _")
    return name or config.config_hash()


def _refuse_taken_name(store: Warehouse, name: str, config: ScoringConfig) -> None:
    taken = store.read_rows(_NAME_TAKEN_SQL, {"name": name, "config_hash": config.config_hash()})
    if taken:
        raise CommandError(f"--name {name} already names configuration {taken[0][0]}; choose another")


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """Refuse a second re-scoring at the same time: a slot's slice is read, merged and written back."""
    path = settings.home.resolve() / "rescore.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(path, timeout=0):
            yield
    except Timeout as error:
        raise CommandError(f"another re-scoring runs (it holds {path}); wait until it is done") from error


def _slots(
    session: WarehouseSession, settings: Settings, start: str | None, end: str | None
) -> Mapping[datetime, Publication]:
    before = None if end is None else parse_instant(end)
    if end is not None and before is not None:
        before += timedelta(days=1) if _ONLY_A_DATE.fullmatch(end) else timedelta(seconds=1)
    slots = rescorable(session, None if start is None else parse_instant(start), before)
    if not slots:
        raise CommandError(
            f"no slot is scored between {start or 'the beginning'} and {end or 'now'} (source {settings.source}); "
            "`hl-assets top` shows the newest one"
        )
    return slots


def _summary(done: Sequence[Rescored], config: ScoringConfig, name: str, seconds: float) -> Iterator[str]:
    newest = done[-1]
    shares = ", ".join(f"{metric} {share:.1%}" for metric, share in config.shares().items())
    yield f"Configuration {config.config_hash()} ({name}): {shares}."
    yield (
        f"{len(done)} slots from {slot_text(done[0].slot)} to {slot_text(newest.slot)} scored in {seconds:.1f} s "
        f"({seconds / len(done):.2f} s each); the published ranking is untouched."
    )
    same = "unknown" if newest.correlation is None else f"{newest.correlation:.3f}"
    yield (
        f"Newest slot: {newest.ranked} ranked, {newest.moved} on another rank than published "
        f"(Spearman correlation {same})."
    )
    yield f"next: hl-assets top --config {name}"
