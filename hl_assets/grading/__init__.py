"""Grades: a trader's style, sustainability, risks and discrete scores, from metrics and percentiles.

Belongs here: what a grader is given and must answer, the rules every answer is held to, the readiness gate, and the
deterministic rule grader. Metrics belong in `hl_assets.metrics`, ranks in `hl_assets.scoring`. Nothing here does I/O; a
grader that asks a model lives behind the same interface.
"""
