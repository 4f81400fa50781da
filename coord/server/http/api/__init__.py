"""The JSON API under /v1: what a client of the native wire can do, for scripts and browsers.

``caller`` is a client inside the process: the gateway sees one more connection. ``callers`` keeps
them by address and user, or by session. ``forms`` and ``refusals`` turn values and errors into
JSON; the other modules hold one group of endpoints each, and ``routes`` lists them all.
Nothing here touches the tree but through the gateway and the node's own reader.
"""
