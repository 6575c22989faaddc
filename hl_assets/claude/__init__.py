"""Asking Claude for grades: prompt, request, answer, money, and the record of every call.

Belongs here: everything between a `GradeInput` and Anthropic's Messages API. What a grade is and which rules it is held to
belongs in `hl_assets.grading`, storing calls in `hl_assets.assets`.
"""
