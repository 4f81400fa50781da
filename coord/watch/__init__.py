"""Who wants to know what changed. Pure: changes in, events for each watching connection out.

``registry`` holds the watches of one node's connections and matches applied changes with them;
``notify`` groups what matched into bounded messages in revision order, and decides when an idle
stream gets a bookmark. Watches are per connection, so nothing here is replicated or durable.
Called by the gateway after each applied batch; imports ``coord.model`` only.
"""
