"""Members that write their log: entries, votes, memberships, truncation."""

from __future__ import annotations

from queue import SimpleQueue

from coord.raft.types import EntryKind, HardState, Incarnation, Member, Membership, NodeId, Term
from coord.store.log_writer import ThreadLogWriter
from coord.store.raft_log import LogWrite
from tests.crash.member import MEMBERS, Recorded
from tests.crash.registry import founded, workload


@workload
def founding(member: Recorded) -> None:
    """From no directory at all to the first entries."""
    founded(member)
    member.append(*member.sets(3))


@workload
def single_entries(member: Recorded) -> None:
    """One entry a transaction, and not one of them folded into the tree."""
    founded(member)
    for _ in range(60):
        member.do(*member.sets(1))


@workload
def runs(member: Recorded) -> None:
    """Runs of all lengths; one is so long that it is split."""
    founded(member)
    for count in (1, 200, 3, 40, 7):
        member.do(*member.sets(count))
    member.do(*member.sets(6, 400_000))
    member.do(*member.sets(5))


@workload
def grouped_writes(member: Recorded) -> None:
    """Several writes in one transaction, votes among them."""
    founded(member)
    for term in range(2, 22):
        first, second = member.run(member.sets(3)), member.sets(2)
        state = LogWrite(hard_state=HardState(first.term, NodeId(term % 3)))
        rest = member.run(second, first.last + 1)
        member.commit(LogWrite([first]), state, LogWrite([rest]))
        member.apply()


@workload
def votes(member: Recorded) -> None:
    """Terms and votes, with few entries between them."""
    founded(member)
    for term in range(2, 40):
        member.vote(term, term % 5)
        if term % 4 == 0:
            member.append(*member.sets(1))


@workload
def file_growth(member: Recorded) -> None:
    """Past the zeros that were written ahead, twice."""
    founded(member)
    for _ in range(12):
        member.do(*member.sets(2, 400_000))


@workload
def truncation(member: Recorded) -> None:
    """Whole runs of an old term give way to those of a new one."""
    founded(member)
    for term in range(2, 20):
        kept = member.last
        member.append(*member.sets(4))
        member.append(*member.sets(3))
        member.vote(term)
        member.commit(LogWrite([member.run(member.sets(2), kept + 1)]))
        member.apply()


@workload
def truncation_inside_a_run(member: Recorded) -> None:
    """The cut goes through the middle of a run; its beginning stays."""
    founded(member)
    for term in range(2, 20):
        kept = member.last
        member.append(*member.sets(9))
        member.apply(kept + 2)
        member.term = Term(term)
        first = kept + 3 + term % 6
        state = HardState(member.term, NodeId(2))
        run = member.run(member.sets(3), first)
        member.commit(LogWrite([run], hard_state=state))


@workload
def memberships(member: Recorded) -> None:
    """Configurations are appended with their entries, and rolled back by truncation."""
    founded(member)
    for term in range(2, 16):
        more = Member(NodeId(2), Incarnation(70 + term), peer="b:1")
        wider = Membership((*MEMBERS.members, more))
        kept = member.last
        run = member.run([wider.encode()], kind=EntryKind.CONFIG)
        member.commit(LogWrite([run], membership=wider))
        if term % 2:
            member.vote(term)
            back = member.run(member.sets(2), kept + 1)
            member.commit(LogWrite([back], membership=MEMBERS))
            member.apply()
        else:
            member.apply()
            run = member.run([MEMBERS.encode()], kind=EntryKind.CONFIG)
            member.commit(LogWrite([run], membership=MEMBERS))
            member.apply()


@workload
def grouped_by_a_thread(member: Recorded) -> None:
    """The log's own writer thread groups what gathers while it syncs."""
    founded(member)
    done: SimpleQueue[BaseException | None] = SimpleQueue()
    writer = ThreadLogWriter(member.store.log, lambda call: call())

    def report(error: BaseException | None) -> None:
        if error is None:
            member.mark("durable")
        done.put(error)

    for _ in range(25):
        submitted, first = 5, member.last + 1
        for _ in range(submitted):
            payloads = member.sets(2)
            write = LogWrite([member.run(payloads, first)])
            first += len(payloads)
            member.announce(write)
            writer.submit(write, report)
        for _ in range(submitted):
            error = done.get()
            assert error is None, error
        member.apply()
    writer.close()
