"""Asking Claude."""
