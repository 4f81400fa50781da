"""The composition root: the one place that builds a running node from its parts.

What it does: binds ports, opens the store, founds or joins the cluster, wires node, transport and
listener, answers signals, and ends the process with a code that says why. What it does not: decide
anything about data. Who calls it: ``coord serve`` and ``jepsen_lite.servers`` (with another clock
or disk). May import everything below the command line.

Nothing is imported here: ``failures`` must be cheap. Read next: ``application.py``, which reads
from top to bottom as a node's life.
"""

from __future__ import annotations
