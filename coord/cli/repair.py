"""``coord repair``: examine a data directory whose node is down; let its peers heal the node."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from coord.cli import context, diagnosis, exits, output, status
from coord.cli.context import Target
from coord.cli.diagnosis import NodeView
from coord.model import requests
from coord.model.errors import ForeignDataError, NotReadyError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coord.store.quarantine import Diagnosis


@click.command("repair")
@click.option(
    "--dir",
    "directory",
    required=True,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Data directory of the node, which must be down.",
)
@click.option("--check", "only_check", is_flag=True, help="Examine only; exit 74 if damaged.")
@click.option(
    "--force", is_flag=True, help="Clear a lost directory though the peers cannot be reached."
)
@context.options
def repair_command(target: Target, directory: Path, *, only_check: bool, force: bool) -> None:
    r"""Find out what is damaged in a data directory, and let the node's peers heal it.

    Damaged parts are moved to quarantine/ below it, never deleted. A damaged tree is built anew
    from a snapshot and the log when the node starts. If the log is damaged, the whole
    directory goes there, and the node joins its peers as a new one: they must be able to commit
    without it, which is asked of --hosts first.

    \b
    Exit codes: 0 nothing damaged, or repaired · 69 the peers could not do without this directory ·
    74 damaged (--check), or the disk failed · 75 the node is running
    """
    from coord.store.quarantine import DirectoryDoctor, holds_data

    if not holds_data(directory):
        raise click.UsageError(f"{directory} holds no data of a node")
    with _locked(directory):
        doctor = DirectoryDoctor(directory, _progress(target))
        found = doctor.examine()
        needed = bool(found.lost_because or found.damaged)
        moved: Path | None = None
        if needed and not only_check:
            if found.lost_because and not force:
                _require_peers(target, found.cluster_id.hex())
            moved = doctor.clear(found)
    _show(target, directory, found, moved)
    if needed and only_check:
        click.get_current_context().exit(exits.STORAGE)


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Raises DirectoryInUseError while the node runs."""
    from coord.store.lock import DirectoryLock

    lock = DirectoryLock(directory)
    try:
        yield
    finally:
        lock.release()


def _progress(target: Target) -> Any:
    def show(path: Path) -> None:
        output.note(f"reading {path}")

    return (lambda _path: None) if target.as_json else show


def _require_peers(target: Target, cluster: str) -> None:
    """Raise NotReadyError unless the other members can commit: then nothing is lost with this
    directory. ``cluster``: whose it is, "" if nobody knows. Raises ForeignDataError if they are
    of another."""
    answers = context.run(status.gather(target, requests.STATUS))
    views = [NodeView.of(answer) for answer in answers]
    others = {view.cluster for view in views if view.cluster} - {cluster}
    if cluster and others:
        raise ForeignDataError(
            f"--hosts names cluster {min(others)}, the directory is of {cluster}: nothing was"
            " changed"
        )
    found = diagnosis.diagnose(views)
    if not found.serving:
        raise NotReadyError(
            f"the directory must be given up, but its peers cannot do without it now:"
            f" {': '.join([found.headline, *found.reasons[:1]])}. Nothing was changed; name the"
            " peers with --hosts, or bring them up"
        )


def _show(target: Target, directory: Path, found: Diagnosis, moved: Path | None) -> None:
    if target.as_json:
        output.json_line(
            {
                "directory": str(directory),
                "parts": [
                    {"path": str(f.path), "problem": f.problem or None} for f in found.findings
                ],
                "lost_because": found.lost_because or None,
                "quarantine": str(moved) if moved else None,
            }
        )
        return
    table = output.Table(("part", "state"))
    for finding in found.findings:
        colour = output.DOUBTFUL if finding.will_rebuild else output.BAD
        state = output.Cell(finding.problem, colour) if finding.problem else "sound"
        table.add(finding.path.relative_to(directory), state)
    table.show()
    for line in _verdict(found, moved):
        click.echo(line)


def _verdict(found: Diagnosis, moved: Path | None) -> list[str]:
    if not found.lost_because and not found.damaged:
        return [output.styled("nothing is damaged", output.GOOD)]
    if moved is None:
        return [output.styled(found.lost_because or "damaged", output.BAD)]
    if found.lost_because:
        return [
            output.styled("the directory was cleared", output.GOOD),
            f"  because {found.lost_because}",
            f"  what it held lies in {moved}",
            "  → start the node: it joins its peers as a new one and gets everything from them",
        ]
    return [
        output.styled("repaired", output.GOOD),
        f"  what was damaged lies in {moved}",
        "  → start the node: it builds its tree anew from a snapshot and the log",
    ]
