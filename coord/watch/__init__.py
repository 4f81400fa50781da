"""Who wants to know what changed. Pure: changes in, events for each watching connection out.

``registry`` holds the watches of one node's connections and matches applied changes with them,
``standing`` those of ZooKeeper's clients that stay armed, ``kinds`` how such a client names them;
``replay`` applies the same rules to what a resuming stream missed; ``notify`` groups what matched
into bounded messages in revision order, and decides when an idle stream gets a bookmark.

Watches are per connection, so nothing here is replicated or durable. Called by the gateway after
each applied batch; imports ``coord.model`` only.
"""
