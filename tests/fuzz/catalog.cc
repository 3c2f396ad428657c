// See catalog.h.
#include "tests/fuzz/catalog.h"

#include <map>

#include "proto/check.h"

namespace kappa::fuzz {
namespace {

using namespace processor;

constexpr std::string_view kScript =
    "CREATE STREAM hits (ts TIMESTAMP, page TEXT, ms BIGINT, price NUMERIC(10,2), score DOUBLE, ok BOOLEAN,"
    " tag JSON, wait INTERVAL, nested TEXT PATH '$.a.b[0]') WITH (event_time = 'ts');"
    "CREATE STREAM plain (a BIGINT, b TEXT) WITH (topic = 'hits');"
    "CREATE MATERIALIZED VIEW by_page AS SELECT page, ok, count(*) AS n, sum(ms) AS total, avg(price) AS "
    "mean,"
    " max(ts) AS last, min(tag ->> 'x') AS least, sum(score) AS scores, count(DISTINCT ms) AS kinds"
    " FROM hits GROUP BY page, ok;"
    "CREATE MATERIALIZED VIEW dear AS SELECT page, price, ts, wait, score FROM hits WHERE price > 1;";

class FixedCatalog final : public CatalogReader {
 public:
  FixedCatalog() {
    for (const ScriptPiece& piece : split_script(kScript)) {
      auto statement = compile(piece.text, *this);
      KAPPA_CHECK(statement.has_value(), "a statement of the fixed catalog");
      if (const auto* made = std::get_if<CreateStream>(&*statement)) {
        streams_[made->definition->name] = made->definition;
      } else if (const auto* view = std::get_if<CreateView>(&*statement)) {
        views_[view->name] = {view->name, 1, std::make_shared<ViewPlan>(view->plan)};
      }
    }
  }
  std::shared_ptr<const StreamDefinition> stream(std::string_view name) const override {
    const auto found = streams_.find(name);
    return found == streams_.end() ? nullptr : found->second;
  }
  std::optional<View> view(std::string_view name) const override {
    const auto found = views_.find(name);
    return found == views_.end() ? std::nullopt : std::optional<View>(found->second);
  }
  std::vector<std::string> names() const override {
    std::vector<std::string> all;
    for (const auto& [name, stream] : streams_) all.push_back(name);
    for (const auto& [name, view] : views_) all.push_back(name);
    return all;
  }

 private:
  std::map<std::string, std::shared_ptr<const StreamDefinition>, std::less<>> streams_;
  std::map<std::string, View, std::less<>> views_;
};

}  // namespace

const CatalogReader& fixed_catalog() {
  static const FixedCatalog catalog;
  return catalog;
}

}  // namespace kappa::fuzz
