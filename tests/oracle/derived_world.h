// One world of derived streams: what they append to the log is what SQLite says their SELECTs came to.
//
// EMIT CHANGES: the rows that each event adds to the answer. EMIT ON WINDOW CLOSE: the row that a window has
// when the watermark reaches its end. Events come in random batches; between them the engine is closed and
// opened, the states of the streams are made again from the log, or put back to an earlier commit: each event
// must be there once all the same.
#pragma once

#include <cstdint>

#include "tests/oracle/world.h"

namespace kappa::oracle {

[[nodiscard]] Outcome live_derived(std::uint64_t seed);

}  // namespace kappa::oracle
