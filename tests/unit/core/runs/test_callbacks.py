"""Callback signatures, and the server setting that allows callbacks."""

from dataclasses import replace

import pytest

from durafleet.core.runs.callbacks import SIGNATURE_HEADER, WORKFLOW_HEADER, CallbackAddress, sign

WORKFLOW = "agent-run/sales/report/5b0d1d1c-0c0e-4a4e-9f5e-1f2d3c4b5a69"
ADDRESS = CallbackAddress("http://operator.system:8080/callbacks/completed", "correct horse battery staple")


def test_the_signature_is_the_hmac_sha256_of_the_workflow_id():
    # printf %s what do ya want for nothing? | openssl dgst -sha256 -hmac Jefe; RFC 4231, test case 2
    expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert sign("what do ya want for nothing?", secret="Jefe") == expected


def test_the_headers_that_a_start_attaches_pass_the_signature_check():
    headers = ADDRESS.headers(WORKFLOW)
    assert ADDRESS.signed(headers[WORKFLOW_HEADER], headers[SIGNATURE_HEADER])


@pytest.mark.parametrize(
    ("workflow", "signature"),
    [
        (WORKFLOW, ""),
        (WORKFLOW, sign(WORKFLOW, secret="another secret than that")),
        (WORKFLOW, sign(WORKFLOW, secret=ADDRESS.secret)[:-1]),
        (WORKFLOW, sign(WORKFLOW, secret=ADDRESS.secret).upper()),
        (f"{WORKFLOW}0", sign(WORKFLOW, secret=ADDRESS.secret)),
        ("", sign(WORKFLOW, secret=ADDRESS.secret)),
        (WORKFLOW, "\u00e9\udcff"),
        ("\u00e9\udcff", ""),
    ],
)
def test_any_other_signature_fails_the_check(workflow: str, signature: str):
    assert not ADDRESS.signed(workflow, signature)


def test_the_secret_is_not_in_the_repr_of_a_callback_address():
    assert ADDRESS.secret not in repr(ADDRESS)


@pytest.mark.parametrize(
    ("url", "pattern", "insecure"),
    [
        ("http://operator.system:8080/callbacks/completed", "operator.system:8080", "true"),
        ("https://durafleet.example/hooks/callbacks/completed", "durafleet.example", "false"),
    ],
)
def test_the_server_setting_names_host_and_port_and_allows_insecure_only_for_plain_http(
    url: str, pattern: str, insecure: str
):
    setting = f'callback.allowedAddresses=[{{"Pattern":"{pattern}","AllowInsecure":{insecure}}}]'
    assert replace(ADDRESS, url=url).server_setting == setting
