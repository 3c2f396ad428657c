#include "processor/replay/measure.h"

#include <chrono>
#include <future>
#include <memory>
#include <utility>

#include "processor/catalog.h"
#include "processor/live_view.h"
#include "processor/pipeline.h"
#include "processor/query.h"
#include "processor/sql/compile.h"

namespace kappa::processor {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::hours kPatience{12};

double since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

class CountRows final : public RowSink {
 public:
  bool columns(const std::vector<Column>&) override { return true; }
  bool rows(std::vector<Row>) override { return true; }
};

class TemporaryDirectory {
 public:
  explicit TemporaryDirectory(std::filesystem::path path) : path_(std::move(path)) {}
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

 private:
  std::filesystem::path path_;
};

Expected<MeasuredReplay> measure_select(log::Log& log, const Select& select, const EngineOptions& options) {
  SelectInputs inputs{log, log.durable_end(), {}, options.replay, {}, {}};
  CountRows sink;
  const std::atomic<bool> cancelled{false};
  const Clock::time_point start = Clock::now();
  KAPPA_TRY(const StatementResult result, run_select(select, inputs, sink, cancelled));
  MeasuredReplay measured;
  measured.seconds = since(start);
  measured.events = inputs.end - log.start();
  measured.rows = result.row_count;
  return measured;
}

Expected<MeasuredReplay> measure_view(log::Log& log, const CatalogEntryPtr& entry, const EngineOptions& options) {
  std::error_code error;
  if (!std::filesystem::create_directory(options.directory, error)) {
    return fail(ErrorCode::kExists, 4000, options.directory.string() + " is there already, or cannot be made");
  }
  const TemporaryDirectory directory(options.directory);
  MeasuredReplay measured;
  measured.events = log.durable_end() - entry->from;
  const Clock::time_point start = Clock::now();
  const Offset end = log.durable_end();
  const auto view = std::make_shared<LiveView>(entry, options);
  std::uint64_t nothing_to_check = 0;
  KAPPA_CHECK_OK(view->open(log, nothing_to_check));
  auto pipeline = std::make_unique<Pipeline>(log, options.replay, std::vector{view});
  std::promise<Status> applied;
  pipeline->wait(view, end, kPatience, [&](Status status) { applied.set_value(std::move(status)); });
  KAPPA_CHECK_OK(applied.get_future().get());
  measured.seconds = since(start);
  pipeline.reset();  // Commits.
  if (const auto failed = view->failed()) return std::unexpected(*failed);
  measured.committed_seconds = since(start);
  const ViewStatus status = view->status(log);
  measured.rows = status.rows;
  measured.state_bytes = status.bytes_on_disk;
  return measured;
}

}  // namespace

Expected<MeasuredReplay> measure_replay(log::Log& log, const std::vector<std::string>& statements,
                                        EngineOptions options) {
  CatalogStatePtr catalog = load_catalog(log.system_records()).state;
  if (!options.memory) options.memory = std::make_shared<MemoryBudget>(options.memory_bytes);
  for (std::size_t i = 0; i < statements.size(); ++i) {
    KAPPA_TRY(const Statement statement, compile(statements[i], *catalog));
    const bool last = i + 1 == statements.size();
    CatalogEntry entry;
    entry.sql = statements[i];
    entry.id = log.durable_end();
    entry.from = log.start();
    if (const auto* stream = std::get_if<CreateStream>(&statement); stream != nullptr && !last) {
      entry.kind = CatalogEntry::Kind::kStream;
      entry.name = stream->definition->name;
      entry.stream = stream->definition;
    } else if (const auto* view = std::get_if<CreateView>(&statement)) {
      entry.kind = CatalogEntry::Kind::kView;
      entry.name = view->name;
      entry.view = std::make_shared<const ViewPlan>(view->plan);
      entry.table = view->table;
      if (last) return measure_view(log, std::make_shared<const CatalogEntry>(std::move(entry)), options);
    } else if (const auto* select = std::get_if<Select>(&statement); select != nullptr && last) {
      return measure_select(log, *select, options);
    } else {
      return fail(ErrorCode::kInvalid, 2010, "a replay is of CREATE STREAMs, then one CREATE VIEW or SELECT");
    }
    catalog = catalog->with(std::make_shared<const CatalogEntry>(std::move(entry)));
  }
  return fail(ErrorCode::kInvalid, 2010, "there is nothing to replay");
}

}  // namespace kappa::processor
