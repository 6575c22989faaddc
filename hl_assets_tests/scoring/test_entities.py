"""Entity flags and filters."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hl_assets.scoring.entities import (
    EntityFilterError,
    EntityFlag,
    EntityLimits,
    entity_flags,
    parse_entity_filter,
)

NAN = float("nan")


def flags(n=1, limits=None, **facts):
    plain = {
        "is_vault": np.zeros(n, np.bool_),
        "is_system_address": np.zeros(n, np.bool_),
        "all_time_volume": np.full(n, 1e6),
        "share_flow_dominated": np.zeros(n),
        "best_day_share": np.full(n, 0.1),
    }
    return entity_flags(
        **{**plain, **{name: np.array(value) for name, value in facts.items()}}, limits=limits
    )


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, ()),
        ({"is_vault": [True]}, ("vault",)),
        ({"is_system_address": [True]}, ("system_address",)),
        ({"all_time_volume": [0.0]}, ("zero_volume",)),
        ({"share_flow_dominated": [0.2]}, ("flow_dominated",)),
        ({"share_flow_dominated": [0.199]}, ()),
        ({"best_day_share": [0.5]}, ("one_big_win",)),
        ({"best_day_share": [3.0]}, ("one_big_win",)),
        ({"best_day_share": [NAN], "all_time_volume": [NAN], "share_flow_dominated": [NAN]}, ()),
        (
            {"is_vault": [True], "best_day_share": [0.9], "all_time_volume": [0.0]},
            ("vault", "zero_volume", "one_big_win"),
        ),
    ],
)
def test_each_fact_sets_its_flag(facts, expected):
    assert flags(**facts) == [expected]


def test_limits_are_configuration():
    assert flags(limits=EntityLimits(one_big_win=0.05)) == [("one_big_win",)]
    with pytest.raises(ValueError, match="flow_dominated"):
        EntityLimits(flow_dominated=0.0)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=20))
def test_wallets_are_judged_one_by_one(facts):
    vault, system = (np.array(column, dtype=np.bool_) for column in zip(*facts, strict=True))
    together = flags(len(facts), is_vault=vault, is_system_address=system)
    alone = [flags(is_vault=[v], is_system_address=[s])[0] for v, s in facts]
    assert together == alone


def test_lengths_must_fit():
    with pytest.raises(ValueError, match="different numbers"):
        flags(2, is_vault=[True])


def test_a_filter_names_flags():
    assert parse_entity_filter(" zero_volume,vault ") == (EntityFlag.VAULT, EntityFlag.ZERO_VOLUME)
    assert parse_entity_filter("none") == parse_entity_filter("") == ()
    with pytest.raises(EntityFilterError, match=r"'vaults'.*there are vault, system_address"):
        parse_entity_filter("vaults")
