"""The soak itself: a thousand slots under faults and kills, and consecutive slots in real time under the exchange's limit."""

from pathlib import Path

import pytest

from hl_assets_tests.soak.__main__ import run
from hl_assets_tests.soak.budget import measure
from hl_assets_tests.soak.plan import make_plan

SLOTS = 1_000
SEED = 7
BUDGET_SLOTS = 3
"""As many as it takes until the moments at which a slot may spend come round again."""


@pytest.mark.soak
@pytest.mark.timeout(3 * 3600)
def test_nothing_is_lost_duplicated_mixed_or_faked(tmp_path: Path) -> None:
    assert run(make_plan(SLOTS, SEED), tmp_path, wallets=60, seed=SEED) == 0


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("plan", "top_n"), [("top", 600), ("board", 100)])
def test_slots_use_the_budget_and_never_overdraw_it(tmp_path: Path, plan: str, top_n: int) -> None:
    use = measure(plan, BUDGET_SLOTS, wallets=5_000, top_n=top_n, home=tmp_path, changes={})
    told = "\n".join(use.lines())
    print(told)
    assert use.refused == 0, told
    assert use.share >= 0.95, told
    assert not any(slot.skipped for slot in use.slots), told
