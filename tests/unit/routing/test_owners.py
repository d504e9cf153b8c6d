"""Where each incarnation leads to."""

from typing import cast

from shardws.routing.outbound_link import OutboundLink
from shardws.routing.owners import Owners, Route
from shardws.wire.codec import encode
from shardws.wire.messages import SWITCH

ME, P, S, T = 1, 0x100, 0x101, 0x102


class Link:
    """Stands for a link."""

    def __init__(self, incarnation: int) -> None:
        self.incarnation = incarnation


def owners_of(*peers: int) -> tuple[Owners, dict[int, OutboundLink]]:
    links = {peer: cast(OutboundLink, Link(peer)) for peer in peers}
    owners = Owners(ME, links)
    owners.refresh()
    return owners, links


def test_without_a_takeover_routes_are_the_links() -> None:
    owners, links = owners_of(P, S)
    assert owners.routes == links
    assert owners.assign({}, links) == {}


def test_what_another_serves_leads_there_though_the_first_still_lives() -> None:
    owners, links = owners_of(P, S)
    routes = owners.routes
    assert owners.assign({P: S}, links) == {(P, S): [P]}
    owners.refresh()
    assert owners.routes is routes
    assert routes == {P: links[S], S: links[S]}
    assert owners.assign({P: S}, links) == {}  # the same again is no news


def test_a_chain_of_takeovers_is_one_look_up() -> None:
    owners, links = owners_of(S, T)
    owners.assign({P: S}, links)
    assert owners.assign({P: T, S: T}, links) == {(S, T): [P, S]}
    owners.refresh()
    assert owners.routes == {P: links[T], S: links[T], T: links[T]}


def test_an_owner_that_died_gives_back() -> None:
    owners, links = owners_of(P, S)
    owners.assign({P: S}, links)
    del links[S]
    assert owners.assign({}, links) == {}
    owners.refresh()
    assert owners.routes == {P: links[P]}
    assert owners.assign({P: T}, [P, T]) == {(P, T): [P]}  # not from the dead one


def test_an_owner_without_a_link_is_no_route() -> None:
    owners, _ = owners_of(P)
    owners.assign({P: S}, [P])
    owners.refresh()
    assert owners.routes == {}


def test_what_this_process_serves_falls_back_to_where_it_came_from() -> None:
    owners, links = owners_of(P, S)
    owners.assign({P: ME, S: ME}, links)
    owners.fallbacks.update({P: S, S: S})
    owners.refresh()
    assert owners.routes == {P: links[S], S: links[S]}
    del links[S]
    owners.refresh()
    assert owners.routes == {P: links[P]}  # some may still be with the first


def test_a_takeover_here_has_its_say() -> None:
    owners, links = owners_of(P)
    mine = cast(Route, Link(ME))
    owners.overrides[P] = mine
    owners.refresh()
    assert owners.routes == {P: mine}
    assert owners.plain(P) is links[P]


def test_a_new_link_says_what_was_switched() -> None:
    owners, links = owners_of(P, S, T)
    owners.assign({P: S}, links)
    said = [encode(SWITCH, P, S)]
    assert (owners.switches(P), owners.switches(S), owners.switches(T)) == (said, said, [])
