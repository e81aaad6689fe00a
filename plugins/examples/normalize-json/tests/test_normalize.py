"""Runs natively, where the SDK stands beside app.py (build.sh puts it there): python3 -m unittest discover -s tests"""

import json
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import longshore_testing as testing
from app import Normalize
from longshore import ErrorKind, Failure, parsed
from measures import Measures
from times import Times


class TimesTest(unittest.TestCase):
    def test_every_form_becomes_the_same_time(self):
        times = Times("auto", "iso", "+00:00")
        forms = [1700000000, 1700000000000, 1700000000000000, 1700000000000000000, "1700000000", "2023-11-14T22:13:20Z",
                 "2023-11-15 00:13:20+02:00", "2023-11-14T22:13:20", "Tue, 14 Nov 2023 22:13:20 +0000"]
        for form in forms:
            self.assertEqual(times.of(form), "2023-11-14T22:13:20Z", form)

    def test_digits_behind_the_second_stay(self):
        times = Times("auto", "iso", "+00:00")
        self.assertEqual(times.of(1700000000123), "2023-11-14T22:13:20.123Z")
        self.assertEqual(times.of(1700000000123456789), "2023-11-14T22:13:20.123456Z")
        self.assertEqual(Times("auto", "ms", "+00:00").of("2023-11-14T22:13:20.123Z"), 1700000000123)

    def test_the_zone_is_of_times_without_one(self):
        times = Times("auto", "iso", "+01:00")
        self.assertEqual(times.of("2024-01-02T03:04:05"), "2024-01-02T02:04:05Z")
        self.assertEqual(times.of("2024-01-02T03:04:05Z"), "2024-01-02T03:04:05Z")
        with self.assertRaises(Failure):
            Times("auto", "iso", "Mars")

    def test_what_is_no_time_is_refused(self):
        times = Times("auto", "iso", "+00:00")
        for wrong in ["soon", "", True, [], {}, 1e300, 10**400, float("nan"), float("inf"), "1_000", "٣", "9" * 5000]:
            with self.assertRaises((ValueError, OverflowError), msg=wrong):
                times.of(wrong)


class MeasuresTest(unittest.TestCase):
    def test_units_are_converted(self):
        for unit, value, expected in [
            ("m", "5.2 km", 5200), ("C", "72 °F", 22.2222222222), ("K", "-273.15C", 0), ("GiB", "1024MiB", 1),
            ("s", "1.5 h", 5400), ("km/h", "10 m/s", 36), ("m", "7", 7), ("m", 7, 7), ("m", "0.1 m", 0.1),
        ]:
            self.assertEqual(Measures("", unit).of(value), expected, value)

    def test_what_is_no_measure_is_refused(self):
        for wrong in ["5 kg", "far", "5 parsecs", "", True, None, [], "1e999 km"]:
            with self.assertRaises(ValueError, msg=wrong):
                Measures("", "m").of(wrong)
        with self.assertRaises(Failure):
            Measures("a=x", "x")


class RecordsTest(unittest.TestCase):
    def made(self, value, **config):
        config = {name.replace("_", "."): given for name, given in config.items()}
        transform = Normalize(parsed(Normalize, json.dumps(config)))
        values, failed = testing.applied(transform, testing.incoming([value]))
        return values[0].decode() if values[0] is not None and not failed else None, [one.kind for one in failed.values()]

    def test_paths_go_through_arrays_and_change_nothing_else(self):
        value = '{"n":[{"t":0},{"t":null},{},7,[{"t":"1"}]],"big":123456789012345678901234567890,"t":0}'
        expected = value.replace('"t":0}', '"t":"1970-01-01T00:00:00Z"}', 1).replace('"1"', '"1970-01-01T00:00:01Z"')
        self.assertEqual(self.made(value, time_fields=["n.t"]), (expected, []))

    def test_what_has_no_such_field_stays_as_it_is(self):
        for value in ["null", "[]", "7", '"t"', "{ }", '{"t":null}', '{"t":{"t":1}}']:
            self.assertEqual(self.made(value, time_fields=["t.t.t"]), (value, []))
        self.assertEqual(self.made(None, time_fields=["t"]), (None, []), "a tombstone")

    def test_odd_values_are_bad_data_or_kept(self):
        for value in ['{"t":true}', '{"t":[1]}', '{"t":{}}', '{"t":""}', '{"t":1e999}', '{"t":"9999-12-31T23:59:59-14:00"}']:
            self.assertEqual(self.made(value, time_fields=["t"]), (None, [ErrorKind.DATA]), value)
            self.assertEqual(self.made(value, time_fields=["t"], on_error="keep"), (value, []), value)
        for value in ["{", "[" * 100_000, '{"t":1,"a":1e999}']:
            self.assertEqual(self.made(value, time_fields=["t"])[1], [ErrorKind.DATA], value[:9])

    def test_half_a_pair_of_surrogates_stays_an_escape(self):
        value = '{"a":"\\ud800","t":0}'
        self.assertEqual(self.made(value, time_fields=["t"]), ('{"a":"\\ud800","t":"1970-01-01T00:00:00Z"}', []))

    def test_configs_that_can_never_do_anything_are_refused(self):
        for config in [{}, {"time.fields": [""]}, {"time.fields": ["a..b"]}, {"unit.fields": ["=m"]}, {"unit.fields": ["a"]}]:
            values = parsed(Normalize, json.dumps(config))
            self.assertEqual(len(Normalize.check(values)), 1, config)
            with self.assertRaises(Failure) as raised:
                Normalize(values)
            self.assertEqual(raised.exception.kind, ErrorKind.CONFIG)


if __name__ == "__main__":
    unittest.main()
