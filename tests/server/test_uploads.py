import pytest

from rsgnet.server.limits import Limits
from rsgnet.server.uploads import HeldBytes
from rsgnet.server.worker import BusyError


def test_the_bytes_of_all_clients_and_of_each_are_limited():
    held = HeldBytes(Limits(request_bytes=100, held_bytes=1000))
    with held.request("first") as reserve:
        reserve(500)
        with pytest.raises(BusyError), held.request("first") as reserve_more:
            reserve_more(1)
        with held.request("second") as reserve_others:
            reserve_others(499)
        with held.request("second") as reserve_others, held.request("third") as reserve_last:
            reserve_others(499)
            reserve_last(1)
            with pytest.raises(BusyError):
                reserve_last(1)
    with held.request("first") as reserve:
        reserve(500)
    assert not held._held
