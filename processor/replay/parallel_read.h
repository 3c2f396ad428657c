// A range of the log for one reader: in order, on the reader's thread, decoded on others beside it.
#pragma once

#include <atomic>
#include <functional>
#include <vector>

#include "processor/event_source.h"
#include "processor/replay/replay_options.h"
#include "proto/error.h"

namespace kappa::processor {

// Lowers the priority of the calling thread alone by options.nice.
void lower_priority(const ReplayOptions& options);
// As many as options.threads says, 0 resolved.
[[nodiscard]] unsigned replay_threads(const ReplayOptions& options);

// Threads that help reads at the moment, all reads of the process together: replay_threads() - 1 at most.
[[nodiscard]] unsigned read_helpers_in_use();

// Gives the chunks of the scans' events in [from, end), `end` at most the durable end, to `take` until it says false.
// Ranges that are worth it are decoded by replay_threads() threads, the caller's among them, or fewer while other reads
// have helpers; they live as long
// as the call and run at replay priority. `cancelled` is looked at between chunks: kClosed 4008. Errors: the log
// reader's, and those of `take`.
[[nodiscard]] Status read_in_order(log::Log& log, Offset from, Offset end, const std::vector<const Plan*>& scans,
                                   const ReplayOptions& options, const std::atomic<bool>& cancelled,
                                   const std::function<Expected<bool>(const EventSource&)>& take);

}  // namespace kappa::processor
