"""Times in the forms in which they are found."""

import re
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime

import longshore

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
# As many as nanoseconds have in the year 9999, and one more.
DIGITS = re.compile(r"[+-]?[0-9]{1,22}")
PER_SECOND = {"s": 1, "ms": 1000, "us": 1_000_000, "ns": 1_000_000_000}


class Times:
    def __init__(self, unit, output, zone):
        self.unit = unit
        self.output = output
        try:
            self.zone = datetime.fromisoformat(f"1970-01-01T00:00:00{zone}").tzinfo
        except ValueError:
            self.zone = None
        if self.zone is None:
            raise longshore.Failure.config(f"time.zone is {zone}: write an offset, such as +02:00")

    def of(self, value):
        """Raises ValueError or OverflowError where it is no time."""
        # Microseconds, which are exact, in place of seconds as a float.
        micros = (self.read(value) - EPOCH) // timedelta(microseconds=1)
        if self.output == "ms":
            return micros // 1000
        time = EPOCH + timedelta(microseconds=micros)
        shown = "seconds" if micros % 1_000_000 == 0 else "milliseconds" if micros % 1000 == 0 else "microseconds"
        return time.replace(tzinfo=None).isoformat(timespec=shown) + "Z"

    def read(self, value):
        if isinstance(value, bool):
            raise ValueError("it is a boolean")
        if isinstance(value, (int, float)):
            return self.number(value)
        if not isinstance(value, str):
            raise ValueError("it is neither number nor text")
        text = value.strip()
        if DIGITS.fullmatch(text):
            return self.number(int(text))
        try:
            time = datetime.fromisoformat(text.replace("Z", "+00:00"))
        except ValueError:
            try:
                # As in the headers of mails and of HTTP: Mon, 02 Jan 2006 15:04:05 +0000
                time = parsedate_to_datetime(text)
            except (TypeError, ValueError, IndexError):
                raise ValueError("it is text in no known form of a time") from None
        return time if time.tzinfo else time.replace(tzinfo=self.zone)

    def number(self, value):
        unit = self.unit
        if unit == "auto":
            # Seconds until the year 5138; milliseconds are as large only before March 1973, and so on.
            size = abs(value)
            unit = "s" if size < 1e11 else "ms" if size < 1e14 else "us" if size < 1e17 else "ns"
        per_second = PER_SECOND[unit]
        if isinstance(value, int):
            return EPOCH + timedelta(microseconds=value * 1_000_000 // per_second)
        return EPOCH + timedelta(seconds=value / per_second)
