"""Faces clients: accepts sockets, recognises the protocol, moves bytes to and from the gateway."""
