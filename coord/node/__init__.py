"""One running member: where the front half (clients) meets the back half (consensus, tree).

Data goes round one way::

    client request → gateway → forwarding → driver → raft → log writer (disk)
                                              ↓ committed and durable here
    client reply   ← gateway ← streams (watches) ← store.apply

``node`` wires it; ``driver`` is the only caller of the Raft core and of apply; ``gateway`` keeps
each session's order, whichever protocol its client speaks: it takes writes (``admission`` bounds
them), serves ``reads``, and hands everything else to what knows it (``streams``, ``questions``,
``watch_requests``, ``reconfig``; long work in ``turns``); ``outboxes`` writes what comes of it.
``attach`` opens and moves sessions; ``liveness`` decides who is alive;
``replacement`` and ``housekeeping`` run between times. ``ports`` names what the outside must
bring: clock, scheduler, transport. Sockets are in ``transport`` and ``peer_link`` alone.

Called by ``coord.app`` and by the simulator. Read next: ``driver``, then ``gateway``.
"""
