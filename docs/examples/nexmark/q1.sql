-- Currency conversion: each price in euros.
CREATE MATERIALIZED VIEW q1 AS
SELECT auction, bidder, 0.908 * price AS price, ts, extra FROM bid;
