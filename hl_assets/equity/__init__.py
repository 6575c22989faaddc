"""Equity curves: from the exchange's portfolio windows to flow-adjusted returns and an index.

Belongs here: pairing, stitching and cleaning of account value and PnL, the ragged layout many wallets share, and the
return of a step that deposits and withdrawals cannot fake. Ratios, drawdowns and statistics belong in
`hl_assets.metrics`. Everything is a pure function of arrays.
"""
