-- approximate: 0 0 0
-- sqlite: two sessions of different partitions begin together and end apart: a window's start is no key here
CREATE STREAM s0 (g INT, op TEXT, x INT, ts TIMESTAMP) WITH (topic = 't0', event_time = 'ts');
SELECT ws, we, count(*) AS c FROM (SELECT window_start AS ws, window_end AS we, g AS k0, count(*) AS n FROM s0 GROUP BY g, SESSION(ts, INTERVAL '10 seconds')) a GROUP BY 1, 2;
