"""Requests and answers."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import longshore_testing as testing
import longshore
from longshore import http

ErrorKind = longshore.ErrorKind


def failed(call, *args, **options):
    try:
        call(*args, **options)
    except longshore.Failure as failure:
        return failure
    raise AssertionError("it must fail")


class Requests(unittest.TestCase):
    def setUp(self):
        testing.host.reset()
        testing.host.answer = lambda request: testing.answer(200, {"got": request.url})

    def test_parameters_are_added_and_encoded(self):
        for url, expected in [
            ("http://x/y", "http://x/y?a%20b=%C3%BC%26%3D"),
            ("http://x/y?z=1", "http://x/y?z=1&a%20b=%C3%BC%26%3D"),
            ("http://x/y?", "http://x/y?a%20b=%C3%BC%26%3D"),
            ("http://x/y#f", "http://x/y?a%20b=%C3%BC%26%3D#f"),
        ]:
            self.assertEqual(http.Request("GET", url, query={"a b": "ü&=", "none": None}).url, expected)
        self.assertEqual(http.Request("GET", "http://x/y", query={}).url, "http://x/y")

    def test_text_that_is_no_unicode_is_bad_data_and_no_bug_of_the_plugin(self):
        for options in [{"query": {"a": "x\ud800"}}, {"query": {"\ud800": 1}}, {"headers": {"a": "\ud800"}}, {"body": "\ud800"}]:
            self.assertEqual(failed(http.get, "http://x", **options).kind, ErrorKind.DATA, options)
        self.assertEqual(failed(http.get, "http://x/\ud800").kind, ErrorKind.DATA)
        self.assertEqual(failed(http.encoded, "\ud800").kind, ErrorKind.DATA)
        self.assertEqual(testing.host.requests, [])
        self.assertEqual(http.encoded("😀"), "%F0%9F%98%80")

    def test_a_request_crosses_as_it_was_asked_for(self):
        got = http.post("http://x", json={"ü": [1]}, headers={"A": 1}, timeout_ms=5, response_max=6, redirects=2)
        self.assertEqual(got.ok().json(), {"got": "http://x"})
        sent = testing.host.requests[0]
        self.assertEqual((sent.method, sent.timeout_ms, sent.max_response_bytes, sent.redirects_max), ("POST", 5, 6, 2))
        self.assertEqual(sent.headers, [("A", "1"), ("Content-Type", "application/json")])
        self.assertEqual(sent.body, b'{"\\u00fc":[1]}')
        http.request("PUT", "http://x", body="ü")
        self.assertEqual((testing.host.requests[1].method, testing.host.requests[1].body), ("PUT", "ü".encode()))

    def test_a_credential_is_named_where_it_is_hidden_and_sent_where_it_is_not(self):
        hidden = longshore.Secret({"secret": "auth.token"}, "auth.token")
        request = http.Request("GET", "http://x", bearer=hidden)
        self.assertEqual((request.credential_key, request.headers), ("auth.token", []))
        self.assertEqual(request.wire().credential.key, "auth.token")
        revealed = longshore.Secret("pässword", "auth.token")
        request = http.Request("GET", "http://x?token=1", basic=("user", revealed))
        self.assertIsNone(request.wire().credential)
        self.assertEqual(request.headers, [("Authorization", "Basic dXNlcjpww6Rzc3dvcmQ=")])
        self.assertNotIn("dXNlcjpww6", repr(request))
        self.assertNotIn("token", repr(request))

    def test_several_are_answered_in_their_order_and_one_that_fails_fails_alone(self):
        def answer(request):
            away = longshore.Failure.transient("it is away")
            return away if request.url.endswith("2") else testing.answer(200, request.url)

        testing.host.answer = answer
        urls = [f"http://x/{at}" for at in (1, 2, 3)]
        one, two, three = http.send_all([http.Request("GET", url) for url in urls], 2)
        self.assertEqual((one.json(), two.kind, three.json()), (urls[0], ErrorKind.TRANSIENT, urls[2]))

    def test_an_open_body_is_read_to_its_end_and_closed(self):
        testing.host.answer = lambda request: testing.answer(200, b"abcde")
        with http.Request("GET", "http://x").open() as opened:
            self.assertEqual((opened.status, opened.read(2), b"".join(opened)), (200, b"ab", b"cde"))
        self.assertEqual(opened.read(), b"")

    def test_what_the_host_refuses_is_a_failure_with_the_grant(self):
        denied = longshore.Failure.config("x is not granted")
        denied.context["grant"] = "longshore.wasm.grants.p.net: x"
        testing.host.answer = lambda request: denied
        failure = failed(http.get, "http://x")
        self.assertEqual((failure.kind, failure.context["grant"]), (ErrorKind.CONFIG, "longshore.wasm.grants.p.net: x"))


class Answers(unittest.TestCase):
    def test_statuses_become_the_kind_that_calls_for_the_right_reaction(self):
        for status, headers, kind, retry_after in [
            (401, {}, ErrorKind.AUTH, None),
            (403, {}, ErrorKind.AUTH, None),
            (404, {}, ErrorKind.CONFIG, None),
            (408, {}, ErrorKind.TRANSIENT, None),
            (425, {}, ErrorKind.TRANSIENT, None),
            (429, {"retry-after": "7"}, ErrorKind.RATE_LIMITED, 7000),
            (429, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, ErrorKind.RATE_LIMITED, None),
            (500, {}, ErrorKind.TRANSIENT, None),
            (503, {}, ErrorKind.TRANSIENT, None),
            (503, {"Retry-After": " 1 "}, ErrorKind.RATE_LIMITED, 1000),
            (302, {}, ErrorKind.CONFIG, None),
        ]:
            failure = failed(http.Response(status, list(headers.items())).ok)
            self.assertEqual((failure.kind, failure.retry_after_ms), (kind, retry_after), (status, headers))
        answer = http.Response(204)
        self.assertIs(answer.ok(), answer)

    def test_a_refused_credential_is_named(self):
        failure = failed(http.Response(401, credential_key="auth.token").ok)
        self.assertIn("auth.token", failure.message)

    def test_a_body_that_is_no_json_is_bad_data_and_is_not_quoted(self):
        for body in [b"s3cret", b"", b"\xff", b"[" * 100_000]:
            failure = failed(http.Response(200, [], body).json)
            self.assertEqual(failure.kind, ErrorKind.DATA)
            self.assertNotIn("s3cret", failure.message)
        self.assertEqual(http.Response(200, [], b"\xffa").text, "\ufffda")


if __name__ == "__main__":
    unittest.main()
