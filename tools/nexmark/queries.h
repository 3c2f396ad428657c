// The Nexmark queries as SQL: docs/examples/nexmark/*.sql, which are part of the binary
// (tools/CMakeLists.txt).
#pragma once

#include <span>
#include <string_view>

namespace kappa::tools::nexmark {

struct Query {
  std::string_view name;  // "q0"; also the name of its view.
  std::string_view sql;   // Statements that end with the view's, each with its semicolon.
};
// CREATE STREAM person, auction and bid over the topic "nexmark".
[[nodiscard]] std::string_view streams_sql();
// In the order of their numbers. q10, q12 and q13 are missing: a sink, processing time, a side table.
[[nodiscard]] std::span<const Query> queries();

inline constexpr std::string_view kTopic = "nexmark";

}  // namespace kappa::tools::nexmark
