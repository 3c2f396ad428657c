// A built view over a state on disk, driven by random sources and compared with a reference.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "processor/operators/build.h"
#include "processor/sql/plan_properties.h"
#include "tests/processor/operators/change_source.h"
#include "tests/processor/operators/reference.h"
#include "tests/support/seed.h"
#include "tests/support/temp_dir.h"

namespace kappa::processor::testing {

using test::new_seed;

// A view over a state on disk, fed batch by batch.
class RunningView {
 public:
  RunningView(ViewPlan plan, InputKind input) : plan_(std::move(plan)), input_(input) {
    open();
    store_->begin_publish();
    EXPECT_TRUE(view_.flow.start());
    store_->end_publish(progress());
  }
  ~RunningView() {
    view_ = {};
    store_.reset();
  }
  RunningView(const RunningView&) = delete;
  RunningView& operator=(const RunningView&) = delete;

  // One publication: the changes of each head, in the order of the heads or the other way round.
  void push_heads(const std::vector<std::vector<Change>>& changes, std::mt19937_64& random, bool backward = false) {
    store_->begin_publish();
    for (std::size_t i = 0; i < changes.size(); ++i) {
      const std::size_t head = backward ? changes.size() - 1 - i : i;
      if (changes[head].empty()) continue;
      const Status status = push_changes(*view_.flow.heads()[head].in, changes[head], random);
      ASSERT_TRUE(status) << to_string(status.error());
      applied_ += changes[head].size();
    }
    if (watermark_) {
      const Status status = view_.flow.advance(*watermark_);
      ASSERT_TRUE(status) << to_string(status.error());
    }
    store_->end_publish(progress());
  }
  void push(const std::vector<Change>& changes, std::mt19937_64& random) { push_heads({changes}, random); }
  // Of the pushes from now on.
  void set_watermark(std::int64_t watermark) { watermark_ = watermark; }
  void disturb(std::mt19937_64& random) {
    switch (random() % 5) {
      case 0: static_cast<void>(store_->freeze()); break;
      case 1: ASSERT_TRUE(store_->commit()); break;
      case 2:
        ASSERT_TRUE(store_->commit());
        ASSERT_TRUE(store_->freeze());
        ASSERT_TRUE(store_->commit());
        view_ = {};
        store_.reset();
        open();
        ASSERT_EQ(store_->progress().applied.value(), applied_);
        row_count_ = store_->progress().rows;
        break;
      default: break;
    }
  }
  std::vector<Row> rows() {
    std::vector<Row> found;
    const auto snapshot = *store_->snapshot();
    const auto cursor = view_.reader->scan(*snapshot, {});
    for (;;) {
      const auto more = cursor->next();
      EXPECT_TRUE(more) << to_string(more.error());
      if (!more || !*more) return found;
      const auto& row = cursor->row();
      if (row) {
        for (std::int64_t i = 0; i < row->weight; ++i) found.push_back(row->row);
      }
    }
  }
  // Every byte of every table.
  std::string state_bytes() {
    std::string bytes;
    const auto snapshot = *store_->snapshot();
    for (TableId table = 0; table < 200; ++table) {
      const auto cursor = snapshot->scan(table, {}, false);
      for (auto entry = cursor->next(); entry && *entry; entry = cursor->next()) {
        bytes += std::to_string(table) + ":" + std::string((*entry)->key) + "=" +
                 std::string((*entry)->value) + "\n";
      }
    }
    return bytes;
  }
  [[nodiscard]] std::size_t heads() const { return view_.flow.heads().size(); }
  [[nodiscard]] const ViewReader& reader() const { return *view_.reader; }
  [[nodiscard]] StateStore& store() { return *store_; }
  [[nodiscard]] std::uint64_t row_count() const { return row_count_; }

 private:
  void open() {
    StateOptions options;
    options.directory = directory_.path();
    options.map_bytes = std::uint64_t{256} << 20;
    auto store = StateStore::open(options);
    ASSERT_TRUE(store) << to_string(store.error());
    store_ = std::move(*store);
    auto built = build_view(plan_, input_, *store_, row_count_);
    ASSERT_TRUE(built) << to_string(built.error());
    view_ = std::move(*built);
  }
  Progress progress() const {
    Progress progress;
    progress.applied = Offset(applied_);
    progress.rows = row_count_;
    progress.started = true;
    return progress;
  }

