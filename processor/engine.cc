// Opening the engine, reads and waits. engine_ddl.cc changes the catalog.
#include "processor/engine.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <charconv>
#include <condition_variable>
#include <optional>
#include <utility>

#include "processor/engine_impl.h"
#include "processor/orphans.h"
#include "processor/query.h"
#include "processor/sql/plan_properties.h"

namespace kappa::processor {
namespace {

constexpr std::uint32_t kCommitIntervalMin = 10;
constexpr std::uint32_t kCommitIntervalMax = 60'000;
// How often a blocked statement looks whether it was cancelled.
constexpr std::chrono::milliseconds kCancelPoll{20};

Expected<StatementResult> give_table(std::string tag, Table table, RowSink& sink) {
  StatementResult result{std::move(tag), table.rows.size(), {}, {}};
  const bool taken = sink.columns(table.columns) && (table.rows.empty() || sink.rows(std::move(table.rows)));
  if (!taken) return fail(ErrorCode::kClosed, 4008, "the query was cancelled");
  return result;
}

}  // namespace

Expected<std::unique_ptr<Engine>> Engine::open(EngineOptions options, log::Log& log) {
  if (options.commit_interval_ms < kCommitIntervalMin || options.commit_interval_ms > kCommitIntervalMax) {
    return fail(ErrorCode::kInvalid, 4009, "the commit interval must be 10 to 60000 milliseconds");
  }
  if (!options.memory) options.memory = std::make_shared<MemoryBudget>(std::max<std::size_t>(options.memory_bytes, 1));
  auto engine = std::make_unique<EngineImpl>(std::move(options), log);
  KAPPA_CHECK_OK(engine->start());
  return engine;
}

Status EngineImpl::start() {
  KAPPA_CHECK_OK(check_log_belongs(options_.directory, log_));
  std::error_code error;
  if (!options_.read_only) std::filesystem::create_directories(options_.directory, error);
  if (error) return fail_errno(3302, "cannot create " + options_.directory.string(), error.value());

  LoadedCatalog loaded = load_catalog(log_.system_records());
  for (const std::string& problem : loaded.problems) spdlog::error("catalog: {}", problem);
  catalog_ = loaded.state;
  // A crash came between the definitions of new versions and what says why they are there.
  for (const EntryRef& ref : options_.read_only ? std::vector<EntryRef>{} : loaded.leftovers) {
    KAPPA_TRY([[maybe_unused]] const Offset offset,
              log_.append_system(catalog_key(catalog_->find(ref)->kind, ref), {}));
    catalog_ = catalog_->without(ref);
  }
  // Without every entry it is not known which directories are orphans.
  if (!options_.read_only && loaded.problems.empty())
    KAPPA_CHECK_OK(clear_orphans(options_.directory, *catalog_, log_));

  std::uint64_t check_bytes = options_.check_at_open_bytes;
  auto views = std::make_shared<ViewMap>();
  std::vector<ViewPtr> feed;
  for (const auto& [ref, entry] : catalog_->versions()) {
    if (ViewPtr letters = open_dead_letters(*entry, check_bytes)) {
      feed.push_back(letters);
      dead_letters_.emplace(ref, std::move(letters));
    }
    if (!entry->view) continue;
    auto view = std::make_shared<LiveView>(entry, options_);
    if (const Status opened = view->open(log_, check_bytes); !opened) {
      spdlog::error("view \"{}\" failed: {}", ref.name, to_string(opened.error()));
    }
    feed.push_back(view);
    views->emplace(ref, std::move(view));
  }
  if (!options_.read_only) {
    set_floors(*views);
    load_pauses(*views);
  }
  views_ = std::move(views);
  std::vector<ViewPtr> unchecked;
  for (const ViewPtr& view : feed) {
    if (!view->failed() && view->checking()) unchecked.push_back(view);
  }
  if (!options_.read_only) pipeline_ = std::make_unique<Pipeline>(log_, options_.replay, std::move(feed));
  watches_ = std::make_shared<WatchHub>(pipeline_ ? WatchHub::HoldStill([this] { return pipeline_->hold_still(); })
                                                  : WatchHub::HoldStill());
  if (pipeline_) {
    keeper_ = std::make_unique<VersionKeeper>([this] { return keep_versions(); });
  }
  if (unchecked.empty()) return {};
  checker_ = std::make_unique<StateChecker>(
      std::move(unchecked), options_.check_bytes_per_second,
      [this](LiveView& view, std::uint64_t generation, const Status& checked) {
        if (!checked && pipeline_) {
          pipeline_->report_damage(view, generation, checked.error());
        } else if (!checked) {
          static_cast<void>(view.mark_failed(checked.error(), generation));
        } else if (pipeline_) {
          pipeline_->state_checked();
        }
      });
  return {};
}

CatalogStatePtr EngineImpl::catalog() const {
  const std::lock_guard lock(mutex_);
  return catalog_;
}

std::shared_ptr<const EngineImpl::ViewMap> EngineImpl::view_map() const {
  const std::lock_guard lock(mutex_);
  return views_;
}

EngineImpl::ViewPtr EngineImpl::find_state(const EntryRef& ref) const {
  const std::lock_guard lock(mutex_);
  const auto found = views_->find(ref);
  return found == views_->end() ? nullptr : found->second;
}

Expected<EngineImpl::ViewPtr> EngineImpl::find_view(std::string_view name) const {
  EntryRef wanted{std::string(name), 0};
  {
    const std::lock_guard lock(mutex_);
    CatalogEntryPtr entry = catalog_->find(name);
    if (const std::size_t at = name.rfind('@'); !entry && at != std::string_view::npos) {
      const std::string_view digits = name.substr(at + 1);
      std::uint32_t version = 0;
      const auto [end, failed] = std::from_chars(digits.data(), digits.data() + digits.size(), version);
      if (failed == std::errc{} && end == digits.data() + digits.size())
        entry = catalog_->find(EntryRef{std::string(name.substr(0, at)), version});
    }
    if (entry) wanted = entry->ref();
    if (const auto found = views_->find(wanted); found != views_->end() && !found->second->entry().derived())
      return found->second;
    if (entry && entry->derived()) {
      return fail(ErrorCode::kNotFound, 2003, "\"" + std::string(name) + "\" is a stream: its rows are events",
                  "kappa read shows them; SELECT and views read them");
    }
  }
  return fail(ErrorCode::kNotFound, 2003, "no view \"" + std::string(name) + "\"", "SHOW VIEWS lists the views");
}

Expected<StatementResult> EngineImpl::execute(std::string_view sql, const Freshness& freshness, RowSink& sink,
                                              const std::atomic<bool>& cancelled) {
  if (const std::size_t first = sql.find(';'); first < sql.find_last_not_of(" \t\r\n;")) {
    // Perhaps inside a text, or several statements.
    if (const auto pieces = split_script(sql); pieces.size() > 1) return change_together(pieces);
  }
  const CatalogStatePtr state = catalog();
  KAPPA_TRY(const Statement statement, compile(sql, *state));
  if (const auto* query = std::get_if<Select>(&statement)) {
    auto result = select(*query, freshness, sink, cancelled);
    // The version that it was compiled for served no more and was dropped, before a row was read.
    const bool again = !result && result.error().code == ErrorCode::kNotFound && catalog() != state;
    return again ? execute(sql, freshness, sink, cancelled) : std::move(result);
  }
  if (const auto* wanted = std::get_if<Show>(&statement)) {
    if (wanted->what == Show::What::kDeadLetters) return show_dead_letters(*wanted, freshness, sink, cancelled);
    return show(*wanted, sink);
  }
  if (const auto* plan = std::get_if<Explain>(&statement)) return give_table("EXPLAIN", explain_rows(plan->text), sink);
  if (const auto* wanted = std::get_if<Describe>(&statement)) {
    const CatalogEntryPtr entry =
        wanted->version ? state->find(EntryRef{wanted->name, *wanted->version}) : state->find(wanted->name);
    if (!entry) {
      const std::string version = wanted->version ? "@" + std::to_string(*wanted->version) : std::string();
      Error error{ErrorCode::kNotFound, 2003, "no stream or view \"" + wanted->name + version + "\"", {}, 0, wanted->place};
      return std::unexpected(std::move(error));
    }
    return give_table("DESCRIBE", describe(*entry), sink);
  }
  return change(sql);
}

Expected<StatementResult> EngineImpl::select(const Select& statement, const Freshness& freshness, RowSink& sink,
                                             const std::atomic<bool>& cancelled) {
  SelectInputs inputs{log_, {}, {}, options_.replay, {}, {}};
  bool replays = false;
  for (const Plan* scan : scans_of(*statement.plan)) {
    replays |= scan->kind == PlanKind::kStreamScan;
    if (scan->kind != PlanKind::kViewScan) continue;
    ViewPtr view = find_state({scan->view, scan->view_version});
    if (!view) {
      return fail(ErrorCode::kNotFound, 2003,
                  "view \"" + scan->view + "\" was dropped, or its version " + std::to_string(scan->view_version) + " was",
                  "SHOW VIEWS lists the views");
    }
    if (freshness.fresh || freshness.at_least || view->below_floor()) {
      const SinkWaiting waiting(sink);
      KAPPA_CHECK_OK(wait_here(view, freshness, cancelled));
    }
    inputs.views.push_back(std::move(view));
  }
  if (freshness.fresh || freshness.at_least) {
    const SinkWaiting waiting(sink);
    if (replays) KAPPA_CHECK_OK(wait_for_log(freshness, cancelled));
    for (const ViewPtr& writer : writers_to(scans_of(*statement.plan))) {
      KAPPA_CHECK_OK(wait_here(writer, freshness, cancelled));
    }
  }
  inputs.end = log_.durable_end();
  if (statement.as_of_offset) inputs.end = std::min(inputs.end, Offset(*statement.as_of_offset));
  if (pipeline_) inputs.hold_still = [this] { return pipeline_->hold_still(); };
  inputs.failed = [this](LiveView& view, std::uint64_t generation, const Error& error) {
    check_damage(view, generation, error);
  };
  return run_select(statement, inputs, sink, cancelled);
}

Expected<StatementResult> EngineImpl::show(const Show& statement, RowSink& sink) {
  switch (statement.what) {
    case Show::What::kTopics: return give_table("SHOW TOPICS", show_topics(log_.topics()), sink);
    case Show::What::kStreams: return give_table("SHOW STREAMS", show_streams(streams()), sink);
    case Show::What::kTables: return give_table("SHOW TABLES", show_tables(*catalog()), sink);
    case Show::What::kViews: return give_table("SHOW VIEWS", show_views(views()), sink);
    case Show::What::kDefinitions: return give_table("SHOW DEFINITIONS", show_definitions(*catalog()), sink);
    case Show::What::kReplays: return give_table("SHOW REPLAYS", show_replays(views()), sink);
    case Show::What::kDeadLetters: break;
  }
  return fail(ErrorCode::kUnsupported, 2008, "this SHOW is not available in this version");
}

Expected<std::vector<Column>> EngineImpl::view_columns(std::string_view name) {
  KAPPA_TRY(const ViewPtr view, find_view(name));
  return visible_columns(view->plan());
}

std::unexpected<Error> EngineImpl::below_floor(const LiveView& view, std::string_view name) {
  return fail(ErrorCode::kBusy, 2016,
              "view \"" + std::string(name) + "\" has applied the events below offset " +
                  std::to_string(view.visible().value()) + " and serves from its cutover at " +
                  std::to_string(view.floor().value()) + " on",
              "try again later: it is on its way there after a restart");
}

Expected<Engine::GetResult> EngineImpl::get(std::string_view name, const KeyRequest& key) {
  for (;;) {
    const std::uint64_t changes = catalog_changes_.load();
    KAPPA_TRY(const ViewPtr view, find_view(name));
    if (view->below_floor()) return below_floor(*view, name);
    const std::uint64_t generation = view->generation();
    auto result = get_row(*view, key);
    if (!result) check_damage(*view, generation, result.error());
    if (still_serves(name, view, changes)) return result;
  }
}

bool EngineImpl::still_serves(std::string_view name, const ViewPtr& view, std::uint64_t changes) const {
  if (catalog_changes_.load() == changes) return true;
  const auto now = find_view(name);
  return !now || *now == view;
}

bool EngineImpl::must_wait(std::string_view name) const {
  if (!has_floors_) return false;
  const auto view = find_view(name);
  return view && (*view)->below_floor();
}

Expected<StatementResult> EngineImpl::scan(const ScanRequest& request, RowSink& sink,
                                           const std::atomic<bool>& cancelled) {
  KAPPA_TRY(const ViewPtr view, find_view(request.view));
  if (request.freshness.fresh || request.freshness.at_least || view->below_floor()) {
    const SinkWaiting waiting(sink);
    KAPPA_CHECK_OK(wait_here(view, request.freshness, cancelled));
  }
  const std::uint64_t generation = view->generation();
  auto result = scan_rows(*view, request, sink, cancelled);
  if (!result) check_damage(*view, generation, result.error());
  return result;
}

void EngineImpl::wait(std::string_view name, const Freshness& freshness, std::function<void(Status)> ready) {
  auto view = find_view(name);
  if (!view) {
    ready(std::unexpected(std::move(view).error()));
    return;
  }
  // A version that is dropped while a read waits for it serves no more: another does.
  const LiveView* const waited = view->get();
  wait_view(std::move(*view), freshness,
            [this, waited, name = std::string(name), freshness, ready = std::move(ready)](Status status) {
              if (!status && status.error().code == ErrorCode::kNotFound) {
                const auto now = find_view(name);
                if (now && now->get() != waited) return wait(name, freshness, ready);
              }
              ready(std::move(status));
            });
}

Expected<std::unique_ptr<Watch>> EngineImpl::watch(WatchRequest request, std::function<void(WatchNews)> news) {
  const std::string name = request.view;
  return watches_->watch(std::move(request), std::move(news), [this, name] { return find_view(name); });
}

void EngineImpl::wait_view(ViewPtr view, const Freshness& wanted, std::function<void(Status)> ready) {
  Freshness freshness = wanted;
  if (view->below_floor()) {
    const Offset last(view->floor().value() - 1);
    freshness.at_least = std::max(freshness.at_least.value_or(last), last);
  }
  Offset target;
  if (freshness.fresh) target = log_.durable_end();
  if (freshness.at_least) target = std::max(target, Offset(std::min(freshness.at_least->value(), UINT64_MAX - 1) + 1));
  if (target != Offset(0) && pipeline_ && !view->failed()) {
    if (auto writers = writers_to(view->scans()); !writers.empty()) {
      return wait_chain(std::move(writers), std::move(view), freshness, std::move(ready));
    }
  }
  wait_alone(view, target, freshness.timeout, std::move(ready));
}

void EngineImpl::wait_alone(const ViewPtr& view, Offset target, std::chrono::milliseconds timeout,
                            std::function<void(Status)> ready) {
  if (const auto failed = view->failed()) {
    ready(std::unexpected(*failed));
  } else if (view->visible() >= target) {
    ready({});
  } else if (!pipeline_) {
    Error error = wait_timeout(*view, target);
    error.hint = "this server is read-only: its views do not move";
    ready(std::unexpected(std::move(error)));
  } else {
    pipeline_->wait(view, target, timeout, std::move(ready));
    if (!is_kept(*view)) pipeline_->abandon(*view);  // It was dropped before its waiter was seen.
  }
}

bool EngineImpl::is_kept(const LiveView& view) const {
  const std::lock_guard lock(mutex_);
  const auto is_it = [&](const auto& version) { return version.second.get() == &view; };
  const auto found = views_->find(view.entry().ref());
  return (found != views_->end() && is_it(*found)) || std::ranges::any_of(dead_letters_, is_it);
}

void EngineImpl::check_damage(LiveView& view, std::uint64_t generation, const Error& error) {
  if (error.number == kStateDamaged && pipeline_) pipeline_->report_damage(view, generation, error);
}

Status EngineImpl::wait_here(const ViewPtr& view, const Freshness& freshness, const std::atomic<bool>& cancelled) {
  // Shared with the callback, which may run after this call gave up on a cancelled statement.
  struct Outcome {
    std::mutex mutex;
    std::condition_variable changed;
    std::optional<Status> status;
  };
  const auto outcome = std::make_shared<Outcome>();
  wait_view(view, freshness, [outcome](Status status) {
    const std::lock_guard lock(outcome->mutex);
    outcome->status = std::move(status);
    outcome->changed.notify_all();
  });
  std::unique_lock lock(outcome->mutex);
  while (!outcome->status) {
    if (cancelled.load(std::memory_order_relaxed)) return fail(ErrorCode::kClosed, 4008, "the query was cancelled");
    outcome->changed.wait_for(lock, kCancelPoll);
  }
  return *outcome->status;
}

Status EngineImpl::wait_for_log(const Freshness& freshness, const std::atomic<bool>& cancelled) {
  if (!freshness.at_least || log_.durable_end() > *freshness.at_least) return {};
  std::mutex mutex;
  std::condition_variable changed;
  const std::uint64_t token = log_.subscribe_durable([&] {
    const std::lock_guard lock(mutex);
    changed.notify_all();
  });
  const auto deadline = std::chrono::steady_clock::now() + freshness.timeout;
  Status status;
  {
    std::unique_lock lock(mutex);
    while (log_.durable_end() <= *freshness.at_least) {
      if (cancelled.load(std::memory_order_relaxed)) {
        status = fail(ErrorCode::kClosed, 4008, "the query was cancelled");
        break;
      }
      if (std::chrono::steady_clock::now() >= deadline) {
        status = fail(ErrorCode::kTimeout, 4005,
                      "the log ends at offset " + std::to_string(log_.durable_end().value()) + ", not yet after " +
                          std::to_string(freshness.at_least->value()));
        break;
      }
      changed.wait_for(lock, kCancelPoll);
    }
  }
  log_.unsubscribe_durable(token);
  return status;
}

std::vector<ViewStatus> EngineImpl::views() const {
  std::vector<ViewStatus> all;
  const CatalogStatePtr state = catalog();
  const auto all_views = view_map();  // Kept alive by name: the range of a for does not.
  for (const auto& [ref, view] : *all_views) {
    ViewStatus& status = all.emplace_back(view->status(log_));
    status.role = state->role_of(ref);
  }
  return all;
}

}  // namespace kappa::processor
