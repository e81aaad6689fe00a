"""Runs without a component: python3 -m unittest test_app"""

import unittest

import longshore_testing as testing
import app
import longshore


class Taking(unittest.TestCase):
    def test_values_without_the_field_are_refused_alone(self):
        sink = app.Counting(longshore.parsed(app.Counting, '{"required.field": "a"}'))
        refused = []
        records = list(longshore.records(testing.incoming([{"a": 1}, {"b": 1}, None, {"a": 2}])))
        sink.put(records, lambda record, failure: refused.append(record.row))
        self.assertEqual(refused, [1, 2])
        self.assertEqual(sink.flush(["t-0@4"]), ["t-0@4"])
        self.assertEqual(testing.host.metrics, [("records", {}, 2)])


if __name__ == "__main__":
    unittest.main()
