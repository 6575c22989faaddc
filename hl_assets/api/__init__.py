"""The REST API: what is published, served over HTTP, read-only.

Belongs here: requests, answers, errors, limits and the queries behind them. Does not belong here: computing anything
(domain packages), writing (`hl_assets.assets`), Dagster; a tick is requested through a launcher that the command line hands
in (`ticks`).
"""
