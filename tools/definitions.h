// What the server holds by name: every version of every stream, table and view, with its text (SHOW DEFINITIONS).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proto/error.h"
#include "tools/client/client.h"

namespace kappa::tools {

struct Definition {
  std::string name;
  std::uint32_t version = 1;
  std::string kind;                // "stream", "table", "view"
  std::string role;                // "serving", "next", "kept"
  bool manual = false;             // Of "next": it serves when told to.
  std::vector<std::string> reads;  // Names, without versions.
  std::string sql;
  [[nodiscard]] std::string at() const { return name + "@" + std::to_string(version); }
};
using Definitions = std::vector<Definition>;

// By name, then version. Errors as Client::sql.
[[nodiscard]] Expected<Definitions> fetch_definitions(Client& client, const Client::QueryOptions& options);

// The version of `name` with a role; the highest if several. Null: none.
[[nodiscard]] const Definition* find_role(const Definitions& all, std::string_view name, std::string_view role);

// What a person wrote: NAME (then the version that serves) or NAME@VERSION; as written, else in lower case.
// kNotFound 2003.
[[nodiscard]] Expected<Definition> resolve_version(const Definitions& all, std::string_view written);

// Names of what serves and reads `name`, directly or not; a reader after what it reads.
[[nodiscard]] std::vector<std::string> readers_of(const Definitions& all, std::string_view name);

// "name" for SQL.
[[nodiscard]] std::string quoted_name(std::string_view name);

}  // namespace kappa::tools
