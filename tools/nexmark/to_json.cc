// The text of an event. Members come in the published order; no text in them needs escaping.
#include <type_traits>

#include "tools/nexmark/generator.h"

namespace kappa::tools::nexmark {
namespace {

class ObjectText {
 public:
  explicit ObjectText(std::string& out) : out_(out) {}
  void add(const char* name, std::int64_t value) {
    begin(name);
    out_ += std::to_string(value);
  }
  void add(const char* name, const std::string& value) {
    begin(name);
    out_ += '"';
    out_ += value;
    out_ += '"';
  }

 private:
  void begin(const char* name) {
    out_ += first_ ? "{\"" : ",\"";
    first_ = false;
    out_ += name;
    out_ += "\":";
  }
  std::string& out_;
  bool first_ = true;
};

void add_members(const Person& person, ObjectText& text) {
  text.add("id", person.id);
  text.add("name", person.name);
  text.add("emailAddress", person.email);
  text.add("creditCard", person.credit_card);
  text.add("city", person.city);
  text.add("state", person.state);
  text.add("extra", person.extra);
}

void add_members(const Auction& auction, ObjectText& text) {
  text.add("id", auction.id);
  text.add("itemName", auction.item_name);
  text.add("description", auction.description);
  text.add("initialBid", auction.initial_bid);
  text.add("reserve", auction.reserve);
  text.add("expires", auction.expires_ms);
  text.add("seller", auction.seller);
  text.add("category", auction.category);
  text.add("extra", auction.extra);
}

void add_members(const Bid& bid, ObjectText& text) {
  text.add("auction", bid.auction);
  text.add("bidder", bid.bidder);
  text.add("price", bid.price);
  text.add("channel", bid.channel);
  text.add("url", bid.url);
  text.add("extra", bid.extra);
}

}  // namespace

std::string to_json(const Event& event) {
  static constexpr const char* kNames[] = {"person", "auction", "bid"};
  const std::size_t type = event.what.index();
  std::string out;
  out.reserve(640);
  out += "{\"event_type\":" + std::to_string(type) + ",\"" + kNames[type] + "\":";
  ObjectText members(out);
  std::visit([&](const auto& what) { add_members(what, members); }, event.what);
  out += "},\"dateTime\":" + std::to_string(event.time_ms) + '}';
  return out;
}

}  // namespace kappa::tools::nexmark
