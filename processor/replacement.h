// A replacement: new versions of a name, and of everything that reads it, beside the old ones.
//
// CREATE OR REPLACE makes one. Its members are built while the old versions serve; the cutover is a record of the
// log that switches all of them in one step; the old ones stay fed until `keep_micros` later, so that a rollback is
// such a record too. Which version of a name serves is a function of these records and the definitions alone
// (catalog.h): there is no moment at which a name has none or a set is half switched.
//
// System key "replacement/<id>", the value as encode_replacement() gives it; an empty value ends it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proto/error.h"
#include "proto/ids.h"

namespace kappa::processor {

// One version of a name.
struct EntryRef {
  std::string name;
  std::uint32_t version = 1;
  friend auto operator<=>(const EntryRef&, const EntryRef&) = default;
};

struct Replacement {
  enum class State : std::uint8_t {
    kBuilding = 1,    // The old versions serve, the new ones are built.
    kSwitched = 2,    // The new ones serve, the old ones are fed.
    kRolledBack = 3,  // The old ones serve again, the new ones are fed.
    kKeepNew = 4,     // The old ones are being dropped.
    kKeepOld = 5,     // The new ones are being dropped: cancelled, or rolled back long ago.
  };
  struct Member {
    std::string name;
    std::uint32_t from = 1;
    std::uint32_t to = 2;
    friend bool operator==(const Member&, const Member&) = default;
  };
  Offset id;                        // Offset of the first new definition.
  State state = State::kBuilding;
  bool manual = false;              // Switches only when told to.
  std::int64_t keep_micros = 0;     // How long what does not serve any more is kept. At least 0.
  std::int64_t switched_micros = 0; // When it switched, or back; by the system's clock, since 1970.
  Offset since{};                   // Of the record that gave it its state; not in its value.
  std::vector<Member> members;      // A reader after what it reads; the first is what the statement named.

  [[nodiscard]] bool new_serves() const { return state == State::kSwitched || state == State::kKeepNew; }
  [[nodiscard]] const Member* find(std::string_view name) const;
  // What it leaves, or would leave, to be dropped in the end; readers before what they read.
  [[nodiscard]] std::vector<EntryRef> unserved() const;
};
using ReplacementPtr = std::shared_ptr<const Replacement>;

[[nodiscard]] std::string replacement_key(Offset id);
// The id in such a key; nullopt for any other.
[[nodiscard]] std::optional<Offset> parse_replacement_key(std::string_view key);

// u16 format version (1), u8 state, u8 manual, u64 keep_micros, u64 switched_micros, u32 count, and for each member
// u32 length and name, u32 from, u32 to.
[[nodiscard]] std::string encode_replacement(const Replacement& replacement);
// kCorrupt 2012; kUnsupported 2013 for a later format.
[[nodiscard]] Expected<Replacement> decode_replacement(std::string_view value, Offset id);

}  // namespace kappa::processor
