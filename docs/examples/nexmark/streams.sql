-- Nexmark: people, auctions and bids of an online auction, all in the topic "nexmark".
CREATE STREAM person (
  id          BIGINT    PATH '$.person.id',
  name        TEXT      PATH '$.person.name',
  email       TEXT      PATH '$.person.emailAddress',
  credit_card TEXT      PATH '$.person.creditCard',
  city        TEXT      PATH '$.person.city',
  state       TEXT      PATH '$.person.state',
  ts          TIMESTAMP PATH '$.dateTime',
  extra       TEXT      PATH '$.person.extra'
) WITH (topic = 'nexmark', event_time = 'ts') WHERE event_type = 0;

CREATE STREAM auction (
  id          BIGINT    PATH '$.auction.id',
  item_name   TEXT      PATH '$.auction.itemName',
  description TEXT      PATH '$.auction.description',
  initial_bid BIGINT    PATH '$.auction.initialBid',
  reserve     BIGINT    PATH '$.auction.reserve',
  ts          TIMESTAMP PATH '$.dateTime',
  expires     TIMESTAMP PATH '$.auction.expires',
  seller      BIGINT    PATH '$.auction.seller',
  category    BIGINT    PATH '$.auction.category',
  extra       TEXT      PATH '$.auction.extra'
) WITH (topic = 'nexmark', event_time = 'ts') WHERE event_type = 1;

CREATE STREAM bid (
  auction BIGINT    PATH '$.bid.auction',
  bidder  BIGINT    PATH '$.bid.bidder',
  price   BIGINT    PATH '$.bid.price',
  channel TEXT      PATH '$.bid.channel',
  url     TEXT      PATH '$.bid.url',
  ts      TIMESTAMP PATH '$.dateTime',
  extra   TEXT      PATH '$.bid.extra'
) WITH (topic = 'nexmark', event_time = 'ts') WHERE event_type = 2;
