"""On traders of known skill, scores find more of it than raw ROI, PnL and chance; the benchmark prints the whole table."""

from benchmarks.bench_skill import findings


def test_scores_find_more_skill_than_raw_figures_do():
    found = findings(800, 7, "daily")
    everyone = {name: row[0] for name, row in found.items()}
    assert min(everyone["quant_score"], everyone["weighted_score"]) > everyone["raw ROI"] > everyone["PnL"]
    # Measured: the adjusted score gives up some order at the bottom, where it pulls everybody to 50.
    assert everyone["weighted_score"] > everyone["adjusted_score"] > everyone["PnL"] > abs(everyone["random"])
    short_among_best = {name: row[4] for name, row in found.items()}
    assert short_among_best["raw ROI"] > 0.1 > short_among_best["adjusted_score"]
