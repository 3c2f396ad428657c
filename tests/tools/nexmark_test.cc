// Goal: the Nexmark generator gives the same events for a seed on every machine, and they follow the
// published model. Method: the first events of a seed as text, and counts over many events within wide
// bounds.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "processor/vector/json_decode.h"
#include "tools/nexmark/generator.h"
#include "tools/nexmark/queries.h"

namespace kappa::tools::nexmark {
namespace {

TEST(NexmarkGenerator, FirstEventsOfASeed) {
  const Generator generator({.seed = 42});
  EXPECT_EQ(
      to_json(generator.event(0)),
      R"({"event_type":0,"person":{"id":1000,"name":"Edsger Gauss","emailAddress":"fumayq@rcq.com",)"
      R"("creditCard":"8631 6424 8189 2979","city":"Boise","state":"WY","extra":"zurzivighafmudvuztepotybsfgeqavqyf)"
      R"(erspcqgtsjoxchyggsvbiviclfgtvffdqmxxbpbagewvlwsocfyjctoqzpbyiuzsypulwlbewdgxxfbkpzt"},)"
      R"("dateTime":1436918400000})");
  EXPECT_EQ(
      to_json(generator.event(1)),
      R"({"event_type":1,"auction":{"id":1000,"itemName":"fppuwveymiypgxvaret","description":"eilzlnipv bv banjsywza)"
      R"(vxda tlenycnxjouijo navbuxribmgmfwkszpzqrzercgf iqnfhy","initialBid":193,"reserve":5315890,)"
      R"("expires":1436918400133,"seller":1000,"category":12,"extra":"yjczehgunectevceeldwwtbrjkpkwaqcvoghtormyrppd)"
      R"(xwxevlpwwquextwroalepsnvhfdedgnovtcfoppisggbqcdfsrirujnpmyiwsrqmhqqrxtrfsnzprqwleibzlquwezuxrinkbhgmgoggpl)"
      R"(dkqvfhievrcalhncwnflsresyxsqgrreyehgchkiyjqkyfwqwpaprwfjzmfkigukmzyfypivgsogbjpwmthdopvaesksvvihhcmwvavshs)"
      R"(ggvvkgkekfgobyccgzgjdcdkqrxhokecnhqxymvlmwvvpwvmaudrnccnqdpmupyfewlpjirnejphnypjmessctqvzhkmdcxaxxkqooeuxu)"
      R"(etltikhinklihdeqppznjeujfviyiilucwchiizoglojvarmnisrixkn"},"dateTime":1436918400000})");
  EXPECT_EQ(
      to_json(generator.event(4)),
      R"({"event_type":2,"bid":{"auction":1000,"bidder":1001,"price":76079232,"channel":"channel-5058",)"
      R"("url":"https://www.nexmark.com/_iqc/sjlt/gcan/item.htm?query=1&channel_id=1137180672",)"
      R"("extra":"klogntiljupgxwzjydmjshnxkbnifgnabmngypserszheoxmtvnhix"},"dateTime":1436918400000})");
  EXPECT_EQ(to_json(generator.event(1'000'004)),
            R"({"event_type":2,"bid":{"auction":61000,"bidder":21001,"price":17959,"channel":"channel-7452",)"
            R"("url":"https://www.nexmark.com/pf_v/ecd/dok/item.htm?query=1&channel_id=951582720",)"
            R"("extra":"ydrytonqrvxnigcfepfviblbmuedlciavpmnblfprriiictcazrqkshnpbdmlpipvykgdbpuykpjt"},)"
            R"("dateTime":1436918500000})");
  EXPECT_NE(to_json(Generator({.seed = 43}).event(0)), to_json(generator.event(0)));
}

TEST(NexmarkGenerator, EventsAreSoundJsonInTheOrderOfTheModel) {
  const Generator generator({});
  std::int64_t people = 0, auctions = 0;
  for (std::uint64_t n = 0; n < 5'000; ++n) {
    const Event event = generator.event(n);
    ASSERT_TRUE(processor::validate_json_event(to_json(event)));
    ASSERT_EQ(event.time_ms, 1'436'918'400'000 + static_cast<std::int64_t>(n / 10));
    if (n % 50 == 0) {
      ASSERT_EQ(std::get<Person>(event.what).id, 1000 + people++);
    } else if (n % 50 <= 3) {
      ASSERT_EQ(std::get<Auction>(event.what).id, 1000 + auctions++);
    } else {
      ASSERT_TRUE(std::holds_alternative<Bid>(event.what));
    }
  }
}

TEST(NexmarkGenerator, OutOfOrderIsAShuffleOfEachBlock) {
  const Generator ordered({});
  const Generator shuffled({.out_of_order_group = 100});
  for (std::uint64_t block = 0; block < 1'000; block += 100) {
    std::multiset<std::string> a, b;
    std::size_t moved = 0;
    for (std::uint64_t n = block; n < block + 100; ++n) {
      a.insert(to_json(ordered.event(n)));
      b.insert(to_json(shuffled.event(n)));
      moved += shuffled.number_of(n) != n ? 1 : 0;
    }
    EXPECT_EQ(a, b);
    EXPECT_GT(moved, 90U);
  }
}

