"""Keeping what is stored within bounds: retention of slices, sweeping, and Dagster's own runs.

Belongs here: what may go, and removing it. Does not belong here: publishing (`hl_assets.warehouse`), when it runs
(`hl_assets.schedules`).
"""
