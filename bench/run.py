"""Compares ZooKeeper, etcd and coord, three nodes each, in turn and repeatedly.

    make bench                                       the whole comparison, and docs/performance.md
    python -m bench.run --quick                      one short round of everything
    python -m bench.run --case set-64x1 --system coord --system zookeeper
    python -m bench.run --write-docs RESULTS         the page and its chart from earlier results
    python -m bench.run --strace                     system calls of one of our nodes under writes
    python -m bench.run --profile DIR                a py-spy profile of each of our nodes

bench/README.md says what is measured and how.
"""

from __future__ import annotations

import argparse
import dataclasses
import resource
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from bench import campaign, inside, machine, report, results, tools
from bench.cases import NAMES, SYSTEMS
from bench.coord_servers import Coord
from bench.peers import Etcd, ZooKeeper
from bench.plan import QUICK, Scale, plan
from bench.servers import ServersError

PORT: Final = 23_181
DESCRIPTORS: Final = 20_000


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--case", action="append", choices=NAMES, metavar="CASE", help=f"of {', '.join(NAMES)}")
    add("--system", action="append", choices=SYSTEMS, help="only this one (repeatable)")
    add("--quick", action="store_true", help="one short round of everything")
    add("--rounds", type=int, help="how often every system has its turn")
    add("--seconds", type=int, help="measured, per run of a load")
    add("--warmup", type=int, help="seconds before that")
    add("--keys", type=int, help="distinct nodes written and read")
    add("--failovers", type=int, help="of each kind, in all rounds together")
    add("--port", type=int, default=PORT, help="first of about thirty")
    add("--json", type=Path, metavar="FILE", help="keep every trial there")
    add("--docs", action="store_true", help="write docs/performance.md and its chart")
    add("--write-docs", type=Path, metavar="RESULTS", help="the same, from earlier results")
    add("--strace", action="store_true", help="count system calls instead")
    add("--profile", type=Path, metavar="DIR", help="record profiles instead")
    return parser.parse_args()


def scale_of(options: argparse.Namespace) -> Scale:
    """How much to do: the default or the quick scale, and what was asked otherwise."""
    scale = QUICK if options.quick else Scale()
    names = ("rounds", "seconds", "warmup", "keys")
    asked = {name: value for name in names if (value := getattr(options, name)) is not None}
    if options.failovers is not None:
        asked |= {"kills": options.failovers, "freezes": options.failovers}
    if any(value < 1 for value in asked.values()):
        raise SystemExit("numbers start at 1")
    return dataclasses.replace(scale, **asked)


def systems_of(options: argparse.Namespace) -> list[str]:
    """The systems that are installed, of those asked for; says which are not."""
    missing = {
        "zookeeper": ZooKeeper.missing(),
        "etcd": Etcd.missing() or tools.etcdload_missing(),
    }
    systems = [system for system in SYSTEMS if system in (options.system or SYSTEMS)]
    for system in systems:
        if missing.get(system):
            print(f"left out: {system}, for want of: {missing[system]}", file=sys.stderr)
    return [system for system in systems if not missing.get(system)]


def raise_descriptor_limit() -> None:
    """Servers inherit it, and 5,000 sessions are more than most shells allow."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if most == resource.RLIM_INFINITY else min(DESCRIPTORS, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def compare(options: argparse.Namespace) -> int:
    """Measure, show, keep."""
    scale, systems = scale_of(options), systems_of(options)
    if "etcd" in systems:
        tools.build_etcdload()
    blocks = plan(scale, systems, options.case or list(NAMES))
    about_min = sum(block.estimate_s for block in blocks) / 60
    print(f"about {about_min:.0f} minutes; leave the machine alone meanwhile", file=sys.stderr)
    described, versions = machine.describe(), machine.versions()
    records: list[dict[str, Any]] = []
    is_whole = False
    try:
        campaign.carry_out(blocks, scale, options.port, records)
        is_whole = True
    except KeyboardInterrupt:
        print("interrupted: what follows is what there is", file=sys.stderr)
    found = report.everything(described, versions, dataclasses.asdict(scale), records)
    if options.json:
        results.write(options.json, found)
    if records:
        report.show(found)
    if options.docs and is_whole:
        report.write_docs(found)
    return 0 if is_whole and records else 1


def look_inside(options: argparse.Namespace) -> int:
    """Our nodes alone, under a microscope."""
    scale = scale_of(options)
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        Coord(Path(folder), options.port) as servers,
    ):
        campaign.warm_up(servers, scale)
        if options.strace:
            inside.count_calls(servers, scale)
        if options.profile:
            inside.profile(servers, options.profile, scale)
    return 0


def main() -> int:
    """One of: write the page, look inside, compare."""
    options = parse()
    if options.write_docs:
        for path in report.write_docs(results.read(options.write_docs)):
            print(path)
        return 0
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    raise_descriptor_limit()
    tools.build()
    try:
        if options.strace or options.profile:
            return look_inside(options)
        return compare(options)
    except ServersError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
