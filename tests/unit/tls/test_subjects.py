"""Names as text and the search by subject (SSLCertSubject)."""

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from shardws.tls import subjects

NAME = x509.Name(
    [
        x509.NameAttribute(NameOID.COUNTRY_NAME, "DE"),
        x509.NameAttribute(NameOID.STATE_OR_PROVINCE_NAME, "Hessen"),
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Example, Inc."),
        x509.NameAttribute(NameOID.COMMON_NAME, "shard.example.org"),
        x509.NameAttribute(NameOID.EMAIL_ADDRESS, "ops@example.org"),
    ]
)


def name_of(value: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, value)])


def test_format_is_most_specific_first_with_quotes() -> None:
    assert subjects.format_name(NAME) == (
        'E=ops@example.org, CN=shard.example.org, O="Example, Inc.", S=Hessen, C=DE'
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain", "CN=plain"),
        ('say "hi"', 'CN="say ""hi"""'),
        (" padded ", 'CN=" padded "'),
        ("line\nbreak", "CN=line\\0Abreak"),
        ("nul\0byte", "CN=nul\\00byte"),
        ("a=b", 'CN="a=b"'),
    ],
)
def test_special_values_are_quoted_and_control_characters_escaped(value: str, text: str) -> None:
    assert subjects.format_name(name_of(value)) == text


def test_unknown_parts_show_their_number() -> None:
    name = x509.Name([x509.NameAttribute(x509.ObjectIdentifier("1.2.3.4"), "x")])
    assert subjects.format_name(name) == "1.2.3.4=x"


@pytest.mark.parametrize(
    "wanted",
    [
        'C=DE, S=Hessen, O="Example, Inc.", CN=shard.example.org, E=ops@example.org',
        'e=OPS@example.org,cn=SHARD.example.org,o="example, inc.",st=hessen,c=de',
        'EMAILADDRESS=ops@example.org, CN=shard.example.org, O="Example, Inc.", ST=Hessen, C=DE',
    ],
)
def test_exact_match_ignores_order_case_and_spelling(wanted: str) -> None:
    assert subjects.is_exact(wanted, NAME)


@pytest.mark.parametrize("wanted", ["CN=shard.example.org", "shard", "", "CN=shard, CN=shard"])
def test_a_part_is_no_exact_match(wanted: str) -> None:
    assert not subjects.is_exact(wanted, NAME)


@pytest.mark.parametrize(
    ("wanted", "is_match"),
    [
        ("shard.example", True),
        ("SHARD", True),
        ("C=DE, CN=shard.example.org", True),
        ("CN=shard.example.org, O=Other", False),
        ("elsewhere", False),
    ],
)
def test_within(wanted: str, is_match: bool) -> None:
    assert subjects.is_within(wanted, NAME) is is_match


def test_text_parses_back_to_the_same_parts() -> None:
    for value in ('say "hi", then, bye', "plain", "a=b"):
        name = name_of(value)
        assert subjects.is_exact(subjects.format_name(name), name)
