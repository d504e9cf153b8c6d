"""interned: one copy of each, and not more than so many."""

from shardws.net import interning
from shardws.net.interning import InternedTexts


def address(number: int) -> str:
    """Return a text of its own at each call."""
    return f"2001:db8::{number:x}"


def test_equal_texts_become_one() -> None:
    made = InternedTexts()
    first = address(7)
    assert made.shared(first) is first
    assert address(7) is not first
    assert made.shared(address(7)) is first
    assert made.shared(address(8)) == address(8)
    assert len(made) == 2


def test_addresses_without_end_take_no_memory_without_end() -> None:
    """sys.intern kept each for the life of the process, on Python 3.12."""
    made = InternedTexts()
    first = made.shared(address(0))
    for number in range(1, interning.MOST):
        made.shared(address(number))
    assert len(made) == interning.MOST
    assert made.shared(address(0)) is first  # what is known makes no room
    assert made.shared(address(interning.MOST)) == address(interning.MOST)
    assert len(made) == 1
    again = made.shared(address(0))
    assert again is not first
    assert again == first
