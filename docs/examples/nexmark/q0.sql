-- Pass through: what reading and keeping a bid costs.
CREATE MATERIALIZED VIEW q0 AS
SELECT auction, bidder, price, ts, extra FROM bid;
