"""Which slots are covered, which are not, and why: pure functions on what the warehouse and Dagster know.

Belongs here: the vocabularies of `slot_coverage`, classifying a slot, finding gaps and shares. Does not belong here: reading
the warehouse (`assets.coverage_facts`) or Dagster's instance (`assets.coverage_evidence`), publishing (`assets.slot_coverage`).
"""
