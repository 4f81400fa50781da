"""Proving identities, resolving ACLs, and hiding what must not be read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coord.model.acl import ALL, OPEN, READ, SUPER, WRITE, Acl
from coord.model.errors import AuthFailedError
from coord.node.identity import (
    USER_BYTES_MAX,
    digest_of,
    prove,
    redacted,
    resolve_acl,
    user_names,
)

BOB = ("digest", "bob:fyVmFCwVbTJYrznoSu1koqYEYF0=")
"""As ``echo -n bob:secret | openssl dgst -sha1 -binary | base64`` says it."""


def test_a_password_proves_the_digest_of_itself() -> None:
    """ZooKeeper's form, so that ACLs can be moved over."""
    assert digest_of("super:test") == "super:D/InIHSb7yEEbrWz8b9l71RjZJU="
    assert prove("digest", b"bob:secret", "") == (BOB,)
    assert prove("digest", b"bob:a:b", "")[0][1] == digest_of("bob:a:b")
    assert prove("digest", b"nobody", "")[0][1].startswith("nobody:")


def test_the_super_user_is_whoever_has_the_configured_digest() -> None:
    """Without a configured digest nobody is, not even one with an empty name."""
    configured = digest_of("super:test")

    assert prove("digest", b"super:test", configured) == (SUPER, ("digest", configured))
    assert SUPER not in prove("digest", b"super:wrong", configured)
    assert SUPER not in prove("digest", b"", "")


@pytest.mark.parametrize("scheme", ["world", "auth", "super", "sasl", "x509", "", "Digest"])
def test_unknown_schemes_prove_nothing(scheme: str) -> None:
    """Answered with an error that names the scheme to use."""
    with pytest.raises(AuthFailedError, match="use digest"):
        prove(scheme, b"a:b", "")


def test_an_address_is_proven_by_connecting() -> None:
    """So that asking for it is no error, whatever is sent with it."""
    assert prove("ip", b"10.0.0.1", "") == ()


def test_a_user_name_is_bounded() -> None:
    """It is stored with every write; the password may be as long as a frame allows."""
    assert prove("digest", b"u" * USER_BYTES_MAX + b":" + b"p" * 10_000, "")
    with pytest.raises(AuthFailedError, match="at most"):
        prove("digest", b"u" * (USER_BYTES_MAX + 1) + b":p", "")


@given(st.binary(max_size=64))
def test_any_bytes_may_come_as_a_credential(credential: bytes) -> None:
    """They prove one digest identity, which an ACL can name."""
    ((scheme, name),) = prove("digest", credential, "")

    assert scheme == "digest"
    assert resolve_acl((Acl(READ, scheme, name),), ()) == (Acl(READ, scheme, name),)


@pytest.mark.parametrize(
    ("scheme", "name", "is_valid"),
    [
        ("world", "anyone", True),
        ("world", "someone", False),
        ("digest", "bob:hash", True),
        ("digest", ":hash", True),
        ("digest", "bob:hash:", True),
        ("digest", "bob", False),
        ("digest", "bob:", False),
        ("digest", "a:b:c", False),
        ("digest", "", False),
        ("ip", "10.0.0.1", True),
        ("ip", "10.0.0.0/8", True),
        ("ip", "10.0.0.0/33", False),
        ("ip", "host", False),
        ("super", "", False),
        ("sasl", "bob", False),
        ("x509", "CN=bob", False),
        ("", "", False),
    ],
)
def test_what_an_entry_may_name(scheme: str, name: str, is_valid: bool) -> None:
    """ZooKeeper's rules by scheme; one bad entry makes the ACL invalid."""
    acl = (Acl(READ, "world", "anyone"), Acl(WRITE, scheme, name))
    found = resolve_acl(acl, ())

    assert isinstance(found, tuple) is is_valid
    if not is_valid:
        assert "names nobody" in found


def test_auth_stands_for_everything_proven_but_addresses_and_super() -> None:
    """With its permissions, in its place, without doubles."""
    ann = ("digest", "ann:x")
    who = (SUPER, BOB, ("ip", "10.0.0.1"), ann)
    acl = (Acl(ALL, "auth", ""), Acl(READ, "world", "anyone"), Acl(ALL, *ann))

    assert resolve_acl(acl, who) == (
        Acl(ALL, *BOB),
        Acl(ALL, *ann),
        Acl(READ, "world", "anyone"),
    )


@pytest.mark.parametrize("who", [(), (("ip", "10.0.0.1"),), (SUPER,)])
def test_auth_of_nobody_is_invalid(who: tuple[tuple[str, str], ...]) -> None:
    """An address is not an identity of this kind."""
    assert "there are none" in resolve_acl((Acl(ALL, "auth", ""),), who)


def test_doubles_go_and_order_stays() -> None:
    """As the tree stores it; the usual ACL is passed on as it is."""
    one, two = Acl(READ, *BOB), Acl(WRITE, *BOB)

    assert resolve_acl((two, one, two, one), ()) == (two, one)
    assert resolve_acl((Acl(ALL, "world", "anyone"),), ()) is OPEN
    assert isinstance(resolve_acl((), ()), str)


def test_hashes_are_hidden() -> None:
    """From readers of an ACL without ADMIN, and from WhoAmI."""
    acl = (Acl(ALL, *BOB), Acl(READ, "ip", "::1"), Acl(READ, "world", "anyone"))

    assert redacted(acl) == (Acl(ALL, "digest", "bob:x"), *acl[1:])
    assert user_names((BOB, ("ip", "::1"), SUPER)) == [
        ("digest", "bob"),
        ("ip", "::1"),
        ("super", ""),
    ]
