"""Runs, live or finished, for those who only look."""
