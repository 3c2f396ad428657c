// Catalog and status as rows.
#include "processor/show.h"

#include <algorithm>

namespace kappa::processor {
namespace {

Value count(std::uint64_t value) { return Value::bigint(static_cast<std::int64_t>(value)); }

// "$.a[0].\"odd name\"".
std::string path_text(const StreamColumn& column) {
  std::string text = "$";
  for (const StreamColumn::Step& step : column.path) {
    if (!step.member) {
      text += "[" + std::to_string(step.index) + "]";
      continue;
    }
    const bool plain = !step.member->empty() && std::ranges::all_of(*step.member, [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
    });
    text += plain ? "." + *step.member : ".\"" + *step.member + "\"";
  }
  return text;
}

}  // namespace

Table show_topics(const std::vector<log::TopicInfo>& topics) {
  Table table{{{"topic", kTextType}, {"events", kBigintType}}, {}};
  for (const log::TopicInfo& topic : topics) {
    if (topic.name.starts_with('$')) continue;  // The system's, and dropped ones.
    table.rows.push_back({Value::text(topic.name), count(topic.next_sequence.value())});
  }
  std::ranges::sort(table.rows, {}, [](const Row& row) { return row[0].as_text(); });
  return table;
}

Table show_streams(const std::vector<StreamStatus>& streams) {
  Table table{{{"stream", kTextType},
               {"topic", kTextType},
               {"columns", kBigintType},
               {"conversion_failures", kTextType},
               {"poison", kBigintType},
               {"dead_letters", kBigintType},
               {"late", kBigintType}},
              {}};
  for (const StreamStatus& stream : streams) {
    std::string failed;
    for (const auto& [column, times] : stream.conversion_failures) {
      failed += (failed.empty() ? "" : ", ") + column + ": " + std::to_string(times);
    }
    table.rows.push_back({Value::text(stream.name), Value::text(stream.topic), count(stream.columns),
                          Value::text(std::move(failed)), count(stream.poison),
                          stream.dead_letters ? count(*stream.dead_letters) : Value::null(kBigintType),
                          stream.late ? count(*stream.late) : Value::null(kBigintType)});
  }
  return table;
}

Table show_views(const std::vector<ViewStatus>& views) {
  Table table{{{"view", kTextType},
               {"version", kBigintType},
               {"role", kTextType},
               {"state", kTextType},
               {"applied", kBigintType},
               {"lag_events", kBigintType},
               {"rows", kBigintType},
               {"poison", kBigintType},
               {"conversion_failures", kBigintType},
               {"expression_failures", kBigintType},
               {"error", kTextType}},
              {}};
  for (const ViewStatus& view : views) {
    table.rows.push_back({Value::text(view.name), count(view.version), Value::text(view.role), Value::text(view.state),
                          count(view.applied.value()), count(view.lag_events), count(view.rows), count(view.poison),
                          count(view.conversion_failures), count(view.expression_failures),
                          Value::text(view.error)});
  }
  return table;
}

Table show_replays(const std::vector<ViewStatus>& views) {
  Table table{{{"view", kTextType},
               {"version", kBigintType},
               {"state", kTextType},
               {"done", kBigintType},
               {"total", kBigintType},
               {"percent", kDoubleType},
               {"tail", kBigintType},
               {"events_per_second", kBigintType},
               {"eta_seconds", kDoubleType}},
              {}};
  for (const ViewStatus& view : views) {
    const ReplayProgress& replay = view.replay;
    if (!replay.active) continue;
    const double percent = replay.events_total == 0 ? 100.0
                                                    : 100.0 * static_cast<double>(replay.events_done) /
                                                          static_cast<double>(replay.events_total);
    const bool known = replay.events_per_second > 0;
    table.rows.push_back({Value::text(view.name), count(view.version), Value::text(replay.state),
                          count(replay.events_done), count(replay.events_total), Value::real(percent),
                          count(replay.tail_events),
                          known ? count(static_cast<std::uint64_t>(replay.events_per_second)) : Value::null(kBigintType),
                          replay.eta_seconds >= 0 ? Value::real(replay.eta_seconds) : Value::null(kDoubleType)});
  }
  return table;
}

Table show_tables(const CatalogState& catalog) {
  Table table{{{"table", kTextType}, {"stream", kTextType}, {"key", kTextType}}, {}};
  for (const auto& [name, entry] : catalog.entries()) {
    if (!entry->table) continue;
    std::string key;
    for (const std::size_t column : entry->view->key_columns)
      key += (key.empty() ? "" : ", ") + entry->view->root->output[column].name;
    table.rows.push_back({Value::text(name), Value::text(entry->table->stream->name), Value::text(std::move(key))});
  }
  return table;
}

Table describe(const CatalogEntry& entry) {
  if (entry.stream) {
    const StreamDefinition& stream = *entry.stream;
    Table table{{{"column", kTextType}, {"type", kTextType}, {"path", kTextType}, {"note", kTextType}}, {}};
    for (std::size_t i = 0; i < stream.columns.size(); ++i) {
      const StreamColumn& column = stream.columns[i];
      table.rows.push_back({Value::text(column.name), Value::text(to_string(column.type)),
                            Value::text(path_text(column)), Value::text(stream.event_time == i ? "event time" : "")});
    }
    const auto pseudo = [&](const char* name, Type type, const char* note) {
      table.rows.push_back({Value::text(name), Value::text(to_string(type)), Value::text(""), Value::text(note)});
    };
    pseudo("_offset", kBigintType, "global log offset");
    pseudo("_seq", kBigintType, "number in the topic, from 0");
    pseudo("_key", kTextType, "the event's key");
    pseudo("_append_time", kTimestampType, "when the log took it");
    return table;
  }
  const ViewPlan& view = *entry.view;
  Table table{{{"column", kTextType}, {"type", kTextType}, {"key", kBigintType}, {"note", kTextType}}, {}};
  for (std::size_t i = 0; i < view.root->output.size(); ++i) {
    const auto key = std::ranges::find(view.key_columns, i);
    table.rows.push_back({Value::text(view.root->output[i].name), Value::text(to_string(view.root->output[i].type)),
                          key == view.key_columns.end() ? Value::null(kBigintType)
                                                        : count(static_cast<std::uint64_t>(key - view.key_columns.begin()) + 1),
                          Value::text(i < view.visible_columns ? "" : "key only, not selected")});
  }
  return table;
}

Table explain_rows(std::string_view text) {
  Table table{{{"plan", kTextType}}, {}};
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    table.rows.push_back({Value::text(std::string(text.substr(0, end)))});
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return table;
}

}  // namespace kappa::processor
