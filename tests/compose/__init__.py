"""A drill on the compose cluster: real containers, networks and volumes."""
