"""What assets are handed: the exchange, the warehouse, the grader.

Belongs here: building those objects from settings. Does not belong here: what they do.

They are plain objects, not `ConfigurableResource`s, because Dagster shows a configurable resource's values in its UI
and stores them with each run, and a ClickHouse URL may carry a password.
"""
