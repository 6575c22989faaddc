"""Evaluating graders: is one competent, consistent with itself, and how far from the rules is it?

Belongs here: frozen inputs with what any competent grader must say about them, relations between grades of related inputs,
agreement of repeated grades, and the report of all three. It knows `hl_assets.grading.interface.Grader` and no grader in
particular; opening one, paying for it and printing belong elsewhere. Ask a grader that has no cache: a stored answer says
nothing about repeatability.
"""
