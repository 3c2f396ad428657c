// Goal: the short cut of decoding (json_shape.h) takes only what the walk takes, and finds the same values; bytes behind
// an event change nothing; it is used for the events that it is made for, and learns no more than its bound.
// Method: the instruction sets' masks against a byte at a time; random streams of events (members that come and go, in
// several orders, nested, repeated, with white space, values of every kind), half of them damaged, through a decoder
// that learns and one that never does, in buffers of exactly the promised size, with what is behind the event chosen to
// mislead; the matcher of each instruction set against JsonWalk. KAPPA_TEST_SEED repeats a run.
#include "processor/vector/json_shape.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <string>

#include "processor/vector/json_decode.h"
#include "processor/vector/json_walk.h"
#include "tests/support/seed.h"

namespace kappa::processor {
namespace {

using Step = StreamColumn::Step;
using Random = std::mt19937_64;

Random seeded() {
  return Random(test::new_seed());
}

template <class List>
const auto& pick(Random& random, const List& list) {
  return list[random() % std::size(list)];
}

// --- masks ---

StringMask slow_string_mask(const char* at, std::size_t count) {
  StringMask mask;
  for (std::size_t i = 0; i < count; ++i) {
    const auto c = static_cast<unsigned char>(at[i]);
    if (c == '"') mask.quotes |= std::uint64_t{1} << i;
    if (c < 0x20 || c >= 0x80 || c == '\\') mask.special |= std::uint64_t{1} << i;
  }
  return mask;
}

template <class Block>
void check_masks() {
  Random random = seeded();
  const std::string likely = "\"\\ \x1f\x20\x7f\x80\xff/09:;\x2f!#[]\xdc\xa2";
  for (int round = 0; round < 20'000; ++round) {
    const bool any = random() % 2 == 0;
    char a[64], b[32];
    for (char& c : a) c = any ? static_cast<char>(random()) : pick(random, likely);
    for (std::size_t i = 0; i < 32; ++i) b[i] = random() % 4 == 0 ? static_cast<char>(random()) : a[i];
    const StringMask found = Block::string_mask(a), expected = slow_string_mask(a, Block::kBytes);
    ASSERT_EQ(found.quotes, expected.quotes);
    ASSERT_EQ(found.special, expected.special);
    std::uint64_t digits = 0, equal = 0;
    for (std::size_t i = 0; i < 32; ++i) {
      if (a[i] >= '0' && a[i] <= '9') digits |= std::uint64_t{1} << i;
      if (a[i] == b[i]) equal |= std::uint64_t{1} << i;
    }
    ASSERT_EQ(Block::digit_mask(a), digits);
    ASSERT_EQ(Block::equal_32(a, b), equal);
    std::uint64_t mask = random() & random();
    if (Block::kBytes < 64) mask &= (std::uint64_t{1} << Block::kBytes % 64) - 1;
    if (round % 16 == 0) mask = Block::kBytes < 64 ? UINT32_MAX : UINT64_MAX;
    const std::size_t base = random() % 1000 * 64;
    std::vector<std::uint16_t> positions(64 + kPositionsMore), slow;
    positions.resize(static_cast<std::size_t>(Block::positions(mask, base, positions.data()) - positions.data()));
    for (std::size_t i = 0; i < 64; ++i)
      if ((mask >> i & 1) != 0) slow.push_back(static_cast<std::uint16_t>(base + i));
    ASSERT_EQ(positions, slow);
  }
}

template <class Block>
void check_numbers() {
  Random random = seeded();
  for (int round = 0; round < 100'000; ++round) {
    std::string text;
    for (std::size_t n = 1 + random() % (round % 8 == 0 ? 45 : 8); n > 0; --n)
      text += pick(random, std::string_view("00123456789-+.eE,} "));
    std::string padded = text + "12345.6e7,}" + std::string(64, '9');
    const NumberShape expected = scan_number(text);
    const char* const found = plain_number_end<Block>(padded.data(), padded.data() + text.size());
    if (found == nullptr) continue;
    ASSERT_EQ(static_cast<std::size_t>(found - padded.data()), expected.length) << text;
  }
  // What it is made for it takes.
  for (const std::string_view text : {"0,", "-0}", "7,", "1700000000123,", "-12.5 ", "0.25]", "1e5,", "2.5E-3,", "1E+22,"}) {
    const std::string padded = std::string(text) + std::string(64, ' ');
    const char* const found = plain_number_end<Block>(padded.data(), padded.data() + text.size());
    ASSERT_NE(found, nullptr) << text;
    ASSERT_EQ(static_cast<std::size_t>(found - padded.data()), text.size() - 1) << text;
  }
}

template <class Block>
void check_block() {
  check_masks<Block>();
  check_numbers<Block>();
}
// Each that this machine's build has.
template <class Body>
void for_each_block(Body&& body) {
  body.template operator()<PortableBlock>();
#if defined(__SSE2__)
  body.template operator()<Sse2Block>();
#endif
#if defined(__AVX2__)
  body.template operator()<Avx2Block>();
#endif
  body.template operator()<ByteBlock>();
}

TEST(JsonShape, EveryInstructionSetHasTheSameMasksAndNumbers) {
  for_each_block([]<class Block>() { check_block<Block>(); });
}

// --- random events ---

const std::vector<StreamColumn>& columns() {
  static const std::vector<StreamColumn> all = [] {
    const Step a{"a", 0}, b{"b", 0}, c{"c", 0}, first{std::nullopt, 0}, second{std::nullopt, 1};
    std::vector<StreamColumn> made;
    for (const Type type : {kBigintType, kTextType, kDoubleType, kBooleanType, kTimestampType, kIntervalType, kJsonType,
                            Type{TypeId::kNumeric, 12, 3}}) {
      made.push_back({"", type, {a}});
    }
    made.push_back({"", kTextType, {b}});
    made.push_back({"", kBigintType, {c, a}});
    made.push_back({"", kTextType, {c, b}});
    made.push_back({"", kBigintType, {Step{"list", 0}, first}});
    made.push_back({"", kDoubleType, {Step{"list", 0}, second}});
    made.push_back({"", kBigintType, {Step{"a name that is longer than one piece of thirty-two bytes", 0}}});
    made.push_back({"", kTextType, {Step{"", 0}}});
    for (std::size_t i = 0; i < made.size(); ++i) made[i].name = "c" + std::to_string(i);
    return made;
  }();
  return all;
}

std::string random_number(Random& random) {
  static const std::vector<std::string> kOdd = {
      "0", "-0", "1e400", "1e-400", "9223372036854775807", "-9223372036854775808", "9223372036854775808", "0e99999",
      "1.0", "12.3456", "123456789012345678901234567890", "-1234567890123456789012345678901234567890", "1E+2", "-2.5e-3",
      "99999999.9999", "1700000000000", "9223372036854775"};
  if (random() % 2 == 0) return pick(random, kOdd);
  std::string digits = std::to_string(static_cast<std::int64_t>(random()) >> random() % 64);
  if (random() % 4 == 0) digits += "." + std::to_string(random() % 1000);
  return digits;
}

std::string random_string(Random& random) {
  static const std::vector<std::string> kOdd = {
      "", "u1", "2024-02-29T23:59:59.5Z", "5 minutes", "soon", "\\u00e9\\n", "Z\xc3\xbcrich", "\\\"", "12", "null", "{\"a\":1}",
      "\\ud800", "a\tb", "\xff"};
  static const std::size_t kUsual = 5;
  std::string inside;
  if (random() % 4 == 0) {
    inside = kOdd[random() % (random() % 6 == 0 ? kOdd.size() : kUsual)];
    if (inside == "{\"a\":1}") inside = "{'a':1}";
  } else {
    for (std::size_t n = random() % (random() % 8 == 0 ? 150 : 20); n > 0; --n)
      inside += pick(random, std::string_view("abcXYZ 019,:{}[]/-_.'\x7f"));
  }
  return "\"" + inside + "\"";
}

std::string random_value(Random& random, unsigned kind, unsigned depth) {
  switch (random() % 16 == 0 ? static_cast<unsigned>(random() % 6) : kind) {
    case 0:
    case 1: return random_number(random);
    case 2:
    case 3: return random_string(random);
    case 4: return pick(random, std::vector<std::string>{"true", "false", "null"});
    default: {
      if (depth == 0) return "{}";
      std::string text = "[";
      for (std::size_t i = 0, n = random() % 4; i < n; ++i)
        text += (i ? "," : "") + random_value(random, static_cast<unsigned>(random() % 5), depth - 1);
      return text + "]";
    }
  }
}

// Members of a stream of events; each event has most of them.
struct Template {
  struct Member {
    std::string name;
    unsigned kind;
  };
  std::vector<Member> members;
  std::string colon, comma, before, behind;
  std::uint64_t leaves_out = 0;  // One in so many members; 0: none.

