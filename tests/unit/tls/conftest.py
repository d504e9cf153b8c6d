"""Certificates made at test time, and the two implementations of the hot calls."""

import pytest
import trustme

from shardws.tls import contexts, selftest
from shardws.tls.contexts import ServerContext
from shardws.tls.ffi import Calls
from tests.unit.tls.stdlib_client import EC, HOST, RSA, config_of


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA(key_type=EC)


@pytest.fixture(scope="session")
def leaf(authority: trustme.CA) -> trustme.LeafCert:
    return authority.issue_cert(HOST, common_name="shard", key_type=EC)


@pytest.fixture(scope="session")
def rsa_leaf(authority: trustme.CA) -> trustme.LeafCert:
    return authority.issue_cert(HOST, common_name="shard", key_type=RSA)


@pytest.fixture(scope="session")
def intermediate(authority: trustme.CA) -> trustme.CA:
    return authority.create_child_ca(key_type=EC)


@pytest.fixture(scope="session")
def deep_leaf(intermediate: trustme.CA) -> trustme.LeafCert:
    return intermediate.issue_cert(HOST, common_name="deep", key_type=EC)


@pytest.fixture(scope="session")
def context(leaf: trustme.LeafCert) -> ServerContext:
    return contexts.build(config_of(leaf))


@pytest.fixture(scope="session", params=["auto", "public"])
def calls(request: pytest.FixtureRequest) -> Calls:
    choice = selftest.choose(request.param)
    assert choice.calls.name == {"auto": "direct", "public": "public"}[request.param]
    return choice.calls
