"""The assets, one module each: read the window, call the domain, validate, publish, describe.

Belongs here: the steps of a slot as Dagster assets. Does not belong here: formulas (`equity`, `metrics`, `grading`,
`scoring`), HTTP (`exchange`), SQL beyond naming what to read (`warehouse`).
"""
