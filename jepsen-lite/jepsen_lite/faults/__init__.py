"""Faults: what they do, how each proves that it took effect, how each is healed.

``fault`` is the interface and ``targets`` the words for whom it strikes; ``schedule`` makes them
happen during a run.
"""
