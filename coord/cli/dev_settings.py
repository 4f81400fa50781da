"""The settings that ``coord dev --set`` hands to its nodes, checked before any node starts."""

from __future__ import annotations

import os
from pathlib import Path

from coord import config as configuration
from coord.cli.dev_layout import Layout
from coord.cli.serve import flags_of_settings
from coord.model.errors import ConfigError


def check(layout: Layout) -> None:
    """Refuse what `coord serve` would refuse. Raises ConfigError with everything that is wrong.

    The nodes inherit our environment: its COORD_ variables and file count too.
    """
    given = flags_of_settings(layout.settings)
    file = os.environ.get("COORD_CONFIG")
    for node in layout.nodes:
        own = layout.values_of(node)
        for key in given:
            if key in own or key.startswith("node."):
                raise ConfigError(f"--set {key}: coord dev chooses that for each of its nodes")
        flags = {**{key: (value, "coord dev") for key, value in own.items()}, **given}
        configuration.load(flags, os.environ, Path(file) if file else None)
