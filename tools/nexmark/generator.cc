// The order in which numbers are drawn is part of what a seed means: tests/tools/nexmark_test.cc holds the
// first events of one.
#include "tools/nexmark/generator.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>
#include <utility>

#include "tools/bench_events.h"

namespace kappa::tools::nexmark {
namespace {

using namespace std::string_view_literals;

constexpr std::uint64_t kShuffle = 953;   // A prime: n -> n * 953 mod G is a permutation of a block.
constexpr std::int64_t kPersonLead = 10;  // Ids that are used before their person or auction exists.
constexpr std::int64_t kAuctionLead = 10;
constexpr std::uint64_t kChannels = 10'000;

constexpr std::array kFirstNames{"Ada"sv,   "Blaise"sv, "Carl"sv, "Dorothy"sv, "Edsger"sv, "Frances"sv,
                                 "Grace"sv, "Hedy"sv,   "Ivan"sv, "Joan"sv,    "Kurt"sv};
constexpr std::array kLastNames{"Abel"sv,   "Bell"sv,  "Clarke"sv, "Dirac"sv, "Euler"sv,
                                "Fermat"sv, "Gauss"sv, "Hopper"sv, "Ito"sv};
constexpr std::array kCities{"Phoenix"sv, "Los Angeles"sv, "San Francisco"sv, "Boise"sv, "Portland"sv,
                             "Bend"sv,    "Redmond"sv,     "Seattle"sv,       "Kent"sv,  "Cheyenne"sv};
constexpr std::array kStates{"AZ"sv, "CA"sv, "ID"sv, "OR"sv, "WA"sv, "WY"sv};
constexpr std::array kHotChannels{"Google"sv, "Facebook"sv, "Baidu"sv, "Apple"sv};

// 10^(6 / 2), 10^(6 / 4), ...: square roots and products are the same on every machine, pow() is not.
const std::array<double, 24>& price_roots() {
  static const auto roots = [] {
    std::array<double, 24> made{};
    double root = 1e6;
    for (double& r : made) r = root = std::sqrt(root);
    return made;
  }();
  return roots;
}

std::uint32_t reverse_bits(std::uint32_t value) {
  std::uint32_t reversed = 0;
  for (int i = 0; i < 32; ++i) reversed = (reversed << 1) | ((value >> i) & 1);
  return reversed;
}

}  // namespace

// The random numbers of one event.
class Generator::Draw {
 public:
  explicit Draw(std::uint64_t seed) : random_(seed) {}

  std::int64_t below(std::int64_t bound) {
    return static_cast<std::int64_t>(random_.below(static_cast<std::uint64_t>(bound)));
  }
  bool one_in(std::uint64_t ratio) { return random_.below(ratio) == 0; }
  template <std::size_t N>
  std::string_view pick(const std::array<std::string_view, N>& from) {
    return from[random_.below(N)];
  }
  // Log-uniform between 1 and 10^6, in cents.
  std::int64_t price() {
    const std::uint64_t bits = random_.next();
    double value = 100;
    for (std::size_t i = 0; i < price_roots().size(); ++i) {
      if ((bits >> i & 1) != 0) value *= price_roots()[i];
    }
    return std::llround(value);
  }
  // 3 to max - 1 characters, of which one in 13 is `special`.
  std::string text(std::int64_t max, char special) {
    constexpr std::int64_t kLeast = 3;
    std::string made;
    for (std::int64_t left = kLeast + below(max - kLeast); left > 0; --left) {
      made += one_in(13) ? special : static_cast<char>('a' + below(26));
    }
    return made;
  }
  // So many letters that `present` bytes become about `wanted`.
  std::string fill(std::int64_t present, std::int64_t wanted) {
    wanted -= present;
    if (wanted <= 0) return {};
    const std::int64_t spread = (wanted + 2) / 5;
    std::int64_t length = wanted - spread + (spread > 0 ? below(2 * spread) : 0);
    std::string made;
    made.reserve(static_cast<std::size_t>(length));
    for (std::uint64_t bits = 0; length > 0; --length, bits /= 26) {
      if (bits < 1ULL << 32) bits = random_.next();
      made += static_cast<char>('a' + bits % 26);
    }
    return made;
  }
  std::string url() {
    std::string made = "https://www.nexmark.com/";
    for (int i = 0; i < 3; ++i) made += text(5, '_') + '/';
    return made + "item.htm?query=1";
  }