  ViewPlan plan_;
  InputKind input_;
  test::TempDir directory_;
  std::unique_ptr<StateStore> store_;
  BuiltView view_;
  std::uint64_t row_count_ = 0;
  std::uint64_t applied_ = 0;
  std::optional<std::int64_t> watermark_;
};

inline std::string to_text(const Row& row) {
  std::string text;
  for (const Value& value : row) text += display(value).substr(0, 40) + " | ";
  return text;
}
inline void expect_same(const std::vector<Row>& actual, const std::vector<Row>& expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (std::size_t i = 0; i < actual.size(); ++i) {
    ASSERT_EQ(actual[i].size(), expected[i].size());
    for (std::size_t c = 0; c < expected[i].size(); ++c) {
      ASSERT_TRUE(actual[i][c] == expected[i][c]) << "row " << i << ", column " << c << "\n"
                                                  << to_text(actual[i]) << "\n"
                                                  << to_text(expected[i]);
    }
  }
}

inline ViewPlan view_of(PlanPtr root, std::vector<std::size_t> key_columns) {
  ViewPlan plan;
  plan.visible_columns = root->output.size();
  plan.single_row = key_columns.empty();
  plan.root = std::move(root);
  plan.key_columns = std::move(key_columns);
  return plan;
}

// A view without a unique key: all its columns are the key.
inline ViewPlan bag_of(PlanPtr root) {
  std::vector<std::size_t> all;
  for (std::size_t i = 0; i < root->output.size(); ++i) all.push_back(i);
  return view_of(std::move(root), all);
}

// Drives a view with one random source a head and compares after every batch. The order of rows counts only if
// asked for.
inline void run_against_reference(const ViewPlan& plan, bool retracting, int batches, std::uint64_t seed,
                                  bool rows_in_key_order = true) {
  const std::vector<const Plan*> scans = scans_of(*plan.root);
  std::vector<ChangeSource> sources;
  for (std::size_t i = 0; i < scans.size(); ++i) sources.emplace_back(seed + i * 7919, retracting);
  std::mt19937_64& random = sources[0].random();
  RunningView view(plan, retracting ? InputKind::kRetracting : InputKind::kAppendOnly);
  ASSERT_EQ(view.heads(), scans.size());
  for (int batch = 0; batch < batches; ++batch) {
    std::vector<std::vector<Change>> changes(scans.size());
    Sources live;
    for (std::size_t head = 0; head < scans.size(); ++head) {
      // Phases in which rows mostly go, so that groups die and are born again.
      sources[head].set_retract_percent(batch % 40 < 25 ? 35 : 80);
      std::size_t size = random() % 4 == 0 ? 1 + random() % 60 : 1 + random() % 4;
      if (scans.size() > 1 && random() % 3 == 0) size = 0;
      for (std::size_t i = 0; i < size; ++i) changes[head].push_back(sources[head].next());
      live[scans[head]] = sources[head].live();
    }
    view.push_heads(changes, random, random() % 2 == 0);
    if (::testing::Test::HasFatalFailure()) return;
    std::vector<Row> actual = view.rows();
    std::vector<Row> expected = reference_plan(*plan.root, live);
    if (!rows_in_key_order) {
      std::ranges::sort(actual, RowLess{});
      std::ranges::sort(expected, RowLess{});
    }
    expect_same(actual, expected);
    if (::testing::Test::HasFatalFailure()) {
      std::printf("at batch %d\n", batch);
      return;
    }
    EXPECT_EQ(view.row_count(), expected.size());
    view.disturb(random);
    if (::testing::Test::HasFatalFailure()) return;
  }
}

// One history of changes, cut into publications of several sizes with commits and reopening in between: the bytes
// of the state must be the same.
inline void expect_same_state_for_any_cut(const ViewPlan& plan, bool retracting, std::uint64_t seed,
                                          std::size_t count = 1200) {
  const std::size_t heads = scans_of(*plan.root).size();
  std::vector<ChangeSource> sources;
  for (std::size_t i = 0; i < heads; ++i) sources.emplace_back(seed + i * 7919, retracting);
  std::mt19937_64 choice(seed);
  std::vector<std::pair<std::size_t, Change>> history;
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t head = choice() % heads;
    history.emplace_back(head, sources[head].next());
  }
  std::string first;
  for (const std::size_t size : {std::size_t{1}, std::size_t{7}, std::size_t{300}, history.size()}) {
    RunningView view(plan, retracting ? InputKind::kRetracting : InputKind::kAppendOnly);
    std::mt19937_64 random(seed + size);
    for (std::size_t at = 0; at < history.size(); at += size) {
      std::vector<std::vector<Change>> changes(heads);
      for (std::size_t i = at; i < std::min(at + size, history.size()); ++i)
        changes[history[i].first].push_back(history[i].second);
      view.push_heads(changes, random);
      if (::testing::Test::HasFatalFailure()) return;
      if (random() % 8 == 0) view.disturb(random);
    }
    const std::string bytes = view.state_bytes();
    if (first.empty()) first = bytes;
    EXPECT_TRUE(bytes == first) << "publications of " << size << " changes";
    EXPECT_FALSE(bytes.empty());
  }
}

}  // namespace kappa::processor::testing
