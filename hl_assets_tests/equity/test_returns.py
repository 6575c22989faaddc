import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hl_assets.equity.curves import RaggedCurves
from hl_assets.equity.flags import StepFlag
from hl_assets.equity.returns import ReturnRules, flow_adjusted_returns
from hl_assets_tests.equity.builders import DAY_MS, START_MS, curves, without_flows

NAN = float("nan")
growths = st.lists(st.floats(0.2, 3.0), min_size=1, max_size=25)


def returns_of(values, pnl, rules=None):
    return flow_adjusted_returns(curves((values, pnl)), rules)


def flags_at(steps, place):
    return StepFlag(int(steps.flags[place]))


def chain(factors, flows=None, start=1_000.0):
    """Account values and PnL of a wallet with the given growth factors and pure-flow steps in between.

    Returns the positions of the points that a curve without any flow would have.
    """
    values, pnl, kept = [start], [0.0], [0]
    for place, factor in enumerate(factors):
        earned = values[-1] * (factor - 1.0)
        values.append(values[-1] + earned)
        pnl.append(pnl[-1] + earned)
        kept.append(len(values) - 1)
        if flows is not None:
            values.append(values[-1] * flows[place])
            pnl.append(pnl[-1])
    return values, pnl, kept


class TestOneStep:
    """Hand-computed steps: (values, PnL) -> return, flow, base, flags of the last point."""

    @pytest.mark.parametrize(
        ("values", "pnl", "r", "flow", "base", "flags"),
        [
            pytest.param([100, 110], [0, 10], 0.1, 0, 100, StepFlag(0), id="gain"),
            pytest.param([100, 90], [0, -10], -0.1, 0, 100, StepFlag(0), id="loss"),
            pytest.param([100, 130], [0, 10], 10 / 120, 20, 120, StepFlag.FLOW, id="deposit raises the base"),
            pytest.param([100, 80], [0, 10], 0.1, -30, 100, StepFlag.FLOW, id="withdrawal leaves the base"),
            pytest.param(
                [100, 300], [0, 0], 0, 200, 300, StepFlag.FLOW | StepFlag.FLOW_DOMINATED, id="big deposit"
            ),
            pytest.param(
                [100, 50], [0, 0], 0, -50, 100, StepFlag.FLOW | StepFlag.FLOW_DOMINATED, id="half taken out"
            ),
            pytest.param([100, 51], [0, 0], 0, -49, 100, StepFlag.FLOW, id="less than half taken out"),
            pytest.param([100, 110.99], [0, 10], 0.1, 0, 100, StepFlag(0), id="flow under 1 USD is noise"),
            pytest.param([100, 111], [0, 10], 10 / 101, 1, 101, StepFlag.FLOW, id="flow of 1 USD counts"),
            pytest.param([5e6, 5e6 + 4.9], [0, 0], 0, 0, 5e6, StepFlag(0), id="noise grows with the account"),
            pytest.param(
                [5e6, 100],
                [0, -4_999_904],
                -4_999_904 / 5e6,
                0,
                5e6,
                StepFlag(0),
                id="noise of the larger account value",
            ),
            pytest.param([20, 5, 5.5], [0, -15, -14.5], 0, 0, 5, StepFlag.NO_BASE, id="base below the floor"),
            pytest.param(
                [20, 5, 25],
                [0, -15, -12],
                3 / 22,
                17,
                22,
                StepFlag.FLOW | StepFlag.FLOW_DOMINATED,
                id="deposit on dust",
            ),
            pytest.param([100, 1_200], [0, 1_100], 10, 0, 100, StepFlag.CLIPPED, id="clipped at 10"),
            pytest.param([100, 1_100], [0, 1_000], 10, 0, 100, StepFlag(0), id="exactly 10 is not clipped"),
            pytest.param(
                [100, 0], [0, -100], -1, 0, 100, StepFlag.EPOCH_END | StepFlag.WIPED_OUT, id="wiped out"
            ),
            pytest.param(
                [100, 0],
                [0, -99.5],
                -1,
                0,
                100,
                StepFlag.EPOCH_END | StepFlag.WIPED_OUT,
                id="wiped out but dust",
            ),
            pytest.param(
                [100, 0],
                [0, -60],
                -0.6,
                -40,
                100,
                StepFlag.FLOW | StepFlag.EPOCH_END,
                id="lost some, withdrew the rest",
            ),
            pytest.param(
                [100, 0],
                [0, 0],
                0,
                -100,
                100,
                StepFlag.FLOW | StepFlag.FLOW_DOMINATED | StepFlag.EPOCH_END,
                id="withdrew all",
            ),
            pytest.param(
                [100, 0],
                [0, -150],
                -1,
                50,
                150,
                StepFlag.FLOW | StepFlag.EPOCH_END | StepFlag.WIPED_OUT,
                id="deposited and lost everything",
            ),
            pytest.param(
                [100, -20],
                [0, -120],
                -1,
                0,
                100,
                StepFlag.NEGATIVE_EQUITY | StepFlag.EPOCH_END | StepFlag.WIPED_OUT,
                id="negative equity explained by the loss",
            ),
            pytest.param(
                [100, -20],
                [0, -10],
                NAN,
                -110,
                100,
                StepFlag.FLOW
                | StepFlag.FLOW_DOMINATED
                | StepFlag.NEGATIVE_EQUITY
                | StepFlag.UNKNOWN_RETURN
                | StepFlag.EPOCH_END,
                id="negative equity no loss explains",
            ),
            pytest.param(
                [100, -20],
                [0, -105],
                -1,
                -15,
                100,
                StepFlag.FLOW | StepFlag.NEGATIVE_EQUITY | StepFlag.EPOCH_END | StepFlag.WIPED_OUT,
                id="negative equity after losing more than all and withdrawing",
            ),
        ],
    )
    def test_step(self, values, pnl, r, flow, base, flags):
        steps = returns_of(values, pnl)
        assert steps.r[-1] == pytest.approx(r, abs=1e-12, nan_ok=True)
        assert steps.flow[-1] == pytest.approx(flow, abs=1e-6)
        assert steps.base[-1] == pytest.approx(base)
        assert steps.pnl_change[-1] == pytest.approx(pnl[-1] - pnl[-2])
        assert flags_at(steps, -1) == flags

    def test_the_first_point_ends_no_step(self):
        steps = returns_of([100, 110], [7, 17])
        assert flags_at(steps, 0) == StepFlag.START
        assert steps.index.tolist() == pytest.approx([1.0, 1.1])
        for column in (steps.r, steps.flow, steps.base, steps.pnl_change):
            assert np.isnan(column[0])


