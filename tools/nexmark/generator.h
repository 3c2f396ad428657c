// The events of the Nexmark benchmark: people, auctions and bids of an online auction.
//
// Follows the published model (Tucker, Tufte, Papadimos, Maier, "NEXMark - a benchmark for queries over data
// streams", and the generator that Beam, Flink and RisingWave share): proportions, ids, hot sellers, hot
// auctions, hot bidders, log-uniform prices, filling text. Event n is a pure function of the options and n,
// so runs see the same data, on every machine. Ids of bidders count from kFirstPersonId, once. Thread-safe: a
// Generator never changes.
#pragma once

#include <cstdint>
#include <string>
#include <variant>

namespace kappa::tools::nexmark {

// Of every 50 events the first is a person, then come 3 auctions and 46 bids.
inline constexpr std::uint64_t kPersonProportion = 1;
inline constexpr std::uint64_t kAuctionProportion = 3;
inline constexpr std::uint64_t kBidProportion = 46;
inline constexpr std::uint64_t kTotalProportion = kPersonProportion + kAuctionProportion + kBidProportion;
inline constexpr std::int64_t kFirstPersonId = 1000;
inline constexpr std::int64_t kFirstAuctionId = 1000;
inline constexpr std::int64_t kFirstCategoryId = 10;
inline constexpr std::uint64_t kCategories = 5;
// The hot seller, auction and bidder move on with every so many people or auctions.
inline constexpr std::int64_t kHotBlock = 100;

struct GeneratorOptions {
  std::uint64_t seed = 1;
  std::uint64_t events_per_second = 10'000;       // Of event time; at least 1.
  std::int64_t base_time_ms = 1'436'918'400'000;  // 2015-07-15T00:00:00Z, since the epoch.
  // Blocks of so many events come shuffled, always in the same way; 1: in order. Not a multiple of 953.
  std::uint64_t out_of_order_group = 1;
  std::uint64_t hot_auction_ratio = 2;  // One bid in so many is for an auction that is not hot.
  std::uint64_t hot_bidders_ratio = 4;
  std::uint64_t hot_sellers_ratio = 4;
  std::int64_t active_people = 1000;      // Who sells and bids: the latest so many people.
  std::int64_t in_flight_auctions = 100;  // Auctions that are open at a time, about.
  // Sizes as the model counts them: 8 bytes a number, and the text of names; the rest is `extra`, +-20 %.
  // A bid's channel and url, and the names of JSON members, come on top.
  std::int64_t person_bytes = 200;
  std::int64_t auction_bytes = 500;
  std::int64_t bid_bytes = 100;
};

struct Person {
  std::int64_t id = 0;
  std::string name, email, credit_card, city, state, extra;
};
struct Auction {
  std::int64_t id = 0;
  std::string item_name, description;
  std::int64_t initial_bid = 0;  // Cents, as all prices.
  std::int64_t reserve = 0;
  std::int64_t expires_ms = 0;  // Since the epoch.
  std::int64_t seller = 0;
  std::int64_t category = 0;
  std::string extra;
};
struct Bid {
  std::int64_t auction = 0;
  std::int64_t bidder = 0;
  std::int64_t price = 0;
  std::string channel, url, extra;
};
struct Event {
  std::int64_t time_ms = 0;  // Since the epoch.
  std::variant<Person, Auction, Bid> what;
};

class Generator {
 public:
  explicit Generator(GeneratorOptions options);

  // The n-th event of the sequence, from 0.
  [[nodiscard]] Event event(std::uint64_t n) const;
  // Its number in order of time: n itself unless events come out of order.
  [[nodiscard]] std::uint64_t number_of(std::uint64_t n) const;
  // Event time of event `number`, milliseconds since the epoch.
  [[nodiscard]] std::int64_t time_ms(std::uint64_t number) const;

 private:
  class Draw;
  [[nodiscard]] Person person(std::uint64_t number, Draw& draw) const;
  [[nodiscard]] Auction auction(std::uint64_t number, Draw& draw) const;
  [[nodiscard]] Bid bid(std::uint64_t number, Draw& draw) const;
  [[nodiscard]] std::int64_t any_person(std::uint64_t number, Draw& draw) const;
  [[nodiscard]] std::int64_t any_auction(std::uint64_t number, Draw& draw) const;

  GeneratorOptions options_;
};

// Zero-based number of the latest person, or auction, that exists at event `number`; -1: none yet.
[[nodiscard]] std::int64_t latest_person(std::uint64_t number);
[[nodiscard]] std::int64_t latest_auction(std::uint64_t number);

// One line of JSON, as the streams of docs/examples/nexmark/streams.sql read it:
// {"event_type":2,"bid":{"auction":1000,...},"dateTime":1436918400000}; times in milliseconds since the
// epoch.
[[nodiscard]] std::string to_json(const Event& event);

}  // namespace kappa::tools::nexmark
