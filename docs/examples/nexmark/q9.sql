-- Winning bids: the best bid for each auction, the earliest of equal ones.
CREATE MATERIALIZED VIEW q9 AS
SELECT id, item_name, description, initial_bid, reserve, ts, expires, seller, category, extra,
       bidder, price, bid_ts, bid_extra
FROM (
  SELECT a.id, a.item_name, a.description, a.initial_bid, a.reserve, a.ts, a.expires, a.seller, a.category,
         a.extra, b.bidder, b.price, b.ts AS bid_ts, b.extra AS bid_extra,
         ROW_NUMBER() OVER (PARTITION BY a.id ORDER BY b.price DESC, b.ts) AS place
  FROM auction AS a JOIN bid AS b ON a.id = b.auction
  WHERE b.ts BETWEEN a.ts AND a.expires
)
WHERE place <= 1;
