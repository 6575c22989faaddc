"""The endpoints, one module per subject.

Belongs here: which parameters an endpoint takes and how rows become its document. Does not belong here: SQL (`queries`),
snapshots, caching and errors (`service`, `problems`).
"""
