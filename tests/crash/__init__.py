"""Power loss on the real store: what a machine may find on its disk after the current failed."""
