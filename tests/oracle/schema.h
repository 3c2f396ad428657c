// Topics, the members of their events, and the streams and tables that read them.
//
// A topic's events have members of known nature; several streams may read one topic, each a part of the
// members, now and then as another type than they have.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tests/oracle/dual.h"
#include "tests/oracle/random.h"

namespace kappa::oracle {

// What values a member has.
enum class Nature : std::uint8_t {
  kKey,      // Text out of a few, Unicode among them.
  kGroup,    // 0..5.
  kSmall,    // -50..1000.
  kWide,     // To the edges of 64 bits.
  kQuarter,  // Multiples of 1/4.
  kWild,     // Doubles of every size, -0 and denormals.
  kMoney,    // Decimals of all lengths.
  kJson,     // Objects and arrays.
  kText,     // Any text.
  kFlag,     // Booleans.
  kTime,     // Milliseconds or RFC 3339, out of order, before 1970.
  kOp,       // 'I', 'U' or 'D'.
  kPart,     // 1..3: which stream of the topic an event belongs to.
};
[[nodiscard]] Kind kind_of(Nature nature);

struct Member {
  enum class Place : std::uint8_t { kTop, kNested, kQuoted, kElement };
  std::string name;
  Nature nature = Nature::kKey;
  Place place = Place::kTop;
  // PATH of it; empty for kTop.
  [[nodiscard]] std::string path() const;
};

struct Topic {
  std::string name;
  std::vector<Member> members;
};

struct StreamColumn {
  Column column;
  std::size_t member = 0;
};

struct Stream {
  std::string name;
  std::size_t topic = 0;
  std::vector<StreamColumn> columns;
  std::optional<std::int64_t> part;  // WHERE part = N.
  std::string event_time;
  [[nodiscard]] std::string definition(const Topic& topic_of_it) const;
  // CREATE TABLE of SQLite's, where each event of the stream is a row.
  [[nodiscard]] std::string sqlite_definition() const;
  [[nodiscard]] Relation relation() const;
};

struct Table {
  std::string name;
  std::string definition;
  Relation relation;
  std::string key;
  std::size_t stream = 0;
  std::string history;  // SQLite: every version of every row, with _offset and `gone`.
};

struct Schema {
  std::vector<Topic> topics;
  std::vector<Stream> streams;
  std::vector<Table> tables;
};
[[nodiscard]] Schema random_schema(Random& random);

}  // namespace kappa::oracle
