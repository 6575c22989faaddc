"""Prices and what tokens cost."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hl_assets.claude.prices import PRICES, Price, UnknownPriceError, Usage, price_of, usd, worst_case_usd

tokens = st.integers(0, 1_000_000)


def test_the_default_model_costs_what_the_vendor_says():
    price = price_of("claude-haiku-5-5")
    assert usd(price, Usage(1_600, 500)) == pytest.approx(0.00041)
    assert usd(price, Usage(1_600, 500), batch=True) == pytest.approx(0.000205)
    assert price.cache_read == pytest.approx(0.01)


def test_a_dated_name_costs_what_its_model_does():
    assert price_of("claude-haiku-4-5-20251001") == PRICES["claude-haiku-4-5"]


def test_an_override_comes_first():
    mine = Price.of(7, 8)
    assert price_of("claude-haiku-5-5", {"claude-haiku-5-5": mine}) == mine
    assert price_of("mine", {"mine": mine}) == mine


def test_a_model_without_a_price_says_how_to_set_one():
    with pytest.raises(UnknownPriceError, match="'gpt': set GRADER_PRICE"):
        price_of("gpt")


@pytest.mark.parametrize("bad", [-1.0, math.nan, math.inf])
def test_a_price_is_a_number(bad):
    with pytest.raises(ValueError, match="input"):
        Price.of(bad, 1.0)


@given(tokens, tokens, tokens, st.integers(0, 10_000), st.sampled_from(sorted(PRICES)), st.booleans())
def test_no_answer_costs_more_than_its_worst_case(fresh, read, written, output, model, batch):
    price = PRICES[model]
    worst = worst_case_usd(price, input_tokens=fresh + read + written, max_tokens=output, batch=batch)
    assert usd(price, Usage(fresh, output, read, written), batch=batch) <= worst * (1 + 1e-12)