  explicit Template(Random& random) {
    static const std::vector<std::string> kNames = {
        "a", "b", "c", "list", "a name that is longer than one piece of thirty-two bytes", "", "other", "user", "x\\u0061",
        "\\u0061", "na\xc3\xafve", "a name that nobody asks for and that is longer than sixty-four bytes, as some names are"};
    for (std::size_t n = 1 + random() % 8; n > 0; --n)
      members.push_back({kNames[random() % (random() % 8 == 0 ? kNames.size() : 8)], static_cast<unsigned>(random() % 5)});
    if (random() % 4 != 0) {  // Without repetitions.
      std::ranges::sort(members, {}, &Member::name);
      members.erase(std::ranges::unique(members, {}, &Member::name).begin(), members.end());
      std::ranges::shuffle(members, random);
    }
    const auto space = [&] { return std::string(random() % 4 == 0 ? pick(random, std::vector<std::string>{" ", "  "}) : ""); };
    colon = space() + ":" + space();
    comma = space() + "," + space();
    before = space() + "{" + space();
    behind = space() + "}" + space();
    leaves_out = random() % 3 == 0 ? 5 : 0;
  }

  std::string event(Random& random) const {
    std::string text = before;
    bool any = false;
    for (const Member& member : members) {
      if (leaves_out != 0 && random() % leaves_out == 0) continue;
      text += (any ? comma : "") + "\"" + member.name + "\"" + colon;
      if (member.name == "c") {
        text += "{\"a\"" + colon + random_value(random, 0, 0) + comma + "\"b\"" + colon + random_value(random, 2, 0) + "}";
      } else if (member.name == "list") {
        text += "[" + random_value(random, 0, 0) + comma + random_value(random, 1, 0) + "]";
      } else {
        text += random_value(random, member.kind, 1);
      }
      any = true;
    }
    return text + behind;
  }
};

void damage(Random& random, std::string& text) {
  static const std::string kBytes = "{}[]:,\"\\ \t\n0123456789-+.eEtrufalsn/bx\x01\x7f\x80\xc3";
  for (std::size_t edits = 1 + random() % 2; edits-- > 0 && !text.empty();) {
    const std::size_t at = random() % text.size();
    switch (random() % 6) {
      case 0: text[at] = pick(random, kBytes); break;
      case 1: text.insert(at, 1, pick(random, kBytes)); break;
      case 2: text.erase(at, 1 + random() % 3); break;
      case 3: text.resize(at); break;
      case 4: text += pick(random, kBytes); break;
      default: text.insert(at, text.substr(random() % text.size(), random() % 12)); break;
    }
  }
}

// The event and kReadableAfter bytes, no more, in a block of their own. What is behind may complete the event.
std::vector<char> with_padding(Random& random, const std::string& event, const std::string& whole) {
  std::vector<char> buffer(event.begin(), event.end());
  std::string behind = event.size() < whole.size() && random() % 2 == 0 ? whole.substr(event.size()) : std::string();
  while (behind.size() < JsonShapes::kReadableAfter) behind += pick(random, std::string_view("\"\"}},:0123 a\\\n\xc3"));
  buffer.insert(buffer.end(), behind.begin(), behind.begin() + JsonShapes::kReadableAfter);
  return buffer;
}

struct Outcome {
  bool valid = false;
  std::vector<Value> values;
  std::vector<bool> failed;
  std::size_t failures = 0;
  std::vector<std::uint64_t> counted;
  bool operator==(const Outcome&) const = default;
};
Outcome outcome(JsonDecoder& decoder, std::string_view event, bool padded) {
  static std::vector<Vector> out(columns().size());
  Arena arena;
  for (std::size_t i = 0; i < out.size(); ++i) out[i].reset(columns()[i].type, 3);
  Outcome result;
  result.valid = decoder.decode(event, 1, out, arena, padded);
  for (std::size_t i = 0; i < out.size(); ++i) {
    result.values.push_back(out[i].value(1));
    result.failed.push_back(decoder.event_failed(i));
    EXPECT_TRUE(out[i].value(0).is_null() && out[i].value(2).is_null());
  }
  result.failures = decoder.event_failures();
  result.counted = decoder.conversion_failures();
  return result;
}

TEST(JsonShape, DecodingWithShapesEqualsDecodingWithout) {
  Random random = seeded();
  std::size_t valid = 0, invalid = 0;
  for (int stream = 0; stream < 400; ++stream) {
    const std::vector<Template> templates = {Template(random), Template(random)};
    JsonDecoder learning(columns()), walking(columns());
    for (int i = 0; i < 250; ++i) {
      const std::string whole = templates[random() % 8 == 0].event(random);
      std::string event = whole;
      if (random() % 3 == 0) damage(random, event);
      const std::vector<char> buffer = with_padding(random, event, whole);
      const std::string_view text(buffer.data(), event.size());
      const Outcome expected = outcome(walking, text, false);
      ASSERT_EQ(outcome(learning, text, true), expected) << event;
      ++(expected.valid ? valid : invalid);
    }
  }
  EXPECT_GT(valid, 20'000U);
  EXPECT_GT(invalid, 10'000U);
}

// What the walk finds at nodes that columns want, with the kinds of JsonShapes.
struct Recorder {
  using Kind = JsonShapes::Kind;
  std::map<std::uint32_t, std::pair<Kind, std::string>> found;
  const PathTrie& trie;
  void note(std::uint32_t node, Kind kind, std::string_view text) {
    if (!trie.node(node).columns.empty()) found[node] = {kind, std::string(text)};
  }
  void string(std::uint32_t node, std::string_view, std::string_view inside, bool) { note(node, Kind::kString, inside); }
  void number(std::uint32_t node, std::string_view token, bool) { note(node, Kind::kNumber, token); }
  void literal(std::uint32_t node, std::string_view token) { note(node, Kind::kLiteral, token); }
  void open(std::uint32_t) {}
  void close(std::uint32_t, std::string_view) {}
};

TEST(JsonShape, EveryInstructionSetMatchesOnlyWhatTheWalkTakesWithItsValues) {
  Random random = seeded();
  const PathTrie trie(columns());
  std::size_t events = 0, sound = 0;
  std::map<const char*, std::size_t> matched;
  for (int stream = 0; stream < 300; ++stream) {
    const std::vector<Template> templates = {Template(random), Template(random)};
    JsonShapes shapes(trie);
    JsonIndex index;
    auto walk = std::make_unique<JsonWalk<Recorder>>();
    for (int i = 0; i < 200; ++i, ++events) {
      const std::string whole = templates[random() % 8 == 0].event(random);
      std::string event = whole;
      if (random() % 4 == 0) damage(random, event);
      const std::vector<char> buffer = with_padding(random, event, whole);
      const std::string_view text(buffer.data(), event.size());
      Recorder expected{{}, trie};
      JsonVerdict verdict = index.build(text);
      if (verdict.number == 0) verdict = walk->run(text, index, &trie, expected);
      sound += verdict.number == 0;
      std::size_t said_yes = 0, asked = 0;
      const auto check = [&]<class Block>() {
        ++asked;
        if (!shapes.match<Block>(text)) return;
        ++said_yes;
        ++matched[__PRETTY_FUNCTION__];
        EXPECT_EQ(verdict.number, 0) << event;
        std::map<std::uint32_t, std::pair<JsonShapes::Kind, std::string>> found;
        for (const JsonShapes::Found& one : shapes.found()) found[one.node] = {one.kind, std::string(one.text)};
        EXPECT_EQ(found, expected.found) << event;
        EXPECT_EQ(found.size(), shapes.found().size());
      };
      for_each_block(check);
      ASSERT_TRUE(said_yes == 0 || said_yes == asked) << event;
      if (verdict.number == 0 && said_yes == 0) shapes.learn(text, index);
      if (HasFailure()) return;
    }
  }
  for (const auto& [block, count] : matched) EXPECT_GT(count, sound / 4) << block;
}

// --- what it is for ---

std::string usual_event(int i, const std::string& extra = "") {
  return "{\"ts\":" + std::to_string(1'700'000'000'000 + i) + ",\"user\":\"u" + std::to_string(i % 77) + "\"" + extra +
         ",\"bytes\":" + std::to_string(i * 37 % 60'000) + ",\"ok\":" + (i % 3 ? "true" : "null") + "}";
}

class Learner {
 public:
  Learner() : trie_({{"b", kBigintType, {{"bytes", 0}}}, {"u", kTextType, {{"user", 0}}}}), shapes_(trie_) {}
  // Whether the event was matched; if it was tried and was not, it is learned.
  bool take(const std::string& event) {
    const std::string padded = event + std::string(JsonShapes::kReadableAfter, ' ');
    const std::string_view text = std::string_view(padded).substr(0, event.size());
    const bool tried = shapes_.attempt();
    tries_ += tried;
    if (tried && shapes_.match(text)) return true;
    NullSink sink;
    EXPECT_EQ(index_.build(text).number, 0);
    EXPECT_EQ(walk_.run(text, index_, &trie_, sink).number, 0) << event;
    if (tried) shapes_.learn(text, index_);
    return false;
  }
  std::size_t tries() const { return tries_; }
  const JsonShapes& shapes() const { return shapes_; }

 private:
  const PathTrie trie_;
  JsonShapes shapes_;
  JsonIndex index_;
  JsonWalk<NullSink> walk_;
  std::size_t tries_ = 0;
};

TEST(JsonShape, EventsLikeAnEarlierOneAreMatched) {
  Learner learner;
  std::size_t missed = 0;
  for (int i = 0; i < 20'000; ++i) missed += !learner.take(usual_event(i));
  EXPECT_EQ(missed, 1U);
  EXPECT_EQ(learner.shapes().found().size(), 2U);
}

TEST(JsonShape, AMemberThatSomeEventsLackCostsABranch) {
  Learner learner;
  std::size_t missed = 0;
  for (int i = 0; i < 20'000; ++i)
    missed += !learner.take(usual_event(i, i % 5 == 0 ? R"(,"ref":"x")" : i % 7 == 0 ? R"(,"geo":{"at":[1.5,-2]})" : ""));
  EXPECT_EQ(missed, 3U);
}

TEST(JsonShape, EventsWithoutACommonShapeAreSoonLeftAlone) {
  Random random = seeded();
  Learner learner;
  for (int i = 0; i < 100'000; ++i) {
    learner.take(usual_event(i, ",\"" + std::to_string(random()) + "\":" + std::to_string(i)));
    ASSERT_LE(learner.shapes().nodes(), JsonShapes::kNodesMax);
  }
  EXPECT_LT(learner.tries(), 10'000U);
  // When they have one again, that is found.
  std::size_t matched = 0;
  for (int i = 0; i < 200'000; ++i) matched += learner.take(usual_event(i));
  EXPECT_GT(matched, 100'000U);
}

}  // namespace
}  // namespace kappa::processor
