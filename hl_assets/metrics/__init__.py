"""Metrics of equity curves: what was earned, what was risked, and how good the data behind it are.

Belongs here: every published figure of one wallet, its null reasons and flags, percentiles among wallets, and who is
eligible to be compared. Styles and words belong in `hl_assets.grading`, weights and ranks in `hl_assets.scoring`.
Everything is a pure function of arrays over many wallets at once.
"""
