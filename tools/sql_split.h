// Cuts a script into statements at its semicolons, outside text, quoted names and comments.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

namespace kappa::tools {

struct SqlPieces {
  std::vector<std::string_view> statements;  // Without the semicolon; never blank or only comments.
  std::string_view rest;                     // After the last semicolon; may be blank.
  bool open = false;                         // `rest` ends inside a text, a quoted name or a comment.
};
// Views point into `script`. Comments: `-- to the line end` and nested /* */.
[[nodiscard]] SqlPieces split_sql(std::string_view script);

// True if there is nothing but white space and comments.
[[nodiscard]] bool is_blank_sql(std::string_view sql);

}  // namespace kappa::tools
