"""Observability: figures of the platform for Prometheus, and structured logs.

Belongs here: reading the figures from the warehouse, their names, how lines of a log look. Does not belong here: HTTP
(`hl_assets.api`), Dagster (`hl_assets.resources`), what is worth an alert (`hl_assets.alerts`).
"""
