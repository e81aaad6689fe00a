"""Runs without a component: python3 -m unittest test_app"""

import unittest

import longshore_testing as testing
import app
import longshore


class Adding(unittest.TestCase):
    def test_objects_get_the_field_and_nothing_else_changes(self):
        transform = app.AddField(longshore.parsed(app.AddField, '{"field": "by", "text": "me"}'))
        values, failed = testing.applied(transform, testing.incoming([{"a": 1}, None, 7]))
        self.assertEqual(values, [b'{"a":1,"by":"me"}', None, b"7"])
        self.assertEqual(list(failed), [2])


if __name__ == "__main__":
    unittest.main()
