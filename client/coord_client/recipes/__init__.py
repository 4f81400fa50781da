"""Recipes: what services build on the tree. Each file imports the client, never the reverse."""
