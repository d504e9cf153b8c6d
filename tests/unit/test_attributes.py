"""attributes: what a class declares can be set, a misspelt name says which one may be meant."""

import pytest

from shardws import ShardwsError, WebSocketServer
from shardws.attributes import check


class Chat(WebSocketServer):
    """As an application makes one."""

    topic = "none"
    members: int

    @property
    def size(self) -> int:
        return 1

    def set(self) -> None:
        self.topic, self.members = "weather", 3


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("on_message", ""),
        ("on_data", "on_data_in"),
        ("on_conected", "on_connected"),
        ("max_mesage_size", "max_message_size"),
        ("local_prot", "local_port"),
        ("listen", "listening"),
        ("x" * 5000, ""),
    ],
)
def test_a_misspelt_name_is_refused_with_the_nearest(name: str, meant: str) -> None:
    """It was taken without a word, and the handler never ran."""
    for server in (WebSocketServer(), Chat()):
        hint = f"did you mean {meant}" if meant else "has no"
        with pytest.raises(ShardwsError, match=hint) as error:
            setattr(server, name, 1)
        assert error.value.code == 214
        assert len(str(error.value)) < 250
        assert not hasattr(server, name)


def test_names_of_the_server_and_of_its_subclass_can_be_set() -> None:
    chat = Chat()
    chat.set()
    chat.on_data_in = lambda e: None
    chat.max_message_size = 500
    assert (chat.topic, chat.members, chat.max_message_size) == ("weather", 3, 500)
    assert WebSocketServer().__class__.__dictoffset__ == 0


def test_the_check_takes_annotations_of_bases() -> None:
    class Base:
        counted: int

    class Derived(Base):
        pass

    check(Derived, "counted")
    with pytest.raises(ShardwsError, match="Derived has no attribute 'other'"):
        check(Derived, "other")
