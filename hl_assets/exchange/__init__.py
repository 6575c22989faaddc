"""Everything that speaks to Hyperliquid's public data API, and nothing that interprets what it says.

Belongs here: addresses, hosts and limits (`config`), the shared request budget (`rate_limit`), strict parsing of
payloads into arrays (`payloads`), retries (`retrying`), the client (`client`) and the local exchange (`sandbox`).
Does not belong here: stitching, sorting or repairing series (package `equity`), storage, Dagster, environment variables.
"""
