"""texts: one copy of each, and not more than so many."""

from shardws.net import texts
from shardws.net.texts import Texts


def address(number: int) -> str:
    """Return a text of its own at each call."""
    return f"2001:db8::{number:x}"


def test_equal_texts_become_one() -> None:
    made = Texts()
    first = address(7)
    assert made.shared(first) is first
    assert address(7) is not first
    assert made.shared(address(7)) is first
    assert made.shared(address(8)) == address(8)
    assert len(made) == 2


def test_addresses_without_end_take_no_memory_without_end() -> None:
    """sys.intern kept each for the life of the process, on Python 3.12."""
    made = Texts()
    first = made.shared(address(0))
    for number in range(1, texts.MOST):
        made.shared(address(number))
    assert len(made) == texts.MOST
    assert made.shared(address(0)) is first  # what is known makes no room
    assert made.shared(address(texts.MOST)) == address(texts.MOST)
    assert len(made) == 1
    again = made.shared(address(0))
    assert again is not first
    assert again == first
