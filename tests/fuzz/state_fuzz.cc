// The bytes that view state is made of. Promises, whatever the bytes: stored records, keys, group states
// and progress records are decoded or refused as damaged; what decodes encodes to the same again, and
// keys order as their values do. Also values and rows as they travel, and the texts that values are shown
// as. What files promise is in state_files.h.
//
// Input: a byte that chooses the decoder, then its bytes; records with the right checksum or without.
#include <algorithm>
#include <cstdlib>

#include "processor/operators/build.h"
#include "processor/state/key_encoding.h"
#include "processor/state/tree.h"
#include "tests/fuzz/catalog.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/state_files.h"
#include "tests/fuzz/targets.h"

namespace kappa::fuzz {
namespace {

using namespace processor;

constexpr std::size_t kInputBytesMax = 4096;
constexpr Type kTypes[] = {kBooleanType,
                           kBigintType,
                           kDoubleType,
                           kTextType,
                           kTimestampType,
                           kIntervalType,
                           kJsonType,
                           kHugeintType,
                           Type{TypeId::kNumeric, 10, 2},
                           Type{TypeId::kNumeric, 1, 0}};

void records(Input& in) {
  const std::string key = some_stored_key(in);
  const bool honest = in.choice(4) != 0;
  std::string value(in.rest());
  if (honest) append_checksum(key, value);
  const auto inside = [](std::string_view piece, std::string_view whole) {
    return piece.empty() ||
           (piece.data() >= whole.data() && piece.data() + piece.size() <= whole.data() + whole.size());
  };
  const auto plain = open_plain_value(key, value);
  KAPPA_CHECK(plain || !honest, "a right checksum is not taken");
  const auto entries = open_record(key, value);
  KAPPA_CHECK(plain || !entries, "a wrong checksum is taken");
  if (!entries) return;
  KAPPA_CHECK(!entries->empty(), "a record without entries");
  for (const StoredEntry& entry : *entries)
    KAPPA_CHECK((inside(entry.key, key) || inside(entry.key, value)) && inside(entry.value, value),
                "an entry lies outside its record");
}

// Two keys of one type: what decodes encodes again, and both orders agree.
void keys(Input& in) {
  const Type type = kTypes[in.choice(std::size(kTypes))];
  const auto one = [&](std::string_view bytes) -> std::optional<std::pair<Value, std::string>> {
    std::string_view rest = bytes;
    auto value = read_key(rest, type);
    if (!value) return std::nullopt;
    const std::string_view used = bytes.substr(0, bytes.size() - rest.size());
    std::string again;
    append_key(*value, again);
    KAPPA_CHECK(again == used, "a key encodes to other bytes than it was read from");
    Arena arena;
    Vector vector;
    vector.reset(type, 1);
    rest = bytes;
    KAPPA_CHECK(read_key(rest, vector, 0, arena).has_value() && vector.value(0) == *value,
                "a key reads differently into a vector");
    again.clear();
    append_key(vector, 0, again);
    KAPPA_CHECK(again == used, "a key encodes differently from a vector");
    return std::pair(std::move(*value), std::move(again));
  };
  const std::size_t first_bytes = in.u8();
  const auto a = one(in.take(first_bytes));
  const std::string_view last = in.rest();
  const std::string after = key_after_prefix(last);
  KAPPA_CHECK(after.empty() || (after > last && !after.starts_with(last)), "key_after_prefix is not after");
  const auto b = one(last);
  if (!a || !b) return;
  const auto values = compare(a->first, b->first);
  const auto bytes = a->second.compare(b->second);
  KAPPA_CHECK((values < 0) == (bytes < 0) && (values > 0) == (bytes > 0), "keys order unlike their values");
}

// The entries of a group and of a stored row, as readers of two views decode them.
void groups(Input& in) {
  static const auto readers = [] {
    std::vector<std::shared_ptr<const ViewReader>> made;
    static const auto store = make_memory_state();
    static std::uint64_t rows = 0;
    for (const char* view : {"by_page", "dear"}) {
      for (const InputKind input : {InputKind::kAppendOnly, InputKind::kRetracting}) {
        auto built = build_view(*fixed_catalog().view(view)->plan, input, *store, rows);
        KAPPA_CHECK(built.has_value(), "a view of the fixed catalog");
        made.push_back(built->reader);
      }
    }
    return made;
  }();
  const ViewReader& reader = *readers[in.choice(readers.size())];
  const std::string key(in.take(in.u8()));
  std::string value(in.rest());
  const auto stored = reader.decode(key, value);
  if (!stored || !*stored) return;
  std::string wire;
  encode_row((*stored)->row, wire);
  ByteReader back(as_bytes(wire));
  const auto sent = decode_row(back);
  // A NULL's type does not travel.
  const auto same = [](const Value& a, const Value& b) { return a == b || (a.is_null() && b.is_null()); };
  KAPPA_CHECK(sent && back.done() && std::ranges::equal(*sent, (*stored)->row, same), "a row of a view cannot be sent");
  for (const Value& column : (*stored)->row) static_cast<void>(display(column));
}

// Values as they travel, and as text.
void values(Input& in) {
  ByteReader reader(as_bytes(in.rest()));
  const auto row = decode_row(reader);
  if (!row) return;
  std::string once;
  encode_row(*row, once);
  ByteReader again(as_bytes(once));
  const auto second = decode_row(again);
  KAPPA_CHECK(second && again.done() && *second == *row, "a row changes between encoding and decoding");
  for (const Value& value : *row) {
    std::string json;
    append_json(value, json);
    const std::string text = display(value);
    if (value.is_null()) continue;
    const Type type = value.type();
    if (type.id == TypeId::kDouble)
      KAPPA_CHECK(std::strtod(text.c_str(), nullptr) == value.as_double(),
                  "a DOUBLE's text is another number");
    if (type.id == TypeId::kNumeric)
      KAPPA_CHECK(parse_numeric(text, type.precision, type.scale) == value.as_int128(),
                  "a NUMERIC's text is another number");
    if (type.id == TypeId::kInterval)
      KAPPA_CHECK(parse_interval(text) == value.as_int64(), "an INTERVAL's text is another one");
    // Years 1 to 9999.
    if (type.id == TypeId::kTimestamp && value.as_int64() >= -62'135'596'800'000'000 &&
        value.as_int64() <= 253'402'300'799'999'999)
      KAPPA_CHECK(parse_timestamp(text, true) == value.as_int64(), "a TIMESTAMP's text is another time");
    KAPPA_CHECK(compare(value, value) == 0, "a value is not equal to itself");
  }
}

}  // namespace

int fuzz_state(const std::uint8_t* data, std::size_t size) {
  Input in(data, std::min(size, kInputBytesMax));
  // Files take a hundred times as long as the others: few choices of many.
  switch (in.u8() % 32) {
    case 0: state_records(in); break;
    case 1: state_rot(in); break;
    case 2:
    case 3: records(in); break;
    case 4:
    case 5:
    case 6:
    case 7: keys(in); break;
    case 8:
    case 9:
    case 10:
    case 11: values(in); break;
    default: groups(in); break;
  }
  return 0;
}

}  // namespace kappa::fuzz