TEST(NexmarkGenerator, HotOnesPricesAndSizesAreAsPublished) {
  const Generator generator({.seed = 7});
  constexpr std::uint64_t kEvents = 200'000;
  double bids = 0, auctions = 0, people = 0;
  double hot_auctions = 0, hot_bidders = 0, hot_sellers = 0, hot_channels = 0, cheap = 0, channel_ids = 0;
  double bid_bytes = 0, auction_bytes = 0, person_bytes = 0, open_ms = 0;
  std::map<std::int64_t, double> categories;
  std::map<std::string, std::string> urls;
  std::int64_t price_min = INT64_MAX, price_max = 0;
  for (std::uint64_t n = 0; n < kEvents; ++n) {
    const Event event = generator.event(n);
    const std::int64_t hot_person = 1000 + latest_person(n) / 100 * 100;
    if (const auto* bid = std::get_if<Bid>(&event.what)) {
      ++bids;
      hot_auctions += bid->auction == 1000 + latest_auction(n) / 100 * 100 ? 1 : 0;
      hot_bidders += bid->bidder == hot_person + 1 ? 1 : 0;
      ASSERT_GE(bid->auction, std::max<std::int64_t>(1000, 1000 + latest_auction(n) - 200));
      ASSERT_LE(bid->auction, 1000 + latest_auction(n) + 10);
      ASSERT_LE(bid->bidder, 1000 + latest_person(n) + 10);
      price_min = std::min(price_min, bid->price);
      price_max = std::max(price_max, bid->price);
      cheap += bid->price < 100'000 ? 1 : 0;
      const bool other = bid->channel.starts_with("channel-");
      hot_channels += other ? 0 : 1;
      channel_ids += other && bid->url.contains("&channel_id=") ? 1 : 0;
      ASSERT_EQ(urls.try_emplace(bid->channel, bid->url).first->second, bid->url);
      bid_bytes += 32 + static_cast<double>(bid->extra.size());
    } else if (const auto* auction = std::get_if<Auction>(&event.what)) {
      ++auctions;
      hot_sellers += auction->seller == hot_person ? 1 : 0;
      ++categories[auction->category];
      ASSERT_GE(auction->reserve, auction->initial_bid + 100);
      open_ms += static_cast<double>(auction->expires_ms - event.time_ms);
      auction_bytes += 48 + static_cast<double>(auction->item_name.size() + auction->description.size() +
                                                auction->extra.size());
    } else {
      ++people;
      const Person& person = std::get<Person>(event.what);
      person_bytes +=
          8 + static_cast<double>(person.name.size() + person.email.size() + person.credit_card.size() +
                                  person.city.size() + person.state.size() + person.extra.size());
    }
  }
  EXPECT_EQ(people, kEvents * 0.02);
  EXPECT_EQ(auctions, kEvents * 0.06);
  EXPECT_EQ(bids, kEvents * 0.92);
  // The others hit the hot one now and then.
  EXPECT_NEAR(hot_auctions / bids, 0.5, 0.02);
  EXPECT_NEAR(hot_bidders / bids, 0.75, 0.02);
  EXPECT_NEAR(hot_sellers / auctions, 0.75, 0.02);
  EXPECT_NEAR(hot_channels / bids, 0.5, 0.02);
  EXPECT_NEAR(channel_ids / (bids - hot_channels), 0.9, 0.02);
  EXPECT_NEAR(cheap / bids, 0.5, 0.02);  // Half of 10^2 .. 10^8, by logarithm.
  EXPECT_LT(price_min, 110);
  EXPECT_GE(price_min, 100);
  EXPECT_GT(price_max, 90'000'000);
  EXPECT_LE(price_max, 100'000'000);
  EXPECT_EQ(categories.size(), 5U);
  for (const auto& [category, count] : categories) EXPECT_NEAR(count / auctions, 0.2, 0.02) << category;
  EXPECT_NEAR(open_ms / auctions, 166.6, 5);  // 1,666 events.
  EXPECT_NEAR(person_bytes / people, 200, 5);
  EXPECT_NEAR(auction_bytes / auctions, 500, 5);
  EXPECT_NEAR(bid_bytes / bids, 100, 2);
}

TEST(NexmarkQueries, AreThoseThatAreViews) {
  std::string names;
  for (const Query& query : queries()) {
    names += std::string(query.name) + " ";
    EXPECT_TRUE(query.sql.contains("CREATE MATERIALIZED VIEW " + std::string(query.name) + " AS"))
        << query.name;
  }
  EXPECT_EQ(names, "q0 q1 q2 q3 q4 q5 q6 q7 q8 q9 q11 q14 q15 q16 q17 q18 q19 q20 q21 q22 ");
  EXPECT_TRUE(streams_sql().contains("CREATE STREAM bid"));
}

}  // namespace
}  // namespace kappa::tools::nexmark
