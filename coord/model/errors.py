"""The exception tree. Every error says what happened, to what, and what to do next.

    CoordError
    ├── RequestError            the service answered: the operation certainly did not happen
    │   ├── NoNodeError, NodeExistsError, BadVersionError, NotEmptyError,
    │   │   NoChildrenForEphemeralsError, NoAuthError, InvalidAclError, AuthFailedError
    │   ├── TransactionError    a check, compare or guard failed; carries each operation's result
    │   ├── GuardError          the fencing token no longer holds
    │   ├── BadArgumentsError, UnimplementedError, TooLargeError, QuotaExceededError, LimitError
    │   ├── OverloadedError, NotReadyError, NoSpaceError, ListingExpiredError
    │   ├── CompactedError, NoWatcherError
    │   └── SessionExpiredError, SessionMovedError, SequenceGapError
    ├── ConnectionLostError     no answer: unless ``definite`` it may have happened
    ├── OperationTimeoutError   no answer in time: it may have happened
    ├── ProtocolError           the peer broke the wire rules
    ├── ConfigError             the configuration or the environment does not let the program start
    ├── StorageError            disk: CorruptionError, ForeignDataError, DirectoryInUseError,
    │                           NewerFormatError
    └── MisuseError             the caller broke the library's rules (closed client, use after fork)

``code`` is the number on the native wire, equal to ZooKeeper's where ZooKeeper has one.
``definite`` says that the operation certainly did not happen.
"""

from __future__ import annotations

from typing import ClassVar, Final

OK: Final = 0


class CoordError(Exception):
    """Root of every error this product raises."""

    code: ClassVar[int] = -1
    zookeeper_code: ClassVar[int] = -1
    definite: bool = False
    """True: the operation certainly did not happen and a retry is safe."""


class RequestError(CoordError):
    """The service answered with a refusal; nothing was changed."""

    definite = True


class NoNodeError(RequestError):
    """The node (or the parent of a node to create) does not exist."""

    code = zookeeper_code = -101


class NoAuthError(RequestError):
    """The ACL does not let this caller do that."""

    code = zookeeper_code = -102


class BadVersionError(RequestError):
    """The node has another version than the caller named."""

    code = zookeeper_code = -103


class NoChildrenForEphemeralsError(RequestError):
    """An ephemeral node cannot have children."""

    code = zookeeper_code = -108


class NodeExistsError(RequestError):
    """The node to create exists."""

    code = zookeeper_code = -110


class NotEmptyError(RequestError):
    """The node to delete has children."""

    code = zookeeper_code = -111


class SessionExpiredError(RequestError):
    """The session has ended. ``results`` can still be asked for during ten minutes."""

    code = zookeeper_code = -112


class InvalidAclError(RequestError):
    """The ACL is empty or malformed."""

    code = zookeeper_code = -114


class AuthFailedError(RequestError):
    """The credentials were refused."""

    code = zookeeper_code = -115


class SessionMovedError(RequestError):
    """The session is attached on another node; this connection is obsolete."""

    code = zookeeper_code = -118


class NotReadOnlyError(RequestError):
    """A write to a node that serves reads alone, for want of a quorum."""

    code = zookeeper_code = -119


class NoWatcherError(RequestError):
    """There is no such watch on this connection."""

    code = zookeeper_code = -121


class ReconfigDisabledError(RequestError):
    """ZooKeeper's reconfig is not allowed here."""

    code = zookeeper_code = -123


class QuotaExceededError(RequestError):
    """A hard quota on this subtree would be exceeded."""

    code = zookeeper_code = -125


class BadArgumentsError(RequestError):
    """The request is malformed; the message names the argument."""

    code = zookeeper_code = -8


class UnimplementedError(RequestError):
    """This server does not know the operation."""

    code = zookeeper_code = -6


class TransactionError(RequestError):
    """A transaction failed as a whole; ``results`` holds one code for each operation."""

    code = -200
    zookeeper_code = -1

    def __init__(self, message: str, results: tuple[int, ...] = ()) -> None:
        super().__init__(message)
        self.results = results


