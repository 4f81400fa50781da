"""Nodes of coord whose clock can be moved, composed from the product's own parts.

``python -m jepsen_lite.servers`` is ``coord serve`` with that one difference. It is the only part
of the package that may import ``coord.app``; nothing imports it.
"""
