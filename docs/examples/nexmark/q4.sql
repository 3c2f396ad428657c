-- Average price for a category: of the best bids that came while their auctions were open.
CREATE MATERIALIZED VIEW q4 AS
SELECT category, avg(final) AS average
FROM (
  SELECT max(b.price) AS final, a.category
  FROM auction AS a JOIN bid AS b ON a.id = b.auction
  WHERE b.ts BETWEEN a.ts AND a.expires
  GROUP BY a.id, a.category
)
GROUP BY category;
