"""The same request sent several times: one effect, one result."""

from __future__ import annotations

from jepsen_lite.history import History, Op
from jepsen_lite.models import frozen
from jepsen_lite.verdict import Judgement


def check(history: History) -> Judgement:
    """``submit`` of an id gives the same result each time; ``effects`` (read when all is over)
    counts how often each took effect."""
    judgement = Judgement("once")
    submits: dict[str, list[Op]] = {}
    for op in history.ops:
        if op.f == "submit":
            submits.setdefault(str(op.value), []).append(op)
    for ops in submits.values():
        answered = [op for op in ops if op.is_ok]
        for op in answered[1:]:
            if frozen(op.result) != frozen(answered[0].result):
                sentence = f"{op} and {answered[0]} are one request with two results"
                judgement.add("two-results", sentence, op.id, answered[0].id)
    finals = [op for op in history.ops if op.f == "effects" and op.is_ok]
    if not finals:
        judgement.cannot_say("nobody counted the effects")
    for final in finals:
        _check_effects(judgement, submits, final)
    judgement.figures = {"operations": sum(map(len, submits.values())), "requests": len(submits)}
    return judgement


def _check_effects(judgement: Judgement, submits: dict[str, list[Op]], final: Op) -> None:
    for request, count in final.result.items():
        ops = submits.get(request, [])
        if count > 1:
            ids = [op.id for op in ops]
            judgement.add("twice", f"request {request!r} took effect {count} times", final.id, *ids)
        if count and not any(op.may_have_happened for op in ops):
            what = "failed" if ops else "was never sent"
            judgement.add("phantom", f"request {request!r} took effect and {what}", final.id)
    for request, ops in submits.items():
        over = [op for op in ops if op.is_ok and op.end_ns < final.invoke_ns]
        if over and not final.result.get(request):
            sentence = f"{over[0]} was acknowledged and had no effect"
            judgement.add("lost", sentence, final.id, over[0].id)
