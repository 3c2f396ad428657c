// The engine under test, in process: a log and an engine over it in a directory of memory.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "log/log.h"
#include "processor/engine.h"
#include "processor/state/state_store.h"
#include "proto/value.h"
#include "tests/oracle/dual.h"
#include "tests/oracle/events.h"
#include "tests/oracle/schema.h"
#include "tests/support/temp_dir.h"

namespace kappa::oracle {

struct Answer {
  std::vector<Cells> rows;
  std::uint64_t applied = 0;
};

// What LMDB holds of a view: by table and key.
using State = std::map<std::pair<std::uint32_t, std::string>, std::string>;

struct EngineSettings {
  std::uint32_t commit_interval_ms = 500;
  std::size_t overlay_bytes = std::size_t{1} << 20;
};

class KappaEngine {
 public:
  explicit KappaEngine(EngineSettings settings);
  ~KappaEngine();

  [[nodiscard]] Status open();
  void close();
  [[nodiscard]] Status restart();
  // Throws the views' states away; they are made again from the log.
  [[nodiscard]] Status replay();
  // Keeps a copy of the views' states, and puts it back in place of what has become of them: what a crash
  // does to commits that were not durable.
  [[nodiscard]] Status keep_states();
  [[nodiscard]] Status go_back();

  // `fresh`: everything appended is in the answer; else the answer says which offset it is of.
  [[nodiscard]] Expected<Answer> execute(std::string_view sql, bool fresh = true);
  // As `kappa get` and `kappa scan` read; the answer's rows as they came.
  [[nodiscard]] Expected<std::optional<Row>> get(std::string_view view, std::vector<Value> key);
  [[nodiscard]] Expected<std::vector<Row>> scan(const processor::ScanRequest& request);
  // How many rows the status says that a view has; nullopt: there is no such view.
  [[nodiscard]] std::optional<std::uint64_t> row_count(const std::string& view) const;
  // The indexes of a view's key columns, in key order; nullopt: one of them is not selected.
  [[nodiscard]] Expected<std::optional<std::vector<std::size_t>>> key_columns(const std::string& view);
  // Appends as one batch; the offset of the first.
  [[nodiscard]] Expected<std::uint64_t> append(const std::string& topic,
                                               const std::vector<std::string>& values,
                                               std::optional<std::string_view> key);
  [[nodiscard]] std::uint64_t end() const { return log_->durable_end().value(); }
  // Closes, and gives every view's committed state, by the name of its directory.
  [[nodiscard]] Expected<std::map<std::string, State>> states();

 private:
  [[nodiscard]] std::filesystem::path views() const { return directory_ / "views"; }

  kappa::test::TempDir directory_;
  processor::EngineOptions options_;
  log::LogOptions log_options_;
  std::unique_ptr<log::Log> log_;
  std::unique_ptr<processor::Engine> engine_;
  bool kept_ = false;
};

}  // namespace kappa::oracle
