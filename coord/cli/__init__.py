"""The command ``coord``.

Each module holds one group of commands and is imported only when one of them runs; inside a
command, what it needs is imported only then, so that ``coord get`` starts in the time of Python,
click and the client library. ``main.py`` names every command in one table.

Commands talk to the service through ``coord_client``; ``serve`` alone composes a node. Nothing
imports this package.
"""
