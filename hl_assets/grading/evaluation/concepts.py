"""Risks a grader must see, and the word stems by which prose is known to speak of each.

Belongs here: the vocabulary. Stems are beginnings of words, compared without case; they find that a risk is spoken of, not
what is said about it: "no wipe-outs" counts as speaking of wipe-outs.
"""

import re
from collections.abc import Iterable
from typing import Literal

RiskConcept = Literal[
    "untested", "unsustainable_growth", "short_history", "flow_dominated", "sparse_data", "wiped_out"
]

RISK_STEMS: dict[RiskConcept, tuple[str, ...]] = {
    "untested": ("untest", "not tested", "never tested", "not been tested", "no real drawdown", "unproven", "stress"),
    "unsustainable_growth": ("sustain", "unsustain", "repeatab", "unrepeat", "extreme growth", "mean-revert"),
    "short_history": ("short", "brief", "young", "limited histor", "limited track", "limited sample", "few days"),
    "flow_dominated": ("flow", "deposit", "withdraw", "inflow", "outflow"),
    "sparse_data": ("gap", "sparse", "infrequent", "between points", "hours apart", "days apart", "coarse"),
    "wiped_out": ("wipe", "lost everything", "total loss", "blow", "blew", "liquidat", "ruin"),
}  # fmt: skip


def mentions(texts: Iterable[str], concept: RiskConcept) -> bool:
    """Whether any text speaks of the risk."""
    stems = "|".join(re.escape(stem) for stem in RISK_STEMS[concept])
    return any(re.search(rf"\b(?:{stems})", text, re.IGNORECASE) for text in texts)
