-- The ten best bids for each auction.
CREATE MATERIALIZED VIEW q19 AS
SELECT auction, bidder, price, channel, url, ts, extra, place
FROM (
  SELECT auction, bidder, price, channel, url, ts, extra,
         ROW_NUMBER() OVER (PARTITION BY auction ORDER BY price DESC) AS place
  FROM bid
)
WHERE place <= 10;
