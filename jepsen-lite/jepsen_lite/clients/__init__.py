"""Clients of the systems under test, behind one interface: ``store.Store``."""
