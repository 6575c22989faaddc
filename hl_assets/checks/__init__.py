"""Asset checks: contracts, volume, coverage and freshness as Dagster check results.

Belongs here: turning plain reports into check results, and check specs. Does not belong here: the rules themselves
(`hl_assets.schemas`), writing anything.
"""
