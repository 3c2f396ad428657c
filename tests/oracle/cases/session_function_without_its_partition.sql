-- approximate: 0 0 0
-- sqlite: two sessions of different partitions begin together and end apart: a window's start is no key here
CREATE STREAM s0 (g INT, op TEXT, x INT, ts TIMESTAMP) WITH (topic = 't0', event_time = 'ts');
SELECT window_start AS ws, window_end AS we, count(*) AS c FROM SESSION(s0 PARTITION BY g, ts, INTERVAL '10 seconds') GROUP BY 1, 2;
