-- Average selling price by seller: of the last ten auctions that each of them sold in.
CREATE MATERIALIZED VIEW q6 AS
SELECT seller, avg(final) AS average
FROM (
  SELECT seller, final,
         ROW_NUMBER() OVER (PARTITION BY seller ORDER BY ts DESC, auction DESC) AS recent
  FROM (
    SELECT a.id AS auction, a.seller, b.price AS final, b.ts AS ts,
           ROW_NUMBER() OVER (PARTITION BY a.id ORDER BY b.price DESC, b.ts) AS place
    FROM auction AS a JOIN bid AS b ON a.id = b.auction
    WHERE b.ts BETWEEN a.ts AND a.expires
  )
  WHERE place = 1
)
WHERE recent <= 10
GROUP BY seller;
