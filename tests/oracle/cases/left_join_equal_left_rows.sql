-- approximate: 0 0 0
-- Equal rows of a list were counted once for each, but started with the matches of one: a right row that left took
-- the match of another with it.
CREATE STREAM s (k TEXT, g BIGINT) WITH (topic = 't') WHERE part = 1;
CREATE STREAM r (k TEXT, g BIGINT, x BIGINT, op TEXT) WITH (topic = 't') WHERE part = 2;
CREATE TABLE l AS LATEST r BY k DELETE WHEN op = 'D';
SELECT a.g AS g, count(*) AS n, count(b.k) AS m FROM s a LEFT JOIN l b ON a.g = b.g AND a.g < b.x GROUP BY a.g;
