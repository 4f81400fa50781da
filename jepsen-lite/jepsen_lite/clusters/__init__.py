"""Clusters to be tested: how to start them, and what can be done to them.

``cluster`` says what a run needs; ``local`` is coord on this machine, ``zookeeper`` and ``etcd``
are Debian's packages, ``remote`` is whatever somebody else runs. ``proxy`` and ``weather`` are the
network between them.
"""
