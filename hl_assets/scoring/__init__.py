"""Scores and ranks: one number per wallet and slot, and the order it gives.

Belongs here: weights, the weighted score and ranks. Percentiles, discrete scores and eligibility come from
`hl_assets.metrics`, words and a model's scores from `hl_assets.grading`. Nothing reads this package but what publishes.
"""
