// How fast expressions are: the calculations of Nexmark's q14, q21 and q22 (filter and output columns), and
// single functions, over batches of 2048 bids like the benchmark's, on one thread. No JSON, no state.
#include <time.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "processor/sql/compile.h"
#include "processor/vector/evaluate.h"

using namespace kappa;
using namespace kappa::processor;

namespace {

class OneStream final : public CatalogReader {
 public:
  [[nodiscard]] std::shared_ptr<const StreamDefinition> stream(std::string_view name) const override {
    return name == "bid" ? bid : nullptr;
  }
  [[nodiscard]] std::optional<View> view(std::string_view) const override { return std::nullopt; }
  [[nodiscard]] std::vector<std::string> names() const override { return {"bid"}; }
  std::shared_ptr<const StreamDefinition> bid;
};

template <class T>
T must(Expected<T> value) {
  if (value) return std::move(*value);
  std::fprintf(stderr, "%s\n", to_string(value.error()).c_str());
  std::exit(1);
}

double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

struct Bids {
  std::vector<Vector> columns;
  Arena arena;
};

// Half of the bids are on four channels with short urls, the others have the channel in the url.
Bids make_bids(const std::vector<Column>& shape) {
  static const char* const kHot[] = {"Google", "Facebook", "Baidu", "Apple"};
  Bids bids;
  bids.columns.resize(shape.size());
  std::uint64_t state = 42;
  const auto next = [&] {
    state = state * 6364136223846793005U + 1442695040888963407U;
    return state >> 33;
  };
  const auto word = [&](std::size_t size) {
    std::string text;
    for (std::size_t i = 0; i < size; ++i) text += static_cast<char>('a' + next() % 26);
    return text;
  };
  for (std::size_t i = 0; i < shape.size(); ++i) bids.columns[i].reset(shape[i].type, kVectorRows);
  for (std::size_t row = 0; row < kVectorRows; ++row) {
    const bool hot = next() % 2 == 0;
    std::string url =
        "https://www.nexmark.com/" + word(5) + "/" + word(5) + "/" + word(5) + "/item.htm?query=1";
    if (!hot) url += "&channel_id=" + std::to_string(next() % 10'000);
    for (std::size_t i = 0; i < shape.size(); ++i) {
      const std::string& name = shape[i].name;
      Value value = Value::bigint(static_cast<std::int64_t>(next() % 10'000));
      if (name == "price") value = Value::bigint(static_cast<std::int64_t>(next() % 60'000'000));
      if (name == "ts")
        value = Value::timestamp(1'700'000'000'000'000 + static_cast<std::int64_t>(next() * 1000));
      if (name == "url") value = Value::text(url);
      if (name == "extra") value = Value::text(word(100));
      if (name == "channel")
        value = Value::text(hot ? kHot[next() % 4] : "channel-" + std::to_string(next() % 10'000));
      bids.columns[i].set(row, value, bids.arena);
    }
  }
  return bids;
}

void measure(const char* what, const std::string& sql, const CatalogReader& catalog) {
  const Select select = std::get<Select>(must(compile(sql, catalog)));
  const Plan* project = select.plan.get();
  const Plan* input = project->input.get();
  std::optional<ExpressionEvaluator> filter;
  if (input->kind == PlanKind::kFilter) {
    filter.emplace(input->predicate);
    input = input->input.get();
  }
  Bids bids = make_bids(input->output);
  std::vector<ExpressionEvaluator> outputs;
  for (const ExpressionPtr& expression : project->expressions) outputs.emplace_back(expression);
  ChangeBatch batch;
  batch.count = kVectorRows;
  for (Vector& column : bids.columns) batch.columns.push_back(&column);
  Arena arena;
  batch.arena = &arena;
  Selection kept;
  std::size_t selected = 0;
  double best = 1e9;
  for (int round = 0; round < 5; ++round) {
    constexpr int kBatches = 100;
    const double begin = cpu_seconds();
    for (int i = 0; i < kBatches; ++i) {
      arena.reset();
      batch.selection = nullptr;
      if (filter) {
        filter->filter(batch, kept);
        batch.selection = &kept;
      }
      selected = batch.selected();
      for (ExpressionEvaluator& output : outputs) static_cast<void>(output.evaluate(batch));
    }
    best = std::min(best, (cpu_seconds() - begin) / (kBatches * kVectorRows));
  }
  std::printf("%-44s %7.1f ns/row %7.2f M rows/s, %2zu%% selected\n", what, best * 1e9, 1e-6 / best,
              selected * 100 / kVectorRows);
}

}  // namespace

int main() {
  OneStream catalog;
  catalog.bid =
      std::get<CreateStream>(
          must(compile("CREATE STREAM bid (auction BIGINT, bidder BIGINT, price BIGINT, channel TEXT, url "
                       "TEXT, ts TIMESTAMP, extra TEXT)",
                       catalog)))
          .definition;
  measure("q14",
          "SELECT auction, bidder, 0.908 * price AS price, CASE WHEN hour(ts) >= 8 AND hour(ts) <= 18 THEN "
          "'dayTime' "
          "WHEN hour(ts) <= 6 OR hour(ts) >= 20 THEN 'nightTime' ELSE 'otherTime' END AS bid_time_type, ts, "
          "extra, "
          "length(extra) - length(replace(extra, 'c', '')) AS c_counts FROM bid WHERE 0.908 * price > "
          "1000000 AND "
          "0.908 * price < 50000000",
          catalog);
  measure("q21",
          "SELECT auction, bidder, price, channel, CASE WHEN lower(channel) = 'apple' THEN '0' WHEN "
          "lower(channel) = "
          "'google' THEN '1' WHEN lower(channel) = 'facebook' THEN '2' WHEN lower(channel) = 'baidu' THEN "
          "'3' ELSE "
          "REGEXP_EXTRACT(url, '(&|^)channel_id=([^&]*)', 2) END AS channel_id FROM bid WHERE "
          "REGEXP_EXTRACT(url, "
          "'(&|^)channel_id=([^&]*)', 2) IS NOT NULL OR lower(channel) IN ('apple', 'google', 'facebook', "
          "'baidu')",
          catalog);
  measure("q22",
          "SELECT auction, bidder, price, channel, SPLIT_INDEX(url, '/', 3) AS dir1, SPLIT_INDEX(url, '/', "
          "4) AS dir2, "
          "SPLIT_INDEX(url, '/', 5) AS dir3 FROM bid",
          catalog);
  for (const char* expression : {"price * 2 + 1",
                                 "0.908 * price > 1000000",
                                 "price BETWEEN 5 AND 500000",
                                 "hour(ts)",
                                 "year(ts)",
                                 "date_bin(INTERVAL '10 seconds', ts)",
                                 "date_trunc('day', ts)",
                                 "date_format(ts, 'yyyy-MM-dd HH:mm')",
                                 "lower(channel)",
                                 "length(extra)",
                                 "replace(extra, 'c', '')",
                                 "substr(url, 20, 10)",
                                 "split_index(url, '/', 5)",
                                 "channel = 'Apple'",
                                 "channel IN ('Apple', 'Google')",
                                 "url LIKE '%channel_id=%'",
                                 "url LIKE 'https://%htm%'",
                                 "url ILIKE '%CHANNEL%'",
                                 "regexp_like(url, 'channel_id=[0-9]')",
                                 "regexp_extract(url, '(&|^)channel_id=([^&]*)', 2)",
                                 "regexp_replace(url, '[0-9]+', '#', 'g')",
                                 "CAST(price AS TEXT)",
                                 "channel || '/' || url",
                                 "price::NUMERIC(20,2) * 1.25::NUMERIC(5,2)"}) {
    measure(expression, std::string("SELECT ") + expression + " AS x FROM bid", catalog);
  }
}
