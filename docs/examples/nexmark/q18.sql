-- The last bid of each bidder for each auction.
CREATE MATERIALIZED VIEW q18 AS
SELECT auction, bidder, price, channel, url, ts, extra
FROM (
  SELECT auction, bidder, price, channel, url, ts, extra,
         ROW_NUMBER() OVER (PARTITION BY bidder, auction ORDER BY ts DESC) AS place
  FROM bid
)
WHERE place <= 1;
