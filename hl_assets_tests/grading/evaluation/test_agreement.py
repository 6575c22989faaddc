"""Kappa against scikit-learn's values and against a definition without tables."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hl_assets.grading.evaluation.agreement import cohen_kappa, repeat_agreement
from hl_assets.grading.evaluation.asking import JUDGED_FIELDS, judgement_of
from hl_assets.grading.rules import grade_by_rules
from hl_assets_tests.grading.builders import grade_input

PINNED = [  # ratings, and sklearn.metrics.cohen_kappa_score of scikit-learn 1.9.1: unweighted, weights="quadratic"
    (
        [0, 1, 2, 3, 4, 4, 3, 2, 1, 0, 2, 2, 3, 4, 1],
        [0, 2, 2, 3, 3, 4, 4, 2, 0, 0, 1, 2, 3, 4, 2],
        0.4943820224719101,
        0.8877805486284289,
    ),
    (
        [0, 0, 1, 1, 2, 2, 2, 0, 1, 2],
        [2, 1, 1, 0, 2, 0, 2, 0, 2, 1],
        0.09090909090909083,
        0.13043478260869568,
    ),
    ([0, 1, 2, 0, 1, 2], [2, 1, 0, 2, 1, 0], 0.0, -1.0),
    ([0, 4, 4, 4, 4, 4], [4, 4, 4, 4, 4, 4], 0.0, 0.0),
]

ratings = st.integers(1, 5).flatmap(
    lambda k: st.tuples(
        st.just(k), st.lists(st.tuples(st.integers(0, k - 1), st.integers(0, k - 1)), min_size=1, max_size=30)
    )
)


def by_definition(pairs, distance):
    """1 - mean distance of the pairs / mean distance of every first with every second rating."""
    observed = sum(distance(a, b) for a, b in pairs) / len(pairs)
    chance = sum(distance(a, b) for a, _ in pairs for _, b in pairs) / len(pairs) ** 2
    return None if chance == 0 else 1 - observed / chance


@pytest.mark.parametrize(("first", "second", "unweighted", "quadratic"), PINNED)
def test_scikit_learns_values(first, second, unweighted, quadratic):
    assert cohen_kappa(first, second, 5, "unweighted") == pytest.approx(unweighted, abs=1e-12)
    assert cohen_kappa(first, second, 5, "quadratic") == pytest.approx(quadratic, abs=1e-12)


@given(ratings)
def test_the_definition(drawn):
    k, pairs = drawn
    first, second = [a for a, _ in pairs], [b for _, b in pairs]
    for weights, distance in (
        ("quadratic", lambda a, b: (a - b) ** 2),
        ("unweighted", lambda a, b: int(a != b)),
    ):
        kappa, expected = cohen_kappa(first, second, k, weights), by_definition(pairs, distance)
        assert (kappa is None) == (expected is None)
        if kappa is not None:
            assert kappa == pytest.approx(expected, abs=1e-9)
            assert kappa <= 1
            assert kappa == pytest.approx(cohen_kappa(second, first, k, weights))


@given(ratings)
def test_agreeing_in_everything_is_one_or_undefined(drawn):
    k, pairs = drawn
    same = [a for a, _ in pairs]
    for weights in ("quadratic", "unweighted"):
        assert cohen_kappa(same, same, k, weights) == (1.0 if len(set(same)) > 1 else None)


def test_nothing_rated_and_one_category_are_undefined():
    assert cohen_kappa([], [], 5, "quadratic") is None
    assert cohen_kappa([3, 3], [3, 3], 5, "quadratic") is None


@pytest.mark.parametrize(("first", "second"), [([0], [0, 1]), ([5], [0]), ([0], [-1])])
def test_what_is_no_rating_is_refused(first, second):
    with pytest.raises(ValueError, match=r"ratings|categories"):
        cohen_kappa(first, second, 5, "quadratic")


def judged(**changes):
    return judgement_of(grade_by_rules(grade_input())) | changes


def field(agreement, name):
    (found,) = [each for each in agreement if each.field == name]
    return found


def test_every_field_and_its_weights():
    agreement = repeat_agreement([[judged()], [judged()]])
    assert tuple(each.field for each in agreement) == JUDGED_FIELDS
    assert {each.field for each in agreement if each.weights == "unweighted"} == {"trading_style"}


def test_two_repeats():
    first = [judged(roi=20), judged(roi=40), judged(roi=100), judged(roi=100)]
    second = [judged(roi=20), judged(roi=60), judged(roi=100), judged(roi=80)]
    roi = field(repeat_agreement([first, second]), "roi")
    assert (roi.n_pairs, roi.exact, roi.reason) == (4, 0.5, None)
    assert roi.kappa == pytest.approx(cohen_kappa([0, 1, 4, 4], [0, 2, 4, 3], 5, "quadratic"))
    style = field(repeat_agreement([first, second]), "trading_style")
    assert style.exact == 1.0
    assert style.kappa is None
    assert "one and the same answer" in style.reason


def test_a_style_is_no_nearer_to_its_neighbour_and_a_level_is():
    styles = ["Aggressive Momentum", "Conservative Value", "Unclassified"]
    first = [judged(trading_style=style) for style in styles]
    near = [judged(trading_style=style) for style in ["Conservative Value", *styles[1:]]]
    far = [judged(trading_style=style) for style in ["Breakout", *styles[1:]]]
    kappas = [field(repeat_agreement([first, other]), "trading_style").kappa for other in (near, far)]
    assert kappas == pytest.approx([0.5, 4 / 7])  # by hand: 1 - (1/3) / (2/3) and 1 - (1/3) / (7/9)
    levels = ["Low", "Low", "Medium", "High"]
    first = [judged(confidence=level) for level in levels]
    near = [judged(confidence=level) for level in ["Medium", *levels[1:]]]
    far = [judged(confidence=level) for level in ["High", *levels[1:]]]
    kappas = [field(repeat_agreement([first, other]), "confidence").kappa for other in (near, far)]
    assert kappas[0] > kappas[1]


def test_three_repeats_are_the_mean_of_their_pairs():
    runs = [
        [judged(roi=score) for score in scores] for scores in ((20, 60, 100), (20, 40, 100), (40, 60, 80))
    ]
    roi = field(repeat_agreement(runs), "roi")
    pairs = (([0, 2, 4], [0, 1, 4]), ([0, 2, 4], [1, 2, 3]), ([0, 1, 4], [1, 2, 3]))
    assert roi.kappa == pytest.approx(sum(cohen_kappa(a, b, 5, "quadratic") for a, b in pairs) / 3)
    assert roi.n_pairs == 9
    assert roi.exact == pytest.approx(3 / 9)


def test_what_was_not_judged_twice_does_not_count():
    first = [judged(roi=20), None, judged(roi=None), judged(roi=60)]
    second = [judged(roi=20), judged(), judged(roi=40), judged(roi=80)]
    roi = field(repeat_agreement([first, second]), "roi")
    assert (roi.n_pairs, roi.exact) == (2, 0.5)
    nothing = field(repeat_agreement([[None], [judged()]]), "roi")
    assert (nothing.n_pairs, nothing.exact, nothing.kappa) == (0, None, None)
    assert nothing.reason == "no input was judged twice by the grader in this field"
    once = field(repeat_agreement([[judged()]]), "roi")
    assert once.reason == "asked only once"


def test_repeats_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="one judgement"):
        repeat_agreement([[judged()], []])