class GuardError(RequestError):
    """The fencing token is not the current grant: the hold was lost or handed over."""

    code = -201
    zookeeper_code = -103


class CompareError(RequestError):
    """A compare of a transaction did not hold."""

    code = -202
    zookeeper_code = -103


class TooLargeError(RequestError):
    """The value, request or transaction exceeds its limit."""

    code = -203
    zookeeper_code = -8


class LimitError(RequestError):
    """A count limit is reached (ephemerals of a session, watches, sessions)."""

    code = -204
    zookeeper_code = -127


class OverloadedError(RequestError):
    """The node refuses new writes for the moment; retry after a pause."""

    code = -205
    zookeeper_code = -127


class NotReadyError(RequestError):
    """This node has no leader or is catching up; another node may answer."""

    code = -206
    zookeeper_code = -4


class NoSpaceError(RequestError):
    """Free disk space or the data quota is below the reserve; deletes still pass."""

    code = -207
    zookeeper_code = -125


class CompactedError(RequestError):
    """The requested revision is older than retained history; list afresh."""

    code = -208
    zookeeper_code = -8


class ListingExpiredError(RequestError):
    """A paged listing took too long; start it again."""

    code = -209
    zookeeper_code = -8


class SequenceGapError(RequestError):
    """A write arrived before its predecessor; the gateway resends in order."""

    code = -210
    zookeeper_code = -4


class ResultUnknownError(RequestError):
    """The first result of this repeated write is no longer kept."""

    code = -211
    zookeeper_code = -1
    definite = False


class NotLeaderError(RequestError):
    """The operation needs the leader and this node could not reach it."""

    code = -212
    zookeeper_code = -4


class MembershipError(RequestError):
    """The membership change is not possible now; the message says why."""

    code = -213
    zookeeper_code = -14


class ConnectionLostError(CoordError):
    """The connection ended before the answer came; ``definite`` if nothing had been sent."""

    code = zookeeper_code = -4

    def __init__(self, message: str, *, definite: bool = False) -> None:
        super().__init__(message)
        self.definite = definite


class OperationTimeoutError(CoordError):
    """No answer within the caller's time; the operation may still happen."""

    code = zookeeper_code = -7

    def __init__(self, message: str, *, definite: bool = False) -> None:
        super().__init__(message)
        self.definite = definite


class ProtocolError(CoordError):
    """The other side broke the wire rules; the connection is closed."""

    code = zookeeper_code = -5


class ConfigError(CoordError):
    """The program cannot start as configured. ``exit_code`` follows sysexits.h."""

    code = -300
    exit_code = 78


class StorageError(CoordError):
    """The data directory cannot be used."""

    code = -301
    exit_code = 74


class CorruptionError(StorageError):
    """A checksum or a structure check failed; the message names file, table and key."""

    code = -302


class ForeignDataError(StorageError):
    """The directory belongs to another cluster or node."""

    code = -303


class DirectoryInUseError(StorageError):
    """Another process holds the directory lock."""

    code = -304


class NewerFormatError(StorageError):
    """A newer version wrote this directory."""

    code = -305


class MisuseError(CoordError):
    """The caller broke a rule of the library; the message names it."""

    code = -306
    definite = True


def _index(root: type[CoordError]) -> dict[int, type[CoordError]]:
    found: dict[int, type[CoordError]] = {}
    for cls in root.__subclasses__():
        if "code" in cls.__dict__:
            assert cls.code not in found, f"two errors share code {cls.code}"
            found[cls.code] = cls
        found.update(_index(cls))
    return found


BY_CODE: Final[dict[int, type[CoordError]]] = _index(CoordError)


def from_code(code: int, message: str) -> CoordError:
    """The error a wire code stands for; an unknown code becomes a plain CoordError."""
    cls = BY_CODE.get(code, CoordError)
    return cls(message)
