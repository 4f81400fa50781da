"""ZooKeeper's four-letter words: what its operators, dashboards and probes ask a server.

What it does: answers a word in text, in the format of ZooKeeper 3.8, then the connection is closed.
``facts`` are plain values, ``render`` and ``listings`` turn them into text, ``collect`` reads them
off a running node, ``desk`` knows which word is which and which may be answered. Rendering reads
nothing and knows no node, so that its format is tested for given facts.
"""