class TestLeadingPoints:
    def test_the_curve_begins_at_the_first_point_on_the_floor(self):
        steps = returns_of([0, 9.99, 10, 20], [0, 5, 5, 15])
        assert steps.lead.tolist() == [2]
        assert steps.curves.account_value.tolist() == [10, 20]
        assert steps.index.tolist() == [1.0, 2.0]

    def test_never_funded_and_empty_wallets_have_no_points(self):
        steps = flow_adjusted_returns(
            curves(([0, 5], [0, 0]), ([], []), ([50], [0]), ([1, 2, 3, 60], [0, 0, 0, 0]))
        )
        assert steps.curves.lengths.tolist() == [0, 0, 1, 1]
        assert steps.lead.tolist() == [2, 0, 0, 3]
        assert steps.n_lives.tolist() == [0, 0, 1, 1]
        assert steps.curves.account_value.tolist() == [50, 60]

    def test_the_floor_is_a_rule(self):
        assert returns_of([50, 200], [0, 0], ReturnRules(funding_floor=100.0)).lead.tolist() == [1]

    def test_no_wallets_at_all(self):
        steps = flow_adjusted_returns(RaggedCurves.from_columns([], [], [], []))
        assert len(steps.index) == 0
        assert steps.n_lives.tolist() == []


