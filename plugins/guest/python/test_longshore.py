"""What the package does with a config. Runs outside of a component: the modules that a component is given are stood in for."""

import enum
import sys
import unittest
from unittest import mock

names = ["componentize_py_types", "wit_world", "wit_world.exports", "wit_world.imports", "wit_world.imports.types"]
stand_ins = {name: mock.MagicMock() for name in names}


class Err(Exception):
    def __init__(self, value):
        super().__init__(value)
        self.value = value


class ErrorKind(enum.Enum):
    CONFIG = 0
    DATA = 2
    TRANSIENT = 3


stand_ins["componentize_py_types"].Err = Err
stand_ins["wit_world.imports.types"].ErrorKind = ErrorKind
stand_ins["wit_world.imports"].types.Error = lambda *parts: parts
sys.modules.update(stand_ins)
sys.path.insert(0, __file__.rpartition("/")[0] or ".")

import longshore  # noqa: E402
import longshore.transform  # noqa: E402


class Checked:
    SCHEMA = {
        "properties": {
            "name": {"type": ["string", "null"]},
            "size": {"type": ["null", "integer"]},
            "many": {"type": ["string", "array"]},
            "any": {},
        }
    }

    def __init__(self, config):
        self.config = config

    @staticmethod
    def check(config):
        return [("name", "it is odd", "even")] if config.get("name") == "odd" else []


class Configs(unittest.TestCase):
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
        kind, message = raised.exception.value[:2]
        self.assertEqual((kind, message), (ErrorKind.CONFIG, "name: it is odd: even"))


if __name__ == "__main__":
    unittest.main()
