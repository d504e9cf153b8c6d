"""channel: messages both ways, bounded both ways."""

import socket
from collections.abc import Iterator

import pytest

from shardws.wire import codec, messages
from shardws_supervisor.shards import channel
from shardws_supervisor.shards.channel import Channel, ChannelError
from tests.unit.supervisor.over_exec import over_exec

Pair = tuple[Channel, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = channel.pair()
    yield ours, theirs
    ours.close()
    theirs.close()


def test_messages_of_a_shard(pair: Pair) -> None:
    ours, theirs = pair
    assert ours.receive() == []
    frame = codec.encode(messages.READY, 9001) + codec.encode(messages.FAILED, "why")
    theirs.sendall(frame[:9])
    assert ours.receive() == [(messages.READY, 9001)]
    theirs.sendall(frame[9:])
    assert ours.receive() == [(messages.FAILED, "why")]
    theirs.close()
    assert ours.receive() == []
    assert ours.is_closed


def test_a_reset_is_an_end(pair: Pair) -> None:
    ours, theirs = pair
    ours.send(messages.STOP, True)
    theirs.close()  # with unread data: the other side sees a reset
    assert ours.receive() == []
    assert ours.is_closed
    ours.send(messages.STOP, True)  # nobody reads: no error here


def test_nonsense_breaks_the_channel(pair: Pair) -> None:
    ours, theirs = pair
    theirs.sendall(b"GET / HTTP/1.1\r\n\r\n")
    with pytest.raises(ChannelError, match="invalid message on its channel"):
        ours.receive()


def test_what_only_a_supervisor_may_say_is_nonsense_from_a_shard(pair: Pair) -> None:
    ours, theirs = pair
    theirs.sendall(codec.encode(messages.STOP, True))
    with pytest.raises(ChannelError, match="wrong sender"):
        ours.receive()


def test_messages_to_a_shard(pair: Pair) -> None:
    ours, theirs = pair
    ours.send(messages.DRAIN, 1, 100, 30_000)
    ours.send(messages.PEERS, [(0, 0, 11), (3, 7, 12, (5,))])
    assert not ours.has_unsent
    decoder = codec.Decoder(1 << 20, messages.SUPERVISOR)
    assert decoder.feed(theirs.recv(4096)) == [
        (messages.DRAIN, 1, 100, 30_000),
        (messages.PEERS, [(0, 0, 11, ()), (3, 7, 12, (5,))]),
    ]


def test_a_shard_that_does_not_read_is_queued_for_then_given_up(pair: Pair) -> None:
    ours, theirs = pair
    peers = [(row, 0, 1) for row in range(512)]
    while not ours.has_unsent:
        ours.send(messages.PEERS, peers)
    while theirs.recv(1 << 20, socket.MSG_DONTWAIT | socket.MSG_PEEK) and ours.has_unsent:
        theirs.recv(1 << 20)
        ours.flush()

    def flood() -> None:
        for _ in range(10_000):
            ours.send(messages.PEERS, peers)

    with pytest.raises(ChannelError, match="unread"):
        flood()


def test_it_goes_on_over_an_exec_in_the_middle_of_a_message(pair: Pair) -> None:
    ours, theirs = pair
    frame = codec.encode(messages.FAILED, "why")
    theirs.sendall(frame[:6])
    assert ours.receive() == []
    adopted = Channel.adopt(over_exec(ours.keep()))
    theirs.sendall(frame[6:])
    assert adopted.receive() == [(messages.FAILED, "why")]
    assert not adopted.is_closed
    adopted.close()


def test_what_is_unsent_is_kept(pair: Pair) -> None:
    ours, theirs = pair
    peers = [(row, 0, 1) for row in range(200)]
    sent = 0
    while not ours.has_unsent:
        ours.send(messages.PEERS, peers)
        sent += len(codec.encode(messages.PEERS, peers))
    adopted = Channel.adopt(over_exec(ours.keep()))
    received = 0
    while received < sent:
        received += len(theirs.recv(1 << 20))
        adopted.flush()
    assert received == sent
    adopted.close()