class TestEpochsAndLives:
    def test_a_wipe_out_and_a_refunding_start_a_new_life_at_one(self):
        values = [100, 0, 0, 200, 220, 220]
        pnl = [0, -100, -100, -100, -80, -80]
        steps = returns_of(values, pnl)
        assert steps.epoch.tolist() == [1, 1, 1, 2, 2, 2]
        assert steps.index.tolist() == pytest.approx([1, 0, 0, 1, 1.1, 1.1])
        assert steps.life_offsets.tolist() == [0, 3, 6]
        assert steps.n_lives.tolist() == [2]
        assert flags_at(steps, 3) == StepFlag.START | StepFlag.FLOW | StepFlag.FLOW_DOMINATED
        assert np.isnan(steps.r[3])
        assert steps.flow[3] == 200

    def test_withdrawing_everything_ends_the_epoch_but_sheds_no_record(self):
        steps = returns_of([100, 60, 0, 100, 110], [0, -40, -40, -40, -30])
        assert steps.epoch.tolist() == [1, 1, 1, 2, 2]
        assert steps.index.tolist() == pytest.approx([1, 0.6, 0.6, 0.6, 0.66])
        assert steps.n_lives.tolist() == [1]

    def test_dust_does_not_refund_a_wiped_out_wallet(self):
        steps = returns_of([100, 0, 4, 9, 50], [0, -100, -100, -95, -95])
        assert steps.epoch.tolist() == [1, 1, 1, 1, 2]
        assert steps.index.tolist() == [1, 0, 0, 0, 1]

    def test_a_dip_below_the_floor_ends_no_epoch(self):
        steps = returns_of([100, 5, 100], [0, -95, -95])
        assert steps.epoch.tolist() == [1, 1, 1]
        assert steps.index.tolist() == pytest.approx([1, 0.05, 0.05])

    def test_an_unknown_return_makes_the_rest_of_the_life_unknown_and_only_that(self):
        steps = returns_of([100, -20, 100, 0, 50, 55], [0, -10, -10, -110, -110, -105])
        assert np.isnan(steps.index[1:4]).all()
        assert steps.index[4:].tolist() == pytest.approx([1, 1.1])
        assert steps.epoch.tolist() == [1, 1, 2, 2, 3, 3]

    def test_lives_never_cross_wallets(self):
        steps = flow_adjusted_returns(
            curves(([100, 0], [0, -100]), ([50, 60], [0, 10]), ([100, 0, 30], [0, -100, -100]))
        )
        assert steps.index.tolist() == pytest.approx([1, 0, 1, 1.2, 1, 0, 1])
        assert steps.n_lives.tolist() == [1, 1, 2]
        assert steps.epoch.tolist() == [1, 1, 1, 1, 1, 1, 2]


