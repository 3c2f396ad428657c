-- Hot items: the auctions with the most bids of the last 10 seconds, every 2 seconds.
CREATE MATERIALIZED VIEW q5 AS
SELECT window_start, window_end, auction, num
FROM (
  SELECT window_start, window_end, auction, num,
         RANK() OVER (PARTITION BY window_start, window_end ORDER BY num DESC) AS place
  FROM (
    SELECT window_start, window_end, auction, count(*) AS num
    FROM bid
    GROUP BY auction, HOP(ts, INTERVAL '2 seconds', INTERVAL '10 seconds')
  )
)
WHERE place = 1;
