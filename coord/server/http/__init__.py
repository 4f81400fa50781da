"""The HTTP door of a node: health for supervisors and load balancers, metrics for Prometheus, the
JSON API, the page.

Stands beside the client listener. ``doors`` makes the application and keeps its port; ``health``,
``metrics`` and ``labelled`` say what a node tells (pure but for reading it); ``problems`` and
``guards`` are what every answer passes; ``api`` is what lies under /v1; ``page`` and ``feed`` are
the page and its stream. Imports aiohttp, which a node without the door never loads.
"""