class TestProperties:
    @given(growths, st.data())
    def test_flows_without_pnl_change_no_ratio(self, factors, data):
        flows = data.draw(st.lists(st.floats(0.1, 5.0), min_size=len(factors), max_size=len(factors)))
        values, pnl, kept = chain(factors, flows, start=1e6)
        assume(min(values) > 100)
        with_flows = returns_of(values, pnl).index[kept]
        expected = np.cumprod([1.0, *factors])
        assert with_flows == pytest.approx(expected, rel=1e-9)

    @given(growths, st.floats(1e-3, 1e6))
    def test_scaling_changes_no_ratio(self, factors, scale):
        flows = [1.5, 0.7] * len(factors)
        values, pnl, _ = chain(factors, flows, start=1e9)
        rules = ReturnRules()
        scaled_rules = ReturnRules(
            funding_floor=rules.funding_floor * scale, flow_noise_usd=rules.flow_noise_usd * scale
        )
        plain = returns_of(values, pnl, rules)
        scaled = returns_of(np.array(values) * scale, np.array(pnl) * scale, scaled_rules)
        assert scaled.index == pytest.approx(plain.index, rel=1e-9)
        assert scaled.r == pytest.approx(plain.r, rel=1e-6, abs=1e-9, nan_ok=True)

    @given(growths, st.integers(0, 24), st.floats(-0.9, 3.0))
    def test_splitting_a_step_without_flow_changes_the_index_by_rounding_only(self, factors, place, share):
        values, pnl, _ = chain(factors, start=1e6)
        assume(place < len(factors) and min(values) > 100)
        between = values[place] * (1 + share)
        assume(between > 100 and values[place + 1] / between < 11)
        split_values = [*values[: place + 1], between, *values[place + 1 :]]
        split_pnl = [*pnl[: place + 1], pnl[place] + between - values[place], *pnl[place + 1 :]]
        whole = returns_of(values, pnl).index[-1]
        assert returns_of(split_values, split_pnl).index[-1] == pytest.approx(whole, rel=1e-9)

    @given(
        st.lists(
            st.tuples(
                st.one_of(st.just(0.0), st.floats(0, 50), st.floats(0, 1e9)),
                st.floats(-1e9, 1e9),
            ),
            min_size=1,
            max_size=30,
        )
    )
    def test_no_return_is_below_minus_one_and_none_unknown_where_equity_is_not_negative(self, points):
        steps = returns_of([value for value, _ in points], [pnl for _, pnl in points])
        measured = steps.r[~steps.flagged(StepFlag.START)]
        assert not np.isnan(measured).any()
        assert (measured >= -1.0).all()
        assert (measured <= 10.0).all()
        assert (steps.index >= 0).all()

    @given(growths, st.integers(-(10**11), 10**11))
    def test_shifting_time_changes_nothing(self, factors, shift):
        values, pnl, _ = chain(factors, [1.3] * len(factors))
        plain = curves((values, pnl))
        moved = RaggedCurves.from_columns(
            [plain.wallets[0]] * len(values), plain.ts_ms + shift, plain.account_value, plain.pnl
        )
        assert np.array_equal(flow_adjusted_returns(moved).index, flow_adjusted_returns(plain).index)

    @given(growths, st.randoms(use_true_random=False))
    def test_duplicates_and_disorder_change_nothing(self, factors, random):
        values, pnl, _ = chain(factors, [0.8] * len(factors))
        plain = curves((values, pnl))
        rows = list(zip(plain.ts_ms.tolist(), values, pnl, strict=True))
        messy = rows + random.choices(rows, k=5)
        random.shuffle(messy)
        ts, messy_values, messy_pnl = zip(*messy, strict=True)
        again = RaggedCurves.from_columns([plain.wallets[0]] * len(messy), ts, messy_values, messy_pnl)
        assert np.array_equal(flow_adjusted_returns(again).index, flow_adjusted_returns(plain).index)
        assert again.contradictions.tolist() == [0]

    @given(growths, st.floats(-1e7, 1e7))
    def test_the_pnl_baseline_does_not_matter(self, factors, constant):
        values, pnl, _ = chain(factors, [1.2] * len(factors), start=1e6)
        moved = returns_of(values, np.array(pnl) + constant)
        assert moved.index == pytest.approx(returns_of(values, pnl).index, rel=1e-9)

    @given(growths, st.integers(0, 24), st.floats(1.0, 1e4))
    def test_earning_more_in_the_last_step_never_lowers_the_index(self, factors, place, extra):
        assume(place < len(factors))
        values, pnl, _ = chain(factors[: place + 1], start=1e6)
        plain = returns_of(values, pnl).index[-1]
        richer = returns_of([*values[:-1], values[-1] + extra], [*pnl[:-1], pnl[-1] + extra]).index[-1]
        assert richer >= plain

    def test_a_wallet_without_flows_has_the_index_of_its_account_value(self):
        values, pnl = without_flows([100, 140, 90, 300, 299.5])
        assert returns_of(values, pnl).index == pytest.approx(np.array(values) / 100)


@pytest.mark.parametrize("field", list(ReturnRules.__dataclass_fields__))
def test_rules_must_be_positive(field):
    with pytest.raises(ValueError, match=field):
        ReturnRules(**{field: 0.0})


def test_steps_of_one_wallet_are_the_same_bits_alone_and_among_others():
    rng = np.random.default_rng(1)
    wallets = []
    for length in (3, 400, 57, 1, 1_000):
        factors = rng.normal(1.001, 0.05, length)
        wallets.append(chain(factors, rng.uniform(0.5, 2.0, length))[:2])
    together = flow_adjusted_returns(curves(*wallets))
    for number, wallet in enumerate(wallets):
        alone = flow_adjusted_returns(curves(wallet))
        begin, end = together.curves.offsets[number : number + 2]
        assert np.array_equal(together.index[begin:end], alone.index)
        assert np.array_equal(together.flags[begin:end], alone.flags)


def test_time_between_points_is_kept():
    steps = flow_adjusted_returns(curves(([100, 110], [0, 10])))
    assert steps.curves.ts_ms.tolist() == [START_MS, START_MS + DAY_MS]
