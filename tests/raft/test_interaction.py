"""The interaction scripts of ``testdata/``: what a cluster says and does, line by line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import datadriven
from tests.raft.interaction import Interaction

SCRIPTS = sorted((Path(__file__).parent / "testdata").glob("*.txt"))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_interaction(path: Path, *, rewrite: bool) -> None:
    """The script prints what it says it prints."""
    datadriven.check(path, Interaction().handle, rewrite=rewrite)


def test_rewriting_keeps_comments_and_commands() -> None:
    """A rewritten script differs only in what follows the separators."""
    text = "# why\n\none a k=v\n----\nold\n\n# end\n"
    cases, after = datadriven.parse(text)

    rewritten = datadriven.render(cases, after, [["new"]])

    assert rewritten == text.replace("old", "new")


def test_a_difference_is_an_error(tmp_path: Path) -> None:
    """A script whose output changed fails and names the line."""
    script = tmp_path / "script.txt"
    script.write_text("cluster 1\n----\nsomething else\n")

    with pytest.raises(AssertionError, match=r"script\.txt:1"):
        datadriven.check(script, Interaction().handle, rewrite=False)
