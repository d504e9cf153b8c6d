"""Distinguished names as text, and the search for a certificate by its subject.

Owns the text form: most specific part first, ", " between parts, the short names of the original
component (`S` for state, `E` for e-mail), and double quotes around a value that holds a special
character: `CN=shard.example.org, O="Example, Inc.", C=DE`. RFC 4514 text differs in its names, its
escapes and its order, so comparing raw strings would be wrong: names are compared as sets of parts,
ignoring case.
"""

from typing import Final, TypeAlias

from cryptography import x509
from cryptography.x509.oid import NameOID

Part: TypeAlias = tuple[str, str]  # short name in upper case, value in folded case

SHORT_NAMES: Final = {
    NameOID.COMMON_NAME: "CN",
    NameOID.ORGANIZATION_NAME: "O",
    NameOID.ORGANIZATIONAL_UNIT_NAME: "OU",
    NameOID.LOCALITY_NAME: "L",
    NameOID.STATE_OR_PROVINCE_NAME: "S",
    NameOID.COUNTRY_NAME: "C",
    NameOID.EMAIL_ADDRESS: "E",
    NameOID.STREET_ADDRESS: "STREET",
    NameOID.DOMAIN_COMPONENT: "DC",
    NameOID.SERIAL_NUMBER: "SERIALNUMBER",
    NameOID.TITLE: "T",
    NameOID.GIVEN_NAME: "G",
    NameOID.SURNAME: "SN",
    NameOID.USER_ID: "UID",
}
# Other spellings of the same parts in a wanted subject.
SYNONYMS: Final = {"ST": "S", "EMAILADDRESS": "E", "EMAIL": "E", "GN": "G", "TITLE": "T"}
SPECIAL: Final = frozenset(',+="<>#;\\')


def format_name(name: x509.Name) -> str:
    """Return the text form of a name; control characters are escaped, so that it is safe to log."""
    return ", ".join(f"{_short(part)}={_quote(str(part.value))}" for part in reversed(list(name)))


def is_exact(wanted: str, name: x509.Name) -> bool:
    """Tell whether `wanted` has the same parts as the name, in any order and case."""
    return sorted(parse(wanted)) == sorted(_parts(name))


def is_within(wanted: str, name: x509.Name) -> bool:
    """Tell whether `wanted` is a substring of the name, or some of its parts in any order."""
    if wanted.strip().casefold() in format_name(name).casefold():
        return True
    parts = parse(wanted)
    return bool(parts) and set(parts) <= set(_parts(name))


def parse(text: str) -> list[Part]:
    """Split the text form into parts; a piece without `=` gives an empty list: not a name."""
    parts: list[Part] = []
    for piece in _split(text):
        key, mark, value = piece.partition("=")
        if not mark:
            return []
        short = key.strip().upper()
        parts.append((SYNONYMS.get(short, short), _unquote(value.strip()).casefold()))
    return parts


def _parts(name: x509.Name) -> list[Part]:
    return [(_short(part), str(part.value).casefold()) for part in name]


def _short(part: x509.NameAttribute[str | bytes]) -> str:
    return SHORT_NAMES.get(part.oid, part.oid.dotted_string)


def _quote(value: str) -> str:
    shown = "".join(c if c.isprintable() else f"\\{ord(c):02X}" for c in value)
    if not SPECIAL.isdisjoint(value) or value != value.strip():
        return '"' + shown.replace('"', '""') + '"'
    return shown


def _unquote(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] == '"':
        return value[1:-1].replace('""', '"')
    return value


def _split(text: str) -> list[str]:
    """Split at commas outside quotes; a doubled quote leaves and enters the quotes at once."""
    pieces, start, is_quoted = [], 0, False
    for index, character in enumerate(text):
        if character == '"':
            is_quoted = not is_quoted
        elif character == "," and not is_quoted:
            pieces.append(text[start:index])
            start = index + 1
    pieces.append(text[start:])
    return pieces
