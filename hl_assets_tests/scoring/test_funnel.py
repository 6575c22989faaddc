"""The funnel counts every wallet at every gate it came to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hl_assets.scoring.funnel import count_gates

GATES = ("a", "b", "c")


@given(st.lists(st.sampled_from([*GATES, None])))
def test_each_gate_is_entered_by_those_who_passed_the_one_before(first_failed):
    gates = count_gates(first_failed, GATES)
    assert [gate.name for gate in gates] == list(GATES)
    left = len(first_failed)
    for gate in gates:
        assert gate.entered == left
        assert gate.entered - gate.passed == first_failed.count(gate.name)
        left = gate.passed
    assert left == first_failed.count(None)


def test_an_unknown_gate_is_named():
    with pytest.raises(ValueError, match="no gate is called d"):
        count_gates(["d"], GATES)
