// SHOW DEFINITIONS: every version of every name with its text and what it was made of. What a client needs to tell
// whether a script says what the server holds.
#include "processor/show.h"

namespace kappa::processor {

Table show_definitions(const CatalogState& catalog) {
  Table table{{{"name", kTextType},
               {"version", kBigintType},
               {"kind", kTextType},
               {"role", kTextType},
               {"cutover", kTextType},
               {"reads", kJsonType},
               {"sql", kTextType}},
              {}};
  for (const auto& [ref, entry] : catalog.versions()) {
    std::string reads = "[";
    for (const EntryRef& used : entry->uses) {
      if (reads.size() > 1) reads += ',';
      append_json_string(used.name + "@" + std::to_string(used.version), reads);
    }
    reads += ']';
    const std::string_view role = catalog.role_of(ref);
    Value cutover = Value::null(kTextType);
    if (role == "next") cutover = Value::text(catalog.replacement_of(ref.name)->manual ? "manual" : "auto");
    table.rows.push_back({Value::text(ref.name), Value::bigint(std::int64_t{ref.version}), Value::text(entry->noun()),
                          Value::text(std::string(role)), std::move(cutover), Value::json(std::move(reads)),
                          Value::text(entry->sql)});
  }
  return table;
}

}  // namespace kappa::processor
