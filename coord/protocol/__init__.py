"""Wire formats that clients speak, without I/O: bytes in, requests out; values in, bytes out.

Used by the node's gateway and by the client library; imports ``coord.model`` only. Sockets,
sessions and the meaning of a request are elsewhere. Reading order: ``framing`` (where a frame
ends), ``sniff`` (which protocol a connection speaks), ``native_requests`` (what a request may
hold), ``native`` and ``native_client`` (the two ends). The specification is ``docs/protocol.md``.
"""
