-- Highest bid: the bids with the greatest price of every 10 seconds.
CREATE MATERIALIZED VIEW q7 AS
SELECT window_start, auction, bidder, price, ts, extra
FROM (
  SELECT window_start, auction, bidder, price, ts, extra,
         RANK() OVER (PARTITION BY window_start ORDER BY price DESC) AS place
  FROM TUMBLE(bid, ts, INTERVAL '10 seconds')
)
WHERE place = 1;
