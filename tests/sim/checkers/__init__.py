"""Judges of a run. Each takes a history and returns what is wrong with it, as sentences.

- ``witness``: the order the service claims is a legal one (replay against the independent model,
  then a sweep over real time). Passing it proves linearizability.
- ``exactly_once``: counters and sequential nodes add up.
- ``sessions``: nobody expired early, nobody told so falsely, ephemerals live as their sessions.
- ``wgl``: a search for a legal order that does not believe the claimed one; small histories.
"""
