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
  const processor::Freshness freshness{std::nullopt, fresh, std::chrono::minutes(2)};
  KAPPA_TRY(const processor::StatementResult result, engine_->execute(sql, freshness, sink, cancelled));
  answer.applied = result.applied ? result.applied->value() : end();
  return answer;
}

Expected<std::uint64_t> KappaEngine::append(const std::string& topic, const std::vector<std::string>& values,
                                            std::optional<std::string_view> key) {
  KAPPA_TRY(const log::AppendAck ack, kappa::test::append_batch(*log_, topic, values, key));
  return ack.base_offset.value();
}

}  // namespace kappa::oracle
