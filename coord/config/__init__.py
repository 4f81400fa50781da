"""Configuration of one node: a TOML file, ``COORD_*`` variables and flags become checked values.

What it does: merges the layers (flags over environment over file over defaults), remembers where
each value came from, checks ranges and relations, and says everything that is wrong at once.
What it does not: look at the machine (directories, ports); ``coord.app`` does that.
Who calls it: ``coord serve``, ``coord config``, ``coord.app``. May import: ``coord.model``.
Read next: ``options.py``, the table of all keys.
"""

from __future__ import annotations

from coord.config.loader import describe, load
from coord.config.options import OPTIONS, Option
from coord.config.parsers import InitialMember
from coord.config.values import Config

__all__ = ["OPTIONS", "Config", "InitialMember", "Option", "describe", "load"]
