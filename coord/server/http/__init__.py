"""The HTTP door of a node: health for supervisors and load balancers, metrics for Prometheus.

Stands beside the client listener and reads the node; nothing here changes anything. ``doors`` makes
the application and keeps its port, ``health`` and ``metrics`` say what a node tells (pure but for
reading it), ``problems`` and ``guards`` are what every answer passes. Imports aiohttp, which a
node without the door never loads.
"""
