-- Before the connectors start: the rows of the snapshot.
INSERT INTO item VALUES (1, 'full', -32768, 9007199254740993, 12345.60, -0.000000000000000000001, 0.1, 1.5, true, 'a "b" é 😀', '2024-02-29', '23:59:59.999999', '00:00:00.001', '12:34:56.789+00',
  '2024-02-29 12:34:56.789012', '1969-12-31 23:59:59.999', '2024-02-29 12:34:56.789012+02', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11',
  '{"a": [1, null, 1.50], "b": {"c": "d"}}', '{"b": 1.0,  "a":[]}', '\x00ff80', '{a,NULL,"b,c","\"q\""}', '{1,NULL,-3}', 'it''s fine', 'one', '1969-12-31',
  repeat('long text ', 205), jsonb_build_object('k', repeat('j', 100)), decode(repeat('abcd', 40), 'hex'), ARRAY[repeat('t', 60), NULL], ARRAY(SELECT generate_series(1, 20)),
  ARRAY[9007199254740993, 1, 2, 3, 4, 5], ARRAY['a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '00000000-0000-0000-0000-000000000000']::uuid[]);
INSERT INTO item (tenant, code, strict_name, strict_day) VALUES (1, 'nulls', '', '2000-01-01');
INSERT INTO item (tenant, code, strict_name, strict_day, price) VALUES (1, 'goes', 'to be deleted', '2000-01-01', -0.01), (1, 'moves', 'to be renamed', '2000-01-01', 7);
INSERT INTO item (tenant, code, strict_name, strict_day, day, at, at_zone, clock, amount, price, ratio) VALUES
  (1, 'edges', 'x', '0044-03-15', '5874897-12-31', '0001-01-01 00:00:00', '9999-12-31 23:59:59.999999+00', '24:00', 123456789012345678901234567890.123456789, -9999999999.99, '-0');

-- While the connectors stream.
INSERT INTO item SELECT 2, 'full', small, big, price, amount, ratio, single, flag, name, day, clock, clock_ms, clock_zone, at, at_ms, at_zone, uid, doc, raw, blob, tags, counts, feeling, strict_name, strict_day,
  big_text || '2', big_doc || '{"two": 2}', big_blob || '\x02', big_tags || 'two'::text, big_counts || 2, big_longs || 2::bigint, big_ids || big_ids FROM item WHERE code = 'full' AND tenant = 1;
INSERT INTO item (tenant, code, strict_name, strict_day, price, amount) VALUES (2, 'nulls', 'n', '2024-01-01', 0, 1e30), (2, 'goes', 'g', '2024-01-01', 1, 1);
-- Large values that an update does not touch are not in the log.
UPDATE item SET price = price + 1, flag = NOT flag, strict_name = 'touched' WHERE code = 'full';
UPDATE item SET big_text = repeat('new text  ', 210), small = NULL, doc = 'null', tags = '{}', feeling = 'sad' WHERE code = 'full' AND tenant = 2;
UPDATE item SET day = '1969-12-30', clock = '00:00', clock_ms = '23:59:59.999', clock_zone = '00:00+00', at = '1900-01-01 00:00:00.000001', at_ms = '2024-02-29 12:00:00.5', at_zone = '0001-01-01 00:00:00+00',
  uid = '00000000-0000-0000-0000-000000000001', doc = '"text"', raw = '[1.10]', blob = '', tags = '{NULL}', counts = '{}', feeling = 'ok', flag = false, ratio = 1e300, single = 3.4028235e38, big = -9223372036854775808,
  small = 0, price = 0.05, amount = 0, name = '' WHERE code = 'nulls' AND tenant = 1;
UPDATE item SET price = NULL, strict_day = '1582-10-04' WHERE code = 'edges';
DELETE FROM item WHERE code = 'goes';
-- A key change, and one there and back again.
UPDATE item SET code = 'moved', price = 8.25 WHERE code = 'moves';
UPDATE item SET code = 'swap' WHERE code = 'nulls' AND tenant = 2;
UPDATE item SET code = 'nulls' WHERE code = 'swap' AND tenant = 2;
-- Deleted and written again in one transaction.
BEGIN; DELETE FROM item WHERE code = 'nulls' AND tenant = 2; INSERT INTO item (tenant, code, strict_name, strict_day) VALUES (2, 'nulls', 'again', '2024-01-02'); COMMIT;
-- With the whole old row in the log a changed key keeps its large values.
ALTER TABLE item REPLICA IDENTITY FULL;
UPDATE item SET tenant = 3 WHERE code = 'full' AND tenant = 2;
UPDATE item SET ratio = 'NaN', single = '-Infinity', at_zone = 'infinity' WHERE code = 'edges';
