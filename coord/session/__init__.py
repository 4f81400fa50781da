"""Who is alive. Pure rules with the time as an argument; the replicated session table is the
store's.

On the leader: ``tracker`` orders sessions by deadline, ``expiry`` decides which are proposed to
end, and when contact counts. On every node: ``heartbeats`` batches the contacts it saw for the
leader and says which heartbeat replies may leave. Imports ``coord.model`` only.
"""
