// The dead letters of a stream with on_error = 'dead_letter', as a view that nobody created.
//
// They are a pure function of the stream's definition and the log, so they are kept like a view version and
// never written to the log: rows keyed by offset, in a state of their own beside those of the views
// (views/<offset of the stream's record>-<version>), which may be deleted and comes back the same. An event
// is in it once however often views are created, replayed or killed. The rows name the event; its bytes stay
// in the log and are read from there. docs/sql.md says what is set aside, set_aside.h decides it.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "log/log.h"
#include "processor/catalog.h"
#include "processor/live_view.h"
#include "processor/show.h"
#include "proto/error.h"

namespace kappa::processor {

// The entry of the view that holds the letters of `stream`; null if it has none.
[[nodiscard]] CatalogEntryPtr dead_letters_entry(const CatalogEntry& stream);

// Columns of SHOW DEAD LETTERS.
[[nodiscard]] std::vector<Column> dead_letter_columns();

// Gives the letters in `letters` of stream `name`, in the order of offsets, as rows of
// dead_letter_columns(), until `give` says false; the number given. Bytes that retention removed are NULL.
// Errors of the state (kStateDamaged among them) and of the log.
[[nodiscard]] Expected<std::uint64_t> read_dead_letters(const std::string& name, const LiveView& letters, log::Log& log,
                                                        const std::function<bool(std::vector<Row>)>& give);

}  // namespace kappa::processor
