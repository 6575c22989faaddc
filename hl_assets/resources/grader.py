"""The grader that assets ask.

Belongs here: choosing it from settings. Does not belong here: grading (`hl_assets.grading`).
"""

from hl_assets.grading.interface import Grader
from hl_assets.grading.rules import RuleGrader


def make_grader() -> Grader:
    """The rule grader: deterministic, from percentiles and caps; no key and no network needed."""
    return RuleGrader()
