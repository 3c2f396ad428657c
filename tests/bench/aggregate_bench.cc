// How fast rows go into groups: batches of 2048 rows, 1,000 or a million keys, on one thread, published
// batch by batch and committed by a second thread. Times are of the processor thread's CPU.
#include <time.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <string>
#include <thread>

#include "processor/operators/build.h"

using namespace kappa;
using namespace kappa::processor;

namespace {

double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

ExpressionPtr column(std::size_t index, Type type) {
  Expression e;
  e.kind = ExpressionKind::kColumn;
  e.type = type;
  e.column = index;
  return std::make_shared<const Expression>(std::move(e));
}
Aggregate aggregate(const char* function, ExpressionPtr argument, Type type, bool distinct = false) {
  Aggregate a;
  a.function = function;
  if (argument) a.arguments.push_back(std::move(argument));
  a.type = type;
  a.distinct = distinct;
  return a;
}

void measure(const char* what, std::size_t groups, std::vector<Aggregate> aggregates, std::size_t batches) {
  auto scan = std::make_shared<Plan>();
  scan->kind = PlanKind::kStreamScan;
  scan->output = {{"page", kTextType}, {"ms", kBigintType}, {"ts", kTimestampType}, {"price", kDoubleType}};
  auto plan = std::make_shared<Plan>();
  plan->kind = PlanKind::kAggregate;
  plan->input = scan;
  plan->group_keys = {column(0, kTextType)};
  plan->output = {{"page", kTextType}};
  for (const Aggregate& a : aggregates) plan->output.push_back({a.function, a.type});
  plan->aggregates = std::move(aggregates);
  ViewPlan view;
  view.root = plan;
  view.key_columns = {0};

  const std::filesystem::path directory = std::filesystem::temp_directory_path() / "kappa_aggregate_bench";
  std::filesystem::remove_all(directory);
  auto store = StateStore::open({directory, std::uint64_t{4} << 30, false});
  if (!store) return;
  std::uint64_t row_count = 0;
  auto built = build_view(view, InputKind::kAppendOnly, **store, row_count);
  if (!built) return;

  std::vector<Vector> columns(4);
  for (std::size_t i = 0; i < 4; ++i) columns[i].reset(scan->output[i].type, kVectorRows);
  std::vector<std::string> names(groups);
  for (std::size_t g = 0; g < groups; ++g) names[g] = "/docs/page/" + std::to_string(g);
  ChangeBatch batch;
  batch.count = kVectorRows;
  for (Vector& c : columns) batch.columns.push_back(&c);
  Arena arena;
  batch.arena = &arena;

  std::atomic<bool> stop{false};
  std::thread committer([&] {
    while (!stop) {
      if (!(*store)->commit()) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  std::uint64_t state = 42;
  double busy = 0;
  Progress progress;
  auto last_freeze = std::chrono::steady_clock::now();
  for (std::size_t b = 0; b < batches; ++b) {
    for (std::size_t row = 0; row < kVectorRows; ++row) {
      state = state * 6364136223846793005U + 1442695040888963407U;
      columns[0].data<std::string_view>()[row] = names[(state >> 33) % groups];
      columns[1].data<std::int64_t>()[row] = static_cast<std::int64_t>(state >> 54);
      columns[2].data<std::int64_t>()[row] = static_cast<std::int64_t>(1'700'000'000'000'000U + b);
      columns[3].data<double>()[row] = static_cast<double>(state >> 50) / 100;
      for (Vector& c : columns) c.valid()[row] = 1;
    }
    const double begin = cpu_seconds();
    (*store)->begin_publish();
    if (!built->flow.heads()[0].in->push(batch)) break;
    progress.applied += kVectorRows;
    (*store)->end_publish(progress);
    const auto now = std::chrono::steady_clock::now();
    if (now - last_freeze > std::chrono::milliseconds(500) ||
        (*store)->active_bytes() > (std::size_t{64} << 20)) {
      static_cast<void>((*store)->freeze());
      last_freeze = now;
    }
    busy += cpu_seconds() - begin;
  }
  stop = true;
  committer.join();
  const double rows = static_cast<double>(batches * kVectorRows);
  std::printf("%-44s %9zu groups %7.1f ns/row %6.2f M rows/s\n", what, groups, busy / rows * 1e9,
              rows / busy / 1e6);
  *built = {};
  store->reset();
  std::filesystem::remove_all(directory);
}

}  // namespace

int main() {
  for (const std::size_t groups : {std::size_t{1000}, std::size_t{1'000'000}}) {
    measure("count(*)", groups, {aggregate("count", nullptr, kBigintType)}, 2000);
    measure("count(*), max(ts)", groups,
            {aggregate("count", nullptr, kBigintType),
             aggregate("max", column(2, kTimestampType), kTimestampType)},
            2000);
    measure("count(*), sum(ms), avg(ms), max(ts)", groups,
            {aggregate("count", nullptr, kBigintType), aggregate("sum", column(1, kBigintType), kHugeintType),
             aggregate("avg", column(1, kBigintType), kDoubleType),
             aggregate("max", column(2, kTimestampType), kTimestampType)},
            2000);
    measure("sum(price)", groups, {aggregate("sum", column(3, kDoubleType), kDoubleType)}, 1000);
    measure("count(DISTINCT ms)", groups, {aggregate("count", column(1, kBigintType), kBigintType, true)},
            500);
  }
}
