// See kappa_engine.h.
#include "tests/oracle/kappa_engine.h"

#include <unistd.h>

#include <atomic>
#include <chrono>

#include "tests/oracle/compare.h"
#include "tests/support/events.h"

namespace kappa::oracle {
namespace {

class Collect final : public processor::RowSink {
 public:
  explicit Collect(Answer& answer) : answer_(answer) {}
  bool columns(const std::vector<processor::Column>&) override { return true; }
  bool rows(std::vector<Row> rows) override {
    for (Cells& cells : cells_of(rows)) answer_.rows.push_back(std::move(cells));
    return true;
  }

 private:
  Answer& answer_;
};

class CollectRows final : public processor::RowSink {
 public:
  bool columns(const std::vector<processor::Column>&) override { return true; }
  bool rows(std::vector<Row> more) override {
    for (Row& row : more) all.push_back(std::move(row));
    return true;
  }
  std::vector<Row> all;
};

constexpr std::chrono::minutes kPatience{2};

std::filesystem::path memory_directory() {
  return access("/dev/shm", W_OK) == 0 ? "/dev/shm" : std::filesystem::temp_directory_path();
}

}  // namespace

KappaEngine::KappaEngine(EngineSettings settings) : directory_(memory_directory()) {
  log_options_.directory = directory_ / "log";
  log_options_.segment_bytes = std::size_t{1} << 20;
  log_options_.prepared_segments = 0;
  options_.directory = views();
  options_.commit_interval_ms = settings.commit_interval_ms;
  options_.memory_bytes = 4 * settings.overlay_bytes;
  options_.state_bytes_max = std::uint64_t{1} << 32;
}

KappaEngine::~KappaEngine() {
  close();
}

Status KappaEngine::open() {
  KAPPA_TRY(log_, log::Log::open(log_options_));
  KAPPA_TRY(engine_, processor::Engine::open(options_, *log_));
  return {};
}

void KappaEngine::close() {
  engine_.reset();
  log_.reset();
}

Status KappaEngine::restart() {
  close();
  return open();
}

Status KappaEngine::replay() {
  close();
  std::filesystem::remove_all(views());
  return open();
}

Status KappaEngine::keep_states() {
  close();
  std::filesystem::remove_all(directory_ / "kept");
  std::filesystem::copy(views(), directory_ / "kept", std::filesystem::copy_options::recursive);
  kept_ = true;
  return open();
}

Status KappaEngine::go_back() {
  if (!kept_) return keep_states();
  close();
  std::filesystem::remove_all(views());
  std::filesystem::copy(directory_ / "kept", views(), std::filesystem::copy_options::recursive);
  return open();
}

Expected<std::map<std::string, State>> KappaEngine::states() {
  close();
  std::map<std::string, State> all;
  for (const auto& entry : std::filesystem::directory_iterator(views())) {
    if (!entry.is_directory()) continue;
    State& state = all[entry.path().filename()];
    KAPPA_CHECK_OK(processor::walk_state(
        entry.path(), [&](processor::TableId table, std::string_view key, std::string_view value) -> Status {
          state.emplace(std::pair(std::uint32_t{table}, std::string(key)), value);
          return {};
        }));
  }
  return all;
}

Expected<Answer> KappaEngine::execute(std::string_view sql, bool fresh) {
  Answer answer;
  Collect sink(answer);
  const std::atomic<bool> cancelled{false};
  const processor::Freshness freshness{std::nullopt, fresh, kPatience};
  KAPPA_TRY(const processor::StatementResult result, engine_->execute(sql, freshness, sink, cancelled));
  answer.applied = result.applied ? result.applied->value() : end();
  return answer;
}

Expected<std::optional<Row>> KappaEngine::get(std::string_view view, std::vector<Value> key) {
  KAPPA_TRY(processor::Engine::GetResult result, engine_->get(view, {key}));
  // The same from wire bytes to wire bytes.
  std::string wire;
  encode_row(key, wire);
  ByteReader in(as_bytes(wire));
  std::string encoded;
  KAPPA_TRY(const auto opened, engine_->open_view(view));
  KAPPA_CHECK_OK(opened->encode_key(in, encoded));
  processor::KeyedRows rows;
  const std::string_view one = encoded;
  KAPPA_CHECK_OK(opened->read({&one, 1}, rows));
  std::string expected;
  if (result.row) encode_row(*result.row, expected);
  if (rows.applied() == result.applied && rows.row(0).value_or(std::string_view()) != expected)
    return fail(ErrorCode::kCorrupt, 9'000, "an open view gives another row than get");
  return std::move(result.row);
}

Expected<std::vector<Row>> KappaEngine::scan(const processor::ScanRequest& request) {
  CollectRows sink;
  const std::atomic<bool> cancelled{false};
  KAPPA_CHECK_OK(engine_->scan(request, sink, cancelled));
  return std::move(sink.all);
}

std::optional<std::uint64_t> KappaEngine::row_count(const std::string& view) const {
  for (const processor::ViewStatus& status : engine_->views())
    if (status.name == view) return status.rows;
  return std::nullopt;
}

Expected<std::optional<std::vector<std::size_t>>> KappaEngine::key_columns(const std::string& view) {
  CollectRows sink;
  const std::atomic<bool> cancelled{false};
  KAPPA_CHECK_OK(engine_->execute("DESCRIBE " + view, {std::nullopt, false, kPatience}, sink, cancelled));
  // column, type, its number in the key or NULL, a note that says what is hidden.
  std::vector<std::size_t> key;
  for (std::size_t i = 0; i < sink.all.size(); ++i) {
    const Row& described = sink.all[i];
    if (described[2].is_null()) continue;
    if (!described[3].as_text().empty()) return std::optional<std::vector<std::size_t>>{};
    const auto number = static_cast<std::size_t>(described[2].as_int64());
    if (key.size() < number) key.resize(number);
    key[number - 1] = i;
  }
  return std::optional(std::move(key));
}

Expected<std::uint64_t> KappaEngine::append(const std::string& topic, const std::vector<std::string>& values,
                                            std::optional<std::string_view> key) {
  KAPPA_TRY(const log::AppendAck ack, kappa::test::append_batch(*log_, topic, values, key));
  return ack.base_offset.value();
}

}  // namespace kappa::oracle