 private:
  Random random_;
};

Generator::Generator(GeneratorOptions options) : options_(options) {}

std::uint64_t Generator::number_of(std::uint64_t n) const {
  const std::uint64_t group = std::max<std::uint64_t>(1, options_.out_of_order_group);
  return n / group * group + n * kShuffle % group;
}

std::int64_t Generator::time_ms(std::uint64_t number) const {
  return options_.base_time_ms + static_cast<std::int64_t>(number * 1000 / options_.events_per_second);
}

std::int64_t latest_person(std::uint64_t number) {
  return static_cast<std::int64_t>(number / kTotalProportion);
}

std::int64_t latest_auction(std::uint64_t number) {
  const auto block = static_cast<std::int64_t>(number / kTotalProportion * kAuctionProportion);
  const std::uint64_t place = number % kTotalProportion;
  if (place < kPersonProportion) return block - 1;
  return block + static_cast<std::int64_t>(std::min(place - kPersonProportion, kAuctionProportion - 1));
}

// One of the latest people, or of the next few.
std::int64_t Generator::any_person(std::uint64_t number, Draw& draw) const {
  const std::int64_t people = latest_person(number) + 1;
  const std::int64_t active = std::min(people, options_.active_people);
  return people - active + draw.below(active + kPersonLead);
}

std::int64_t Generator::any_auction(std::uint64_t number, Draw& draw) const {
  const std::int64_t latest = std::max<std::int64_t>(0, latest_auction(number));
  const std::int64_t first = std::max<std::int64_t>(0, latest - options_.in_flight_auctions);
  return first + draw.below(latest - first + 1 + kAuctionLead);
}

Person Generator::person(std::uint64_t number, Draw& draw) const {
  Person made;
  made.id = latest_person(number) + kFirstPersonId;
  made.name = draw.pick(kFirstNames);
  made.name += ' ';
  made.name += draw.pick(kLastNames);
  made.email = draw.text(7, '_') + '@' + draw.text(5, '_') + ".com";
  for (int i = 0; i < 4; ++i) {
    std::string digits = std::to_string(10'000 + draw.below(10'000));
    digits[0] = ' ';
    made.credit_card += digits;
  }
  made.credit_card.erase(0, 1);
  made.city = draw.pick(kCities);
  made.state = draw.pick(kStates);
  const std::size_t text =
      made.name.size() + made.email.size() + made.credit_card.size() + made.city.size() + made.state.size();
  made.extra = draw.fill(8 + static_cast<std::int64_t>(text), options_.person_bytes);
  return made;
}

Auction Generator::auction(std::uint64_t number, Draw& draw) const {
  Auction made;
  made.id = latest_auction(number) + kFirstAuctionId;
  // The first of a block of people is the hot seller.
  made.seller = draw.one_in(options_.hot_sellers_ratio) ? any_person(number, draw)
                                                        : latest_person(number) / kHotBlock * kHotBlock;
  made.seller += kFirstPersonId;
  made.category = kFirstCategoryId + draw.below(kCategories);
  made.initial_bid = draw.price();
  made.reserve = made.initial_bid + draw.price();
  // As long as it takes for in_flight_auctions more auctions to open, on average.
  const std::uint64_t ahead =
      static_cast<std::uint64_t>(options_.in_flight_auctions) * kTotalProportion / kAuctionProportion;
  const std::int64_t now = time_ms(number);
  made.expires_ms = now + 1 + draw.below(std::max<std::int64_t>(1, 2 * (time_ms(number + ahead) - now)));
  made.item_name = draw.text(20, ' ');
  made.description = draw.text(100, ' ');
  made.extra =
      draw.fill(8 + static_cast<std::int64_t>(made.item_name.size() + made.description.size()) + 5 * 8,
                options_.auction_bytes);
  return made;
}

Bid Generator::bid(std::uint64_t number, Draw& draw) const {
  Bid made;
  made.auction = draw.one_in(options_.hot_auction_ratio)
                     ? any_auction(number, draw)
                     : std::max<std::int64_t>(0, latest_auction(number)) / kHotBlock * kHotBlock;
  made.auction += kFirstAuctionId;
  // The second of a block of people is the hot bidder, so that it is not the hot seller.
  made.bidder = draw.one_in(options_.hot_bidders_ratio) ? any_person(number, draw)
                                                        : latest_person(number) / kHotBlock * kHotBlock + 1;
  made.bidder += kFirstPersonId;
  made.price = draw.price();
  if (draw.one_in(2)) {
    // A channel always has the same url: drawn from its own numbers, not from this event's.
    const auto channel = static_cast<std::uint64_t>(draw.below(static_cast<std::int64_t>(kChannels)));
    made.channel = "channel-" + std::to_string(channel);
    Draw own(options_.seed ^ (channel + 1) << 40);
    made.url = own.url();
    if (!own.one_in(10)) {
      // Reversed bits look random; the sign bit goes, since readers take the number for a signed one.
      const std::uint32_t reversed = reverse_bits(static_cast<std::uint32_t>(channel));
      made.url += "&channel_id=" + std::to_string(reversed & 0x7fff'ffffU);
    }
  } else {
    const auto channel = static_cast<std::size_t>(draw.below(kHotChannels.size()));
    made.channel = kHotChannels[channel];
    Draw own(options_.seed ^ (kChannels + 1 + channel) << 40);
    made.url = own.url();
  }
  made.extra = draw.fill(4 * 8, options_.bid_bytes);
  return made;
}

Event Generator::event(std::uint64_t n) const {
  const std::uint64_t number = number_of(n);
  // Hashed, so that neighbours have nothing in common.
  Draw draw(Random(options_.seed * 0x9e37'79b9'7f4a'7c15ULL + number).next());
  Event made;
  made.time_ms = time_ms(number);
  const std::uint64_t place = number % kTotalProportion;
  if (place < kPersonProportion) {
    made.what = person(number, draw);
  } else if (place < kPersonProportion + kAuctionProportion) {
    made.what = auction(number, draw);
  } else {
    made.what = bid(number, draw);
  }
  return made;
}

}  // namespace kappa::tools::nexmark
