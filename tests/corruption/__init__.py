"""A member whose files are damaged, down and up: it must never answer wrongly or lose a write."""
