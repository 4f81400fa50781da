"""Transfers between accounts: every read shows the same total, and no account below zero.

A cheap test of transactions: a torn one shows up as money made or lost.
"""

from __future__ import annotations

from jepsen_lite.history import History, Op
from jepsen_lite.verdict import Judgement


def check(history: History) -> Judgement:
    """Whether every read balances. The total is ``meta["total"]``, else that of the first read;
    balances below zero are wrong unless ``meta["overdraft"]``."""
    judgement = Judgement("bank")
    reads = [op for op in history.ops if op.f == "read" and op.is_ok]
    total = history.meta.get("total")
    accounts: set[str] | None = None
    for op in reads:
        balances = op.result
        if total is None:
            total = sum(balances.values())
        if accounts is None:
            accounts = set(balances)
        if set(balances) != accounts:
            judgement.add("accounts", f"{op} shows other accounts than {reads[0]}", op.id)
        elif sum(balances.values()) != total:
            _report_total(judgement, op, total)
        if not history.meta.get("overdraft") and any(value < 0 for value in balances.values()):
            judgement.add("overdraft", f"{op} shows an account below zero", op.id)
    if not reads:
        judgement.cannot_say("nobody read the accounts")
    judgement.figures = {"operations": len(history.ops), "reads": len(reads)}
    return judgement


def _report_total(judgement: Judgement, op: Op, total: int) -> None:
    shown = sum(op.result.values())
    made = "made" if shown > total else "lost"
    judgement.add("total", f"{op} adds up to {shown} instead of {total}: money was {made}", op.id)
