// Rows of SHOW, DESCRIBE and EXPLAIN: the catalog and the views as tables. Pure functions of what
// they are given.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "log/log.h"
#include "processor/catalog.h"
#include "processor/engine.h"
#include "processor/sql/plan.h"
#include "proto/value.h"

namespace kappa::processor {

struct Table {
  std::vector<Column> columns;
  std::vector<Row> rows;
};

[[nodiscard]] Table show_topics(const std::vector<log::TopicInfo>& topics);
[[nodiscard]] Table show_streams(const std::vector<StreamStatus>& streams);
[[nodiscard]] Table show_views(const std::vector<ViewStatus>& views);
// Views whose first build is under way.
[[nodiscard]] Table show_replays(const std::vector<ViewStatus>& views);
[[nodiscard]] Table show_tables(const CatalogState& catalog);
// Every version of every name; by name, then version.
[[nodiscard]] Table show_definitions(const CatalogState& catalog);
[[nodiscard]] Table describe(const CatalogEntry& entry);
[[nodiscard]] Table explain_rows(std::string_view text);

}  // namespace kappa::processor
