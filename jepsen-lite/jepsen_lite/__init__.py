"""A fault-injection and linearizability tester for coordination services.

Drives ``coord_client`` against real clusters while it kills, pauses and partitions their nodes,
records every operation, and checks what came back. Nothing imports this package.
"""
