"""Records on their way in and out."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import longshore_testing as testing
import longshore
import longshore.sink
import longshore.source
import longshore.transform
from longshore import context, log, metrics, state
from longshore_testing import Err

INFO = longshore.Info("x", "1.0.0", "X.")
ErrorKind = longshore.ErrorKind


class Sources(unittest.TestCase):
    def test_what_is_put_in_comes_out(self):
        batch = longshore.source.Batch(INFO, 10, 1000)
        batch.emit("a", {"at": 0}, value="0", key="k0")
        headers = [("h", "x"), ("h", None), ("g", b"y")]
        batch.emit("b", {"at": 1}, json={"ü": 1}, headers=headers, timestamp=5, lane={"file": "f"})
        batch.emit("a", {"at": 2}, partition=3)
        one, two, three = testing.rows(batch)
        self.assertEqual((one["topic"], one["key"], one["value"], one["headers"]), ("a", b"k0", b"0", []))
        self.assertEqual((one["timestamp"], two["timestamp"], three["timestamp"]), (None, 5, None))
        self.assertEqual((two["topic"], two["key"], two["value"]), ("b", None, '{"ü":1}'.encode()))
        self.assertEqual(two["headers"], [("h", b"x"), ("h", None), ("g", b"y")])
        self.assertEqual((two["partition"], three["partition"], three["headers"]), (-1, 3, []))
        self.assertEqual((one["lane"], two["lane"], three["position"]), ({}, {"file": "f"}, {"at": 2}))

    def test_what_says_the_same_of_every_row_is_not_sent(self):
        batch = longshore.source.Batch(INFO, 10, 1000)
        batch.emit("a", {"at": 0}, value="0")
        batch.emit("a", {"at": 1}, value="1")
        polled = batch.wire(0, False)
        sent = polled.records
        self.assertEqual((sent.topic, sent.partition, sent.timestamp_ms, polled.lane, sent.header_ends), ([], [], [], [], []))
        self.assertEqual((sent.key.ends, sent.value.ends, sent.value.nulls), ([], [1, 2], b""))

    def test_headers_and_positions_count_for_the_size(self):
        batch = longshore.source.Batch(INFO, 10, 20)
        self.assertFalse(batch.is_full)
        batch.emit("a", {"at": 1}, headers={"h": "x" * 20})
        self.assertTrue(batch.is_full)

    def test_a_record_that_cannot_be_emitted_is_not_there(self):
        batch = longshore.source.Batch(INFO, 10, 1000)
        with self.assertRaises(TypeError):
            batch.emit("a", 7)
        with self.assertRaises(longshore.Failure) as raised:
            batch.emit("a", {}, json=float("nan"), headers={"h": "x"})
        self.assertEqual(raised.exception.kind, ErrorKind.DATA)
        for odd in [{"value": "\ud800"}, {"key": "\ud800"}, {"headers": {"h": "x", "g": "\ud800"}}, {"headers": {"\ud800": "x"}}]:
            with self.assertRaises(longshore.Failure) as raised:
                batch.emit("a", {}, **odd)
            self.assertEqual(raised.exception.kind, ErrorKind.DATA, odd)
        with self.assertRaises(longshore.Failure):
            batch.emit("\ud800", {})
        batch.emit("a", {"at": 1}, value="1")
        self.assertEqual([row["value"] for row in testing.rows(batch)], [b"1"])
        self.assertEqual(batch.wire(0, False).records.header_ends, [])

    def test_positions_and_lanes_keep_their_text_and_hold_half_a_pair_of_surrogates(self):
        batch = longshore.source.Batch(INFO, 10, 1000)
        batch.emit("a", {"at": "\ud800"}, lane={"file": "ü"})
        batch.advance({"at": "ü"}, {"file": "\ud800"})
        self.assertEqual(testing.rows(batch)[0]["position"], {"at": "\ud800"})
        self.assertEqual(batch.wire(0, False).lanes, ['{"file":"ü"}'])
        self.assertEqual(batch.advanced, {'{"file":"\\ud800"}': '{"at":"ü"}'})

    def test_progress_gives_way_to_what_comes_later_in_its_lane(self):
        testing.host.reset()

        class Filtered:
            INFO = INFO
            SCHEMA = {}

            def __init__(self, config, stored):
                pass

            def poll(self, batch, max_wait_ms):
                batch.advance({"at": 1})
                batch.advance({"at": 2}, {"file": "f"})
                batch.advance({"at": 3})
                batch.emit("t", {"at": 4}, lane={"file": "f"})
                if max_wait_ms == 0:
                    raise longshore.Failure.transient("not now")
                raise longshore.source.Finished()

        task = longshore.source.export(Filtered)[2]()
        task.start("{}", [])
        with self.assertRaises(Err):
            task.poll(10, 1000, 0)
        self.assertEqual(testing.host.advanced, [])
        self.assertTrue(task.poll(10, 1000, 1).finished)
        self.assertEqual(testing.host.advanced, [("{}", '{"at":3}')])
        with self.assertRaises(TypeError):
            longshore.source.Batch(INFO, 1, 1).advance(7)


class Incoming(unittest.TestCase):
    def test_records_are_what_came(self):
        headers = [[("h", "1"), ("h", "2")], [], [("n", None)]]
        batch = testing.incoming([{"a": 1}, None, "3"], offset=7, keys=["k", None, None], headers=headers, timestamps=[5, -1, -1])
        one, two, three = longshore.records(batch)
        self.assertEqual((one.key, one.json(), one.offset, one.partition, one.topic), (b"k", {"a": 1}, 7, 0, "input"))
        self.assertEqual((one.header("h"), one.header("n"), two.headers), (b"2", None, []))
        self.assertEqual((two.value, two.json(), three.json()), (None, None, 3))
        self.assertEqual((one.timestamp, two.timestamp, three.headers), (5, None, [("n", None)]))

    def test_json_that_is_none_and_json_that_is_too_deep_are_bad_data(self):
        for value in ["{", "[" * 100_000]:
            with self.assertRaises(longshore.Failure) as raised:
                next(longshore.records(testing.incoming([value]))).json()
            self.assertEqual(raised.exception.kind, ErrorKind.DATA)


class Transforms(unittest.TestCase):
    def test_what_is_not_changed_does_not_travel_back(self):
        edit = longshore.transform.Edit(testing.incoming([1, 2])).wire()
        unchanged = (edit.keep, edit.key, edit.value, edit.topic, edit.timestamp_ms, edit.headers, edit.failed)
        self.assertEqual(unchanged, (b"", None, None, [], [], [], []))

    def test_what_is_changed_does(self):
        batch = testing.incoming([1, None, 3], keys=["a", "b", None], timestamps=[5, -1, 7])
        one, two, three = longshore.records(batch)
        edit = longshore.transform.Edit(batch)
        edit.drop(one)
        edit.key(two, "B")
        edit.json(three, {"x": None})
        edit.timestamp(two, 6)
        edit.topic(three, "other")
        edit.header(one, "h", "v")
        edit.header(one, "g", None)
        made = edit.wire()
        self.assertEqual(made.keep, b"\x00\x01\x01")
        self.assertEqual([longshore.row_of(made.key, row) for row in range(3)], [b"a", b"B", None])
        self.assertEqual([longshore.row_of(made.value, row) for row in range(3)], [b"1", None, b'{"x":null}'])
        self.assertEqual(made.timestamp_ms, [5, 6, 7])
        self.assertEqual([made.topics[number] for number in made.topic], ["input", "input", "other"])
        self.assertEqual([(one.name, one.value) for one in made.headers], [("h", b"v"), ("g", None)])

    def test_json_is_what_json_can_hold(self):
        self.assertIsNone(longshore.json_bytes(None), "null is a record without a value")
        self.assertEqual(longshore.json_bytes(["ü", "\ud800"]), b'["\\u00fc","\\ud800"]')
        nested = []
        for _ in range(100_000):
            nested = [nested]
        for bad in [float("inf"), {"a": float("nan")}, {1, 2}, nested]:
            with self.assertRaises(longshore.Failure) as raised:
                longshore.json_bytes(bad)
            self.assertEqual(raised.exception.kind, ErrorKind.DATA)

    def test_a_record_that_fails_fails_alone(self):
        class Odd:
            SCHEMA = {}

            def __init__(self, config):
                pass

            def apply(self, record, edit):
                if record.json() % 2:
                    raise longshore.Failure.data("it is odd")
                edit.json(record, 0)

        exported = longshore.transform.export(Odd)[1]()
        exported.start("{}")
        made = exported.apply(testing.incoming([1, 2]))
        self.assertEqual([(error.row, error.error.message) for error in made.failed], [(0, "it is odd")])
        values, failed = testing.applied(Odd({}), testing.incoming([1, 2]))
        self.assertEqual((values, list(failed)), ([b"1", b"0"], [0]))

    def test_a_record_that_is_no_unicode_fails_alone_and_so_does_one_that_is_failed_by_the_edit(self):
        class Echo:
            SCHEMA = {}

            def __init__(self, config):
                pass

            def apply(self, record, edit):
                value = record.json()
                if value == 0:
                    edit.fail(record, longshore.Failure.data(f"it is {value}, not \ud800"))
                elif record.row % 2:
                    edit.value(record, value)
                else:
                    edit.topic(record, value)

        exported = longshore.transform.export(Echo)[1]()
        exported.start("{}")
        batch = testing.incoming([0, '"\\ud800"', '"\\ud800"', '"ü"'])
        made = exported.apply(batch)
        self.assertEqual([(one.row, one.error.kind) for one in made.failed], [(row, ErrorKind.DATA) for row in range(3)])
        self.assertEqual(made.failed[0].error.message, "it is 0, not ?")
        values, failed = testing.applied(Echo({}), batch)
        self.assertEqual((values[3], sorted(failed)), ("ü".encode(), [0, 1, 2]))
        self.assertEqual({failure.kind for failure in failed.values()}, {ErrorKind.DATA})

    def test_a_batch_is_prepared_before_its_records(self):
        class Shared:
            SCHEMA = {}

            def __init__(self, config):
                pass

            def prepare(self, records):
                if len(records) > 2:
                    raise longshore.Failure.transient("it is away")
                self.sum = sum(record.json() for record in records)

            def apply(self, record, edit):
                edit.json(record, self.sum)

        exported = longshore.transform.export(Shared)[1]()
        exported.start("{}")
        self.assertEqual(exported.apply(testing.incoming([1, 2])).value.data, b"33")
        with self.assertRaises(Err) as raised:
            exported.apply(testing.incoming([1, 2, 3]))
        self.assertEqual(raised.exception.value.kind, ErrorKind.TRANSIENT)


class Sinks(unittest.TestCase):
    def test_a_failure_tells_what_was_refused_before_it(self):
        class Picky:
            SCHEMA = {}

            def __init__(self, config):
                pass

            def put(self, records, refuse):
                for record in records:
                    if record.value == b"9":
                        raise longshore.Failure.transient("fail").after(record.row)
                    if record.value in (b"7", b"8"):
                        refuse(record, longshore.Failure.data("bad"))

        sink = longshore.sink.export(Picky)[2]()
        sink.start("{}")
        refused = sink.put(testing.incoming([1, 7]))
        self.assertEqual([error.row for error in refused], [1])
        with self.assertRaises(Err) as raised:
            sink.put(testing.incoming([7, 2, 9, 8]))
        error = raised.exception.value
        self.assertEqual((error.taken, [one.row for one in error.refused], error.error.kind), (2, [0], ErrorKind.TRANSIENT))


class Services(unittest.TestCase):
    def setUp(self):
        testing.host.reset()

    def test_a_wait_ends_early_when_the_task_is_stopped(self):
        before = context.now_ms()
        self.assertFalse(context.sleep_ms(1500.7))
        self.assertEqual(context.now_ms() - before, 1500)
        self.assertFalse(context.sleep_ms(-1))
        testing.host.stopping = True
        self.assertTrue(context.sleep_ms(1 << 40) and context.stopping())

    def test_a_state_is_found_as_it_was_set(self):
        self.assertIsNone(state.get("t", 0))
        state.set("t", 0, {"part": 7})
        self.assertEqual((state.get("t", 0), state.get("t", 1)), ({"part": 7}, None))
        state.set("t", 0, None)
        self.assertIsNone(state.get("t", 0))
        testing.host.states["t", 0] = "another version's"
        self.assertIsNone(state.get("t", 0))
        self.assertEqual(testing.host.lines[0][0], "warn")

    def test_lines_and_metrics_carry_their_fields(self):
        log.warn("the page is empty", page=7, level="low", message="m")
        self.assertEqual(testing.host.lines, [("warn", "the page is empty", {"page": "7", "level": "low", "message": "m"})])
        log.warn("half", value="\ud800")
        self.assertEqual(testing.host.lines[1:], [("warn", "half", {"value": "?"})])
        metrics.add("requests", status="200", name="n")
        metrics.set("left", 2)
        self.assertEqual(testing.host.metrics, [("requests", {"status": "200", "name": "n"}, 1), ("left", {}, 2.0)])


if __name__ == "__main__":
    unittest.main()
