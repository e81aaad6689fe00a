"""Runs natively: python3 -m unittest discover -s tests"""

import sys
import types
import unittest
from pathlib import Path


class Failure(Exception):
    """In the place of the SDK's, which is there in a component alone."""

    def __init__(self, message):
        super().__init__(message)
        self.message = message

    config = data = staticmethod(lambda message: Failure(message))


sdk = types.ModuleType("longshore")
sdk.Failure = Failure
sys.modules["longshore"] = sdk
sys.path.insert(0, str(Path(__file__).parent.parent))

from measures import Measures  # noqa: E402
from times import Times  # noqa: E402


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
        for wrong in ["soon", "", True, [], {}, 1e300, 10**400, float("nan"), float("inf")]:
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


if __name__ == "__main__":
    unittest.main()
