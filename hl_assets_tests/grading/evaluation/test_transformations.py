"""Changed inputs are valid, hang together, and differ in nothing but what the change says."""

import pytest

from hl_assets.grading.canonical import canonical_input, input_hash
from hl_assets.grading.evaluation.golden import golden_cases
from hl_assets.grading.evaluation.transformations import (
    extreme_growth,
    higher_percentile,
    more_flows,
    other_order,
    other_row_id,
    same_bucket,
    short_history,
    two_months,
    untested,
)
from hl_assets.metrics.catalog import SCORED_METRICS
from hl_assets_tests.grading.builders import grade_input
from hl_assets_tests.grading.evaluation.coherence import assert_coherent, assert_valid

INPUTS = [case.input for case in golden_cases()]
FUNDED = [item for item in INPUTS if item.data_quality.data_points > 1]

each = pytest.mark.parametrize("item", INPUTS, ids=lambda item: item.row_id)
each_funded = pytest.mark.parametrize("item", FUNDED, ids=lambda item: item.row_id)


@each_funded
@pytest.mark.parametrize("change", [untested, extreme_growth, short_history, two_months, more_flows])
def test_changed_histories_hang_together(item, change):
    changed = change(item)
    if changed is not None:
        assert_coherent(changed)
        assert changed.row_id == item.row_id


@each
@pytest.mark.parametrize("name", SCORED_METRICS)
def test_only_one_percentile_rises(item, name):
    raised = higher_percentile(item, name)
    before = getattr(item.percentiles, name)
    if before is None:
        assert raised is None
        return
    assert_valid(raised)
    assert before < getattr(raised.percentiles, name) <= 1
    back = raised.percentiles.model_copy(update={name: before})
    assert raised.model_copy(update={"percentiles": back}) == item


@each
def test_names_and_orders_say_nothing_new(item):
    assert other_row_id(item).row_id != item.row_id
    assert canonical_input(other_row_id(item)) == canonical_input(item)
    turned = other_order(item)
    assert canonical_input(turned) == canonical_input(item)
    assert turned.row_id == item.row_id
    assert turned.flags == item.flags[::-1]
    assert list(turned.null_reasons) == list(item.null_reasons)[::-1]


@each
def test_moving_inside_a_bucket_keeps_the_hash(item):
    moved = same_bucket(item)
    assert_valid(moved)
    assert input_hash(moved) == input_hash(item)
    assert (moved == item) == (item.data_quality.data_points == 0)


@each_funded
def test_what_a_changed_history_is(item):
    young = short_history(item)
    assert young.data_quality.data_span_days < 30
    assert "short_history" in young.flags
    assert {"cagr", "calmar_ratio"} <= set(two_months(item).null_reasons)
    assert two_months(item).data_quality.data_span_days <= 60
    more = more_flows(item)
    assert item.data_quality.share_flow_dominated < more.data_quality.share_flow_dominated <= 1


@each_funded
def test_what_is_capped_is_at_the_top(item):
    shallow, grown = untested(item), extreme_growth(item)
    assert (shallow is None) == (item.data_quality.n_wipeouts > 0)
    if shallow is not None:
        assert shallow.metrics.max_drawdown > -0.05
        assert shallow.percentiles.max_drawdown is None or shallow.percentiles.max_drawdown >= 0.97
    assert (grown is None) == (item.metrics.cagr is None)
    if grown is not None:
        assert grown.metrics.cagr > 5
        assert grown.percentiles.cagr is None or grown.percentiles.cagr >= 0.97


def test_changes_of_unknown_figures_do_not_apply():
    unknown = grade_input(max_drawdown=None, avg_drawdown=None, calmar_ratio=None, recovery_factor=None)
    assert untested(unknown) is None
    assert extreme_growth(grade_input(cagr=None, calmar_ratio=None)) is None
    assert more_flows(grade_input(quality={"share_flow_dominated": None})) is None
