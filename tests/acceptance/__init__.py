"""Drills on a real cluster: processes killed and frozen, directories lost, every promise counted.

``python -m tests.acceptance DRILL`` runs one drill and prints what it measured; ``docs/testing.md``
records results with their command and commit.
"""
