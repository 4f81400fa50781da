"""What a client asked last, as ``cons`` abbreviates it. Ours without a counterpart are ``NA``."""

from __future__ import annotations

from typing import Final

from coord.model import requests as rq

NONE: Final = "NA"

_NAMES: Final[dict[type, str]] = {
    rq.AddWatch: "ADDW",
    rq.Children: "GETC",
    rq.CheckWatches: "CHKW",
    rq.Close: "CLOS",
    rq.Connect: "SESS",
    rq.CountDescendants: "GETACN",
    rq.Create: "CREA",
    rq.Delete: "DELE",
    rq.Ephemerals: "GETE",
    rq.Exists: "EXIS",
    rq.Get: "GETD",
    rq.GetAcl: "GETA",
    rq.Multi: "MULT",
    rq.MultiRead: "MLTR",
    rq.Ping: "PING",
    rq.Reconfig: "RECO",
    rq.RemoveWatches: "REMW",
    rq.Set: "SETD",
    rq.SetAcl: "SETA",
    rq.SetWatches: "SETW",
    rq.Sync: "SYNC",
    rq.WhoAmI: "HOMI",
}


def name_of(request: type | None) -> str:
    """Of a request's type."""
    return NONE if request is None else _NAMES.get(request, NONE)
