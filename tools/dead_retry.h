// Appending a stream's dead letters again.
//
// Each goes into the stream's topic with its key, timestamp and headers, and a header that names the
// offset it stands for; the log thereby knows which letters were retried. A letter is retried once however
// often, and by however many at a time, this runs: the appends of one stream are one producer, whose next
// sequence is asked for before the letters are listed. Somebody who appended in between makes ours a
// duplicate or a gap in the sequence, and the letters are listed again.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "tools/client/client.h"

namespace kappa::tools {

struct RetryRequest {
  std::string stream;
  bool all = false;    // Every letter that was not retried and is no retry itself.
  bool again = false;  // Those of `events` also if they were.
  // Else these, by offset; with other bytes than the letter's own if given.
  std::map<std::uint64_t, std::optional<std::string>> events;
  std::chrono::milliseconds timeout{30'000};
};
struct RetryResult {
  std::uint64_t retried = 0;
  std::uint64_t left_out = 0;  // Asked for by offset, but retried before.
  std::optional<Offset> first, last;
};
// kNotFound 2003 (no such stream, or it sets nothing aside), 3010 (an offset that is no letter of it, or whose
// bytes retention removed); the errors of the connection.
[[nodiscard]] Expected<RetryResult> retry_dead_letters(Client& client, const RetryRequest& request);

}  // namespace kappa::tools
