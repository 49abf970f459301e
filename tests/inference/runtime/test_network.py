"""The base class of pose networks: what a network of one's own inherits."""

import pytest
from tests.conftest import ConstantNetwork

from rsgnet.config import ExportOptions
from rsgnet.errors import RSGNetError
from rsgnet.inference.runtime.network import NetworkCapabilities


def network_with(**options):
    network = ConstantNetwork()
    network.capabilities = NetworkCapabilities(export_options=ExportOptions(**options))
    return network


@pytest.mark.parametrize(
    ("options", "requested", "expected"),
    [
        ({}, None, False),  # as its config says
        ({}, True, True),
        ({"flip_test": True}, None, True),
        ({"flip_test": True}, True, True),
        ({"decoding": True}, None, False),
        ({"decoding": True, "flip_test": True}, None, True),
    ],
)
def test_flip_test_follows_the_file_and_the_request(options, requested, expected):
    assert network_with(**options).resolve_flip_test(requested) is expected


@pytest.mark.parametrize(
    ("options", "requested", "message"),
    [
        ({"flip_test": True}, False, "the network has the flip test inside"),
        ({"decoding": True}, True, "the network decodes inside, without the flip test"),
    ],
)
def test_flip_test_that_contradicts_the_file_raises(options, requested, message):
    with pytest.raises(RSGNetError, match=message):
        network_with(**options).resolve_flip_test(requested)


def test_a_network_without_inner_maps_raises():
    network = ConstantNetwork()
    assert not network.capabilities.shows_inner_maps
    with pytest.raises(RSGNetError, match="ConstantNetwork: shows no inner maps"):
        network.inspect(None)
