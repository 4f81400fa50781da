"""One stable line per message, run of entries and part of a Ready, for scripts and traces."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coord.raft import messages as m
from coord.raft.types import EntryKind, LogSlice, MemberRole, Membership

if TYPE_CHECKING:
    from coord.raft.ready import Ready
    from coord.raft.types import SnapshotMeta

_PAYLOAD_SHOWN = 12
_PAYLOADS_SHOWN = 4
_ROLE_MARKS = {MemberRole.VOTER: "", MemberRole.LEARNER: "~", MemberRole.JOINING: "+"}


def describe_membership(membership: Membership) -> str:
    """Ids; ``~`` marks a learner, ``+`` one that is joining, and ``&`` precedes the outgoing
    voters: ``1 2 3~ & 1 2``."""
    parts = [f"{p.id}{_ROLE_MARKS[p.role]}" for p in membership.members]
    if membership.outgoing:
        parts += ["&", *(str(p.id) for p in membership.outgoing)]
    return " ".join(parts) or "nobody"


def describe_run(run: LogSlice) -> str:
    """``first..last@term`` and what is in it."""
    span = str(run.first) if run.first == run.last else f"{run.first}..{run.last}"
    if run.kind is EntryKind.NOOP:
        return f"{span}@{run.term} noop"
    if run.kind is EntryKind.CONFIG:
        shown = ", ".join(describe_membership(Membership.decode(p)) for p in run.payloads)
        return f"{span}@{run.term} config [{shown}]"
    shown = " ".join(_payload(p) for p in run.payloads[:_PAYLOADS_SHOWN])
    more = " …" if len(run.payloads) > _PAYLOADS_SHOWN else ""
    return f"{span}@{run.term} {shown}{more}"


def _payload(payload: bytes) -> str:
    text = payload[:_PAYLOAD_SHOWN].decode("ascii", "replace")
    return text if len(payload) <= _PAYLOAD_SHOWN else f"{text}…({len(payload)})"


def describe_meta(meta: SnapshotMeta) -> str:
    """Position, size and configuration of a snapshot."""
    return f"{meta.index}@{meta.term} {meta.length}B [{describe_membership(meta.membership)}]"


def describe_message(message: m.Message) -> str:
    """``from→to Name t<term> fields``."""
    head = f"{message.frm}→{message.to} {type(message).__name__} t{message.term}"
    rest = _fields(message)
    return f"{head} {rest}" if rest else head


def _fields(message: m.Message) -> str:
    match message:
        case m.VoteRequest():
            extra = " transfer" if message.transfer else ""
            return f"log={message.last_index}@{message.last_term}{extra}"
        case m.PreVoteRequest():
            return f"log={message.last_index}@{message.last_term}"
        case m.PreVoteResponse() | m.VoteResponse():
            return "granted" if message.granted else "refused"
        case m.AppendEntries():
            run = "nothing" if message.entries is None else describe_run(message.entries)
            at = f"prev={message.prev_index}@{message.prev_term}"
            return f"{at} commit={message.commit} {run}"
        case m.AppendAccepted():
            return f"match={message.match}"
        case m.AppendRejected():
            return f"prev={message.prev_index} hint={message.hint_index}@{message.hint_term}"
        case m.Heartbeat():
            return f"commit={message.commit}@{message.commit_term} round={message.read_round}"
        case m.HeartbeatResponse():
            return f"round={message.read_round}"
        case m.InstallSnapshot():
            end = " last" if message.done else ""
            part = f"{message.offset}+{message.size}{end}"
            return f"{describe_meta(message.meta)} bytes={part}"
        case m.SnapshotProgress():
            return "failed" if message.failed else f"next={message.next_offset}"
        case m.ReadRequest():
            return f"context={message.context}"
        case m.ReadResponse():
            where = f"index={message.index}" if message.accepted else "refused"
            return f"context={message.context} {where}"
        case _:
            return ""


def describe_ready(ready: Ready) -> list[str]:
    """One line per thing to do, in the order of the driver's contract."""
    lines = [f"send {describe_message(message)}" for message in ready.messages]
    if ready.hard_state is not None:
        lines.append(f"persist term={ready.hard_state.term} vote={ready.hard_state.vote}")
    lines += [f"persist {describe_run(run)}" for run in ready.entries]
    if ready.appended_membership is not None:
        lines.append(f"persist members [{describe_membership(ready.appended_membership)}]")
    lines += [f"then send {describe_message(message)}" for message in ready.messages_after]
    lines += [f"apply {describe_run(run)}" for run in ready.committed]
    lines += [f"read {state.read_id} at {state.index}" for state in ready.read_states]
    lines += [f"read {read_id} dropped" for read_id in ready.reads_dropped]
    chunk = ready.snapshot_chunk
    if chunk is not None:
        end = " last" if chunk.done else ""
        part = f"{chunk.offset}+{len(chunk.data)}{end}"
        lines.append(f"chunk {describe_meta(chunk.meta)} bytes={part}")
    return lines
