"""What the package does with a config, and with failures."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import longshore_testing as testing
import longshore
import longshore.connection
import longshore.source
import longshore.transform
from longshore_testing import Err

ErrorKind = longshore.ErrorKind


class Checked:
    SCHEMA = {
        "properties": {
            "name": {"type": ["string", "null"]},
            "size": {"type": ["null", "integer"]},
            "many": {"type": ["string", "array"]},
            "any": {},
            "tags": {"type": "array", "default": ["a"]},
            "token": {"type": "string", "x-secret": True},
        }
    }

    def __init__(self, config):
        self.config = config

    @staticmethod
    def check(config):
        return [("name", "it is odd", "even")] if config.get("name") == "odd" else []


class Configs(unittest.TestCase):
    def setUp(self):
        testing.host.reset()

    def test_nullable_types_are_what_they_are_when_not_null(self):
        good = '{"name":null,"size":1,"many":["x"],"any":{}}'
        self.assertEqual(longshore.parsed(Checked, good)["size"], 1)
        for bad in ['{"name":1}', '{"size":true}', '{"size":"1"}', '{"many":1}']:
            with self.assertRaises(longshore.Failure) as raised:
                longshore.parsed(Checked, bad)
            self.assertEqual(raised.exception.kind, ErrorKind.CONFIG)

    def test_a_transform_with_a_problem_does_not_start(self):
        start = longshore.transform.export(Checked)[1]().start
        start('{"name":"even"}')
        with self.assertRaises(Err) as raised:
            start('{"name":"odd"}')
        error = raised.exception.value
        self.assertEqual((error.kind, error.message), (ErrorKind.CONFIG, "name: it is odd: even"))

    def test_what_is_not_set_has_the_default_of_the_schema_and_shares_it_with_nobody(self):
        longshore.parsed(Checked, "{}")["tags"].append("b")
        self.assertEqual(longshore.parsed(Checked, "{}")["tags"], ["a"])
        self.assertEqual(longshore.parsed(Checked, '{"tags":[]}')["tags"], [])
        self.assertNotIn("name", longshore.parsed(Checked, "{}"))

    def test_a_secret_is_its_key_and_its_value_is_never_shown(self):
        hidden = longshore.parsed(Checked, '{"token":{"secret":"token"}}')["token"]
        self.assertEqual((hidden.key, hidden.in_config, hidden.revealed()), ("token", None, None))
        testing.host.secrets = {"token": "s3cret"}
        self.assertEqual(hidden.revealed(), "s3cret")
        shown = longshore.parsed(Checked, '{"token":"s3cret"}')
        self.assertEqual(shown["token"].revealed(), "s3cret")
        self.assertNotIn("s3cret", f"{shown}")

    def test_a_failure_crosses_whole_and_comes_back(self):
        failure = longshore.Failure.rate_limited("later", 7000)
        failure.context["page"] = 3
        again = longshore.Failure.of(failure.wire())
        self.assertEqual(
            (again.kind, again.message, again.retry_after_ms, again.context),
            (ErrorKind.RATE_LIMITED, "later", 7000, {"page": "3"}),
        )


class Connections(unittest.TestCase):
    SCHEMA = {"properties": {"url": {"type": "string"}, **longshore.connection.KEYS}}

    def setUp(self):
        testing.host.reset()
        testing.host.answer = lambda request: testing.answer(200)

    def sent(self, config):
        parsed = longshore.parsed(self, config)
        self.assertEqual(longshore.connection.problems(parsed), [])
        longshore.connection.Connection(parsed).get("http://x", query={"a": 1}, headers={"B": 2})
        return testing.host.requests[-1]

    def test_its_keys_are_in_every_request(self):
        request = self.sent('{"headers":["A: 1"],"request.timeout.ms":5,"auth.secret":{"secret":"auth.secret"}}')
        self.assertEqual((request.timeout_ms, request.headers), (5, [("A", "1"), ("B", "2")]))
        self.assertEqual(request.credential.key, "auth.secret")
        self.assertEqual(type(request.credential.placement).__name__, "Placement_Bearer")
        request = self.sent('{"auth.secret":{"secret":"auth.secret"},"auth.scheme":"header"}')
        self.assertEqual((request.timeout_ms, request.credential.placement.value), (30_000, "X-Api-Key"))
        request = self.sent('{"auth.secret":{"secret":"auth.secret"},"auth.scheme":"basic","auth.user":"u"}')
        self.assertEqual(request.credential.placement.value, "u")
        self.assertIsNone(self.sent("{}").credential)

    def test_what_the_schema_cannot_say_is_found(self):
        bad = '{"headers":["A"],"auth.scheme":"basic","auth.secret":{"secret":"auth.secret"}}'
        found = longshore.connection.problems(longshore.parsed(self, bad))
        self.assertEqual([key for key, *_ in found], ["headers", "auth.user"])
        self.assertEqual(longshore.connection.check_url("ftp://x")[0][0], "url")


if __name__ == "__main__":
    unittest.main()
