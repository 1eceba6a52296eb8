"""Which objects share a connection to Temporal."""

from dataclasses import replace

from tests.support.builders import TARGET


def test_tenants_share_the_connection_of_the_operator_and_no_other_connection():
    assert TARGET.way == replace(TARGET, tenant="other").way
    own = replace(TARGET, connection="own")
    assert own.way != replace(own, tenant="other").way
