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

void EngineImpl::set_dead_letters(const std::string& stream, ViewPtr view) {
  const std::lock_guard lock(mutex_);
  dead_letters_[stream] = std::move(view);
}

EngineImpl::ViewPtr EngineImpl::take_dead_letters(std::string_view stream) {
  const std::lock_guard lock(mutex_);
  const auto found = dead_letters_.find(stream);
  if (found == dead_letters_.end()) return nullptr;
  ViewPtr view = std::move(found->second);
  dead_letters_.erase(found);
  return view;
}

Expected<StatementResult> EngineImpl::show_dead_letters(const Show& statement, const Freshness& freshness,
                                                        RowSink& sink, const std::atomic<bool>& cancelled) {
  std::vector<std::pair<std::string, ViewPtr>> wanted;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [name, view] : dead_letters_) {
      if (statement.of.empty() || statement.of == name) wanted.emplace_back(name, view);
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
    if (freshness.fresh || freshness.at_least) KAPPA_CHECK_OK(wait_here(view, freshness, cancelled));
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
  std::map<std::string, ViewPtr, std::less<>> letters;
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
    if (const auto view = letters.find(name); view != letters.end()) {
      stream.letters = view->second->status(log_);
      stream.dead_letters = stream.letters.conversion_failures;  // One for each event (topic_events.h).
      stream.poison = stream.letters.poison;
    }
  }
  for (const auto& [name, view] : *view_map()) {
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
