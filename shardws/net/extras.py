"""What only few connections have, in one object that is made when the first of it is set.

Owns the fields; does nothing. A connection without it costs one slot.
"""

from dataclasses import dataclass


@dataclass(slots=True)
class Extras:
    """Rare state of one connection."""

    data_format: int = 0  # events.FORMAT_*: of DataToSend and SendFile
