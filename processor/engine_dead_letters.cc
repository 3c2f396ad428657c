// The dead letters of streams: their views, SHOW DEAD LETTERS, and the counters of SHOW STREAMS.
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "processor/dead_letters.h"
#include "processor/engine_impl.h"

namespace kappa::processor {

EngineImpl::ViewPtr EngineImpl::open_dead_letters(const CatalogEntry& stream, std::uint64_t& check_bytes) {
  CatalogEntryPtr entry = dead_letters_entry(stream);
  if (!entry) return nullptr;
  auto view = std::make_shared<LiveView>(std::move(entry), options_);
  if (const Status opened = view->open(log_, check_bytes); !opened) {
    spdlog::error("view \"{}\" failed: {}", view->entry().name, to_string(opened.error()));
  }
  return view;
}

Expected<StatementResult> EngineImpl::show_dead_letters(const Show& statement, const Freshness& freshness,
                                                        RowSink& sink, const std::atomic<bool>& cancelled) {
  std::vector<std::pair<std::string, ViewPtr>> wanted;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [ref, view] : dead_letters_) {
      const CatalogEntryPtr serves = catalog_->find(ref.name);
      const bool is_it = serves && serves->version == ref.version;
      if (is_it && (statement.of.empty() || statement.of == ref.name)) wanted.emplace_back(ref.name, view);
    }
  }
  if (wanted.empty() && !statement.of.empty()) {
    Error error{ErrorCode::kNotFound, 2003, "no stream \"" + statement.of + "\"", "SHOW STREAMS lists the streams", 0,
                statement.place};
    if (const auto known = catalog()->stream(statement.of)) {
      error.message = "stream \"" + statement.of + "\" sets no events aside";
      error.hint = "CREATE STREAM ... WITH (on_error = 'dead_letter') does; otherwise wrong values read as NULL and "
                   "SHOW STREAMS counts them";
    }
    return std::unexpected(std::move(error));
  }
  StatementResult result{"SHOW DEAD LETTERS", 0, {}, {}};
  const auto stopped = [] { return fail(ErrorCode::kClosed, 4008, "the query was cancelled"); };
  if (!sink.columns(dead_letter_columns())) return stopped();
  for (const auto& [name, view] : wanted) {
    if (freshness.fresh || freshness.at_least) {
      const SinkWaiting waiting(sink);
      KAPPA_CHECK_OK(wait_here(view, freshness, cancelled));
    }
    const std::uint64_t generation = view->generation();
    const Offset applied = view->visible();
    bool stop = false;
    const auto given = read_dead_letters(name, *view, log_, [&](std::vector<Row> rows) {
      stop = cancelled.load(std::memory_order_relaxed) || !sink.rows(std::move(rows));
      return !stop;
    });
    if (!given) {
      check_damage(*view, generation, given.error());
      return std::unexpected(given.error());
    }
    if (stop) return stopped();
    result.row_count += *given;
    result.applied = result.applied ? std::min(*result.applied, applied) : applied;
  }
  return result;
}

std::vector<StreamStatus> EngineImpl::streams() const {
  const CatalogStatePtr state = catalog();
  ViewMap letters;
  {
    const std::lock_guard lock(mutex_);
    letters = dead_letters_;
  }
  std::map<std::string, StreamStatus, std::less<>> found;
  for (const auto& [name, entry] : state->entries()) {
    if (!entry->stream) continue;
    StreamStatus& stream = found[name];
    stream.name = name;
    stream.topic = entry->stream->topic;
    stream.columns = entry->stream->columns.size();
    if (entry->derived() && entry->view->emit == ViewPlan::Emit::kOnWindowClose) {
      if (const ViewPtr writer = find_state(entry->ref())) stream.late = writer->status(log_).late;
    }
    if (const auto view = letters.find(entry->ref()); view != letters.end()) {
      stream.letters = view->second->status(log_);
      stream.dead_letters = stream.letters.conversion_failures;  // One for each event (topic_events.h).
      stream.poison = stream.letters.poison;
    }
  }
  const auto all_views = view_map();  // Kept alive by name: the range of a for does not.
  for (const auto& [ref, view] : *all_views) {
    const CatalogEntryPtr serves = state->find(ref.name);
    if (!serves || serves->version != ref.version) continue;
    // Views of one stream see the same events: the one furthest ahead knows most.
    for (const auto& [stream, counts] : view->conversion_failures()) {
      const auto known = found.find(stream);
      if (known == found.end()) continue;
      for (const auto& [column, count] : counts) {
        std::uint64_t& most = known->second.conversion_failures[column];
        most = std::max(most, count);
      }
    }
    const bool one_topic = std::ranges::all_of(view->scans(), [&](const Plan* scan) {
      return scan->stream->topic == view->scans().front()->stream->topic;
    });
    if (view->scans().empty() || !one_topic) continue;  // It counts those of all its topics as one.
    const std::uint64_t poison = view->poison();
    for (const Plan* scan : view->scans()) {
      if (const auto known = found.find(scan->stream->name); known != found.end()) {
        known->second.poison = std::max(known->second.poison, poison);
      }
    }
  }
  std::vector<StreamStatus> streams;
  for (auto& [name, stream] : found) streams.push_back(std::move(stream));
  return streams;
}

}  // namespace kappa::processor
