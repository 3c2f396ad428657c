-- User sessions: how many bids each bidder made without a pause of more than 10 seconds.
CREATE MATERIALIZED VIEW q11 AS
SELECT bidder, count(*) AS bid_count, window_start, window_end
FROM bid
GROUP BY bidder, SESSION(ts, INTERVAL '10 seconds');
