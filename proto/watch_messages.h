// The messages of a watch: WATCH and CREDIT from the client; STEP, CHANGES and MARK from the server. As messages.h;
// docs/protocol.md is normative.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proto/bytes.h"
#include "proto/error.h"
#include "proto/ids.h"
#include "proto/value.h"

namespace kappa {

struct WatchMessage {
  std::string_view view;
  Row prefix;                     // Of the key.
  bool snapshot = true;           // Begin with the rows that there are.
  bool reset_at_cutover = false;  // Instead of the difference between two versions.
  struct From {
    Offset applied;
    std::uint32_t version = 0;
  };
  std::optional<From> resume;     // Of the last MARK.
  std::uint32_t credit = 0;       // Bytes of frames that may be sent before the first CREDIT; 0: any number.
};

// More bytes for the frames of a request that began with credit.
struct CreditMessage {
  std::uint64_t request_id = 0;
  std::uint32_t bytes = 0;
};

inline constexpr std::uint8_t kWatchResetsMax = 4;  // WatchReset, processor/watch.h.

// What follows, up to MARK, belongs together.
struct StepMessage {
  Offset applied;
  std::uint32_t version = 1;
  std::optional<std::uint8_t> reset;  // What the client has of the view is to be thrown away, and why.
};

struct ChangesMessage {
  struct Change {
    bool added = true;
    Row row;
  };
  std::vector<Change> changes;
};

// Everything up to `applied` was said.
struct MarkMessage {
  Offset applied;
  std::uint32_t version = 1;
};

void encode(const WatchMessage& message, std::uint64_t request_id, std::string& out);
void encode(const CreditMessage& message, std::string& out);
void encode(const StepMessage& message, std::uint64_t request_id, std::string& out);
// One change, as CHANGES frames hold it.
void encode_change(bool added, const Row& row, std::string& out);
// A CHANGES frame from already encoded changes.
void encode_changes(std::uint32_t count, std::string_view encoded, std::uint64_t request_id, std::string& out);
void encode(const MarkMessage& message, std::uint64_t request_id, std::string& out);

[[nodiscard]] Expected<WatchMessage> decode_watch(Bytes payload);
[[nodiscard]] Expected<CreditMessage> decode_credit(Bytes payload);
[[nodiscard]] Expected<StepMessage> decode_step(Bytes payload);
[[nodiscard]] Expected<ChangesMessage> decode_changes(Bytes payload);
[[nodiscard]] Expected<MarkMessage> decode_mark(Bytes payload);

}  // namespace kappa
