"""The assets, one module each: read the window, call the domain, validate, publish, describe.

Belongs here: the steps of a slot as Dagster assets. Does not belong here: formulas (`equity`, `metrics`, `grading`,
`scoring`), HTTP (`exchange`), SQL beyond naming what to read (`warehouse`).
"""

import warnings

import dagster as dg

# Partitioned check specs and backfill policies are flagged preview and beta in Dagster 1.13; both are used on purpose.
warnings.filterwarnings("ignore", category=dg.PreviewWarning, message=".*AssetCheckSpec.*")
warnings.filterwarnings("ignore", category=dg.BetaWarning, message=".*backfill_policy.*")
