"""Runs without a component: python3 -m unittest test_app"""

import unittest

import longshore_testing as testing
import app
import longshore
import longshore.source


def counted(stored, limit):
    """What one poll makes."""
    task = app.Counter(longshore.parsed(app.Counter, f'{{"topic": "t", "limit": {limit}}}'), stored)
    batch = longshore.source.Batch(app.Counter.INFO, 1000, 1 << 20)
    try:
        task.poll(batch, 1000)
    except longshore.source.Finished:
        pass
    return testing.rows(batch)


class Counting(unittest.TestCase):
    def test_it_goes_on_behind_every_position(self):
        made = counted([], 3)
        self.assertEqual([row["value"] for row in made], [b'{"count":0}', b'{"count":1}', b'{"count":2}'])
        for at, row in enumerate(made):
            self.assertEqual(counted([(row["lane"], row["position"])], 3), made[at + 1 :])
            # A lane of somebody else's says nothing.
            self.assertEqual(counted([({"other": 1}, row["position"])], 3), made)


if __name__ == "__main__":
    unittest.main()
