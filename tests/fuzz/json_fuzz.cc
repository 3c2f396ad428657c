// JSON events from anybody. Promises: an event is valid or not whatever columns are asked for, and each
// column's value and count of conversion failures do not depend on the others; validity is that of
// simdjson's DOM (Langdale, Lemire, 2019) but for its known differences: it refuses numbers outside its
// machine types and takes lone surrogates; values are the DOM's; text functions stay inside any text.
//
// Input: a 32-bit mask of columns, then the event.
#include <simdjson.h>

#include "processor/vector/json_decode.h"
#include "processor/vector/json_text.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/targets.h"

namespace kappa::fuzz {
namespace {

using namespace processor;
namespace dom = simdjson::dom;

constexpr std::size_t kInputBytesMax = 4096;

// Columns of every type at some paths; short names, so that the fuzzer finds them.
const std::vector<StreamColumn>& all_columns() {
  static const std::vector<StreamColumn> columns = [] {
    using Step = StreamColumn::Step;
    const Step a{"a", 0}, b{"b", 0}, first{std::nullopt, 0}, second{std::nullopt, 1};
    const std::vector<std::vector<Step>> paths = {{a},        {b},           {a, b},
                                                  {a, first}, {a, first, b}, {a, a, second}};
    std::vector<StreamColumn> made;
    for (const std::vector<Step>& path : paths) {
      for (const Type type : {kJsonType, kTextType, kBigintType, kDoubleType, kBooleanType}) {
        if (made.size() < 25) made.push_back({"", type, path});
      }
    }
    made.push_back({"", Type{TypeId::kNumeric, 12, 3}, {a}});
    made.push_back({"", kHugeintType, {b}});
    made.push_back({"", kTimestampType, {a}});
    made.push_back({"", kIntervalType, {b}});
    made.push_back({"", kTextType, {Step{"", 0}}});
    made.push_back({"", kJsonType, {a, a, second}});
    made.push_back({"", kJsonType, {a, b, a, b}});
    for (std::size_t i = 0; i < made.size(); ++i) made[i].name = "c" + std::to_string(i);
    return made;
  }();
  return columns;
}

// One event through a decoder for the columns of the mask.
struct Decoded {
  bool valid = false;
  std::vector<std::pair<Value, std::uint64_t>> columns;  // Of all_columns(); those not asked for: NULL, 0.
};
Decoded decode(std::string_view event, std::uint32_t mask) {
  std::vector<StreamColumn> wanted;
  for (std::size_t i = 0; i < all_columns().size(); ++i)
    if ((mask >> i & 1) != 0) wanted.push_back(all_columns()[i]);
  JsonDecoder decoder(wanted);
  // start() makes room for thousands of events; one is enough.
  std::vector<Vector> vectors(wanted.size());
  for (std::size_t i = 0; i < wanted.size(); ++i) vectors[i].reset(wanted[i].type, 1);
  Arena arena;
  Decoded out;
  out.valid = decoder.decode(event, 0, vectors, arena, false);
  out.columns.resize(all_columns().size());
  for (std::size_t i = 0, at = 0; i < out.columns.size(); ++i) {
    if ((mask >> i & 1) == 0) continue;
    out.columns[i] = {vectors[at].value(0), decoder.conversion_failures()[at]};
    KAPPA_CHECK(out.valid || (out.columns[i].first.is_null() && out.columns[i].second == 0),
                "poison leaves a value");
    ++at;
  }
  return out;
}

// The event through a decoder that has seen `before`, with bytes behind both that may be read and that go on as the
// event did, so that one that was cut off looks whole. Checks that nothing differs from `expected`, which is of all columns.
void after_another(std::string_view before, std::string_view event, const Decoded& expected) {
  const auto padded = [](std::string_view text) {
    std::vector<char> bytes(text.begin(), text.end());
    for (std::size_t i = 0; i < 64; ++i) bytes.push_back(text.empty() ? '"' : text[text.size() - 1 - i % text.size()]);
    return bytes;
  };
  std::vector<Vector> vectors(all_columns().size());
  for (std::size_t i = 0; i < vectors.size(); ++i) vectors[i].reset(all_columns()[i].type, 3);
  Arena arena;
  JsonDecoder decoder(all_columns());
  const std::vector<char> first = padded(before), second = padded(event);
  static_cast<void>(decoder.decode({first.data(), before.size()}, 0, vectors, arena, true));
  const std::vector<std::uint64_t> counted = decoder.conversion_failures();
  const bool valid = decoder.decode({second.data(), event.size()}, 1, vectors, arena, true);
  KAPPA_CHECK(valid == expected.valid, "validity depends on the event before");
  for (std::size_t i = 0; i < vectors.size(); ++i) {
    KAPPA_CHECK(vectors[i].value(1) == expected.columns[i].first, "a value depends on the event before");
    KAPPA_CHECK(decoder.conversion_failures()[i] - counted[i] == expected.columns[i].second,
                "a count of failures depends on the event before");
  }
}

// The last member of a name, as our decoder takes it.
std::optional<dom::element> last_member(dom::element object, std::string_view name) {
  std::optional<dom::element> last;
  dom::object members;
  if (object.get(members) != simdjson::SUCCESS) return last;
  for (const dom::key_value_pair member : members)
    if (member.key == name) last = member.value;
  return last;
}

std::optional<dom::element> at_path(dom::element root, const std::vector<StreamColumn::Step>& path) {
  std::optional<dom::element> here = root;
  for (const StreamColumn::Step& step : path) {
    if (step.member) {
      here = last_member(*here, *step.member);
    } else {
      dom::array elements;
      if (here->get(elements) != simdjson::SUCCESS) return std::nullopt;
      std::optional<dom::element> found;
      std::uint32_t index = 0;
      for (const dom::element element : elements)
        if (index++ == step.index) found = element;
      here = found;
    }
    if (!here) return std::nullopt;
  }
  return here;
}

void check_value(const StreamColumn& column, const Value& value, dom::element root) {
  const std::optional<dom::element> expected = at_path(root, column.path);
  if (value.is_null()) {
    if (!expected || column.type.id == TypeId::kNumeric || column.type.id == TypeId::kTimestamp ||
        column.type.id == TypeId::kInterval || expected->is_null())
      return;
    KAPPA_CHECK(column.type.id != TypeId::kJson &&
                    !(column.type.id == TypeId::kText && expected->is_string()) &&
                    !(column.type.id == TypeId::kBoolean && expected->is_bool()) &&
                    !(column.type.id == TypeId::kBigint && expected->is_int64()),
                "a value of the right type reads as NULL");
    return;
  }
  KAPPA_CHECK(expected.has_value(), "a value where there is none");
  switch (column.type.id) {
    case TypeId::kText:
      KAPPA_CHECK(expected->is_string() && expected->get_string().value_unsafe() == value.as_text(),
                  "TEXT differs");
      return;
    case TypeId::kBigint:
      KAPPA_CHECK(expected->is_int64() && expected->get_int64().value_unsafe() == value.as_int64(),
                  "BIGINT differs");
      return;
    case TypeId::kBoolean:
      KAPPA_CHECK(expected->is_bool() && expected->get_bool().value_unsafe() == value.as_bool(),
                  "BOOLEAN differs");
      return;
    case TypeId::kDouble:
      KAPPA_CHECK(expected->is_number() && expected->get_double().value_unsafe() == value.as_double(),
                  "DOUBLE differs");
      return;
    case TypeId::kJson: {
      KAPPA_CHECK(json_valid(value.as_text()), "JSON is not JSON");
      dom::parser parser;
      const auto again = parser.parse(simdjson::padded_string(value.as_text()));
      KAPPA_CHECK(again.error() == simdjson::SUCCESS, "JSON does not parse alone");
      KAPPA_CHECK(simdjson::minify(again.value_unsafe()) == simdjson::minify(*expected), "JSON differs");
      return;
    }
    default: return;
  }
}

void against_dom(std::string_view event, const Status& verdict, const Decoded& all) {
  dom::parser parser;
  const auto parsed = parser.parse(simdjson::padded_string(event));
  const simdjson::error_code code = parsed.error();
  if (verdict) {
    KAPPA_CHECK(code == simdjson::SUCCESS || code == simdjson::NUMBER_ERROR,
                "an event that is not JSON is taken");
    KAPPA_CHECK(json_valid(event), "an event is valid JSON for one function only");
  } else if (code == simdjson::SUCCESS && parsed.value_unsafe().is_object()) {
    KAPPA_CHECK(verdict.error().number == 5003 || event.find("\\u") != std::string_view::npos,
                "an event that is JSON is refused");
  }
  if (!verdict || code != simdjson::SUCCESS) return;
  KAPPA_CHECK(parsed.value_unsafe().is_object(), "an event that is not an object is taken");
  for (std::size_t i = 0; i < all.columns.size(); ++i)
    check_value(all_columns()[i], all.columns[i].first, parsed.value_unsafe());
  const std::optional<std::string_view> member = json_member(event, "a");
  KAPPA_CHECK(member.has_value() == last_member(parsed.value_unsafe(), "a").has_value(),
              "json_member differs");
}

// On any text: some piece of it, or nothing.
void text_functions(std::string_view text) {
  const auto inside = [&](const std::optional<std::string_view>& piece) {
    KAPPA_CHECK(
        !piece || piece->empty() ||
            (piece->data() >= text.data() && piece->data() + piece->size() <= text.data() + text.size()),
        "a piece of JSON lies outside it");
  };
  inside(json_member(text, "a"));
  inside(json_element(text, 1));
  inside(json_element(text, -1));
  inside(json_trim(text));
  static_cast<void>(json_is_null(text));
  static_cast<void>(json_unquote(text));
  static_cast<void>(json_valid(text));
}

}  // namespace

int fuzz_json(const std::uint8_t* data, std::size_t size) {
  Input in(data, std::min(size, kInputBytesMax));
  const std::uint32_t mask = in.u32();
  // A block of its own, so that one byte too far is seen.
  const std::string_view rest = in.rest();
  const std::vector<char> copy(rest.begin(), rest.end());
  const std::string_view event(copy.data(), copy.size());
  const Status verdict = validate_json_event(event);
  const Decoded all = decode(event, UINT32_MAX);
  const Decoded some = decode(event, mask);
  KAPPA_CHECK(all.valid == verdict.has_value() && some.valid == all.valid, "validity depends on the columns");
  for (std::size_t i = 0; i < all.columns.size(); ++i)
    KAPPA_CHECK((mask >> i & 1) == 0 || some.columns[i] == all.columns[i], "a column depends on the others");
  against_dom(event, verdict, all);
  // Twice the same; and, the mask says where and what, one byte of it another, either way round.
  after_another(event, event, all);
  if (!event.empty()) {
    std::string other(event);
    other[mask % other.size()] = static_cast<char>(mask >> 16);
    after_another(event, other, decode(other, UINT32_MAX));
    after_another(other, event, all);
  }
  text_functions(event);
  return 0;
}

}  // namespace kappa::fuzz
