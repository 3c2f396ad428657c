#include "tools/view_status.h"

#include <simdjson.h>

#include <algorithm>
#include <cstdio>

#include "tools/output.h"

namespace kappa::tools {
namespace {

using simdjson::dom::element;

std::uint64_t count_of(element object, std::string_view name) {
  std::uint64_t value = 0;
  return object[name].get(value) == simdjson::SUCCESS ? value : 0;
}

std::string text_of(element object, std::string_view name) {
  std::string_view value;
  return object[name].get(value) == simdjson::SUCCESS ? std::string(value) : std::string();
}

double number_of(element object, std::string_view name, double otherwise) {
  double value = 0;
  return object[name].get(value) == simdjson::SUCCESS ? value : otherwise;
}

ViewProgress view_of(element view) {
  ViewProgress out;
  out.name = text_of(view, "name");
  out.version = static_cast<std::uint32_t>(count_of(view, "version"));
  out.role = text_of(view, "role");
  out.state = text_of(view, "state");
  out.error = text_of(view, "error");
  out.applied = count_of(view, "applied");
  // A server that does not say how far a replay is says what is applied and what is not.
  const std::uint64_t from = count_of(view, "from");
  out.done = out.applied > from ? out.applied - from : 0;
  out.total = out.done + count_of(view, "lag_events");
  if (element replay; view["replay"].get(replay) == simdjson::SUCCESS && replay.is_object()) {
    if (const std::uint64_t total = count_of(replay, "events_total"); total > 0) {
      out.done = count_of(replay, "events_done");
      out.total = total;
    }
    out.tail = count_of(replay, "tail_events");
    out.replay_state = text_of(replay, "state");
    out.events_per_second = number_of(replay, "events_per_second", 0);
    out.eta_seconds = number_of(replay, "eta_seconds", -1);
  }
  out.json = simdjson::minify(view);
  return out;
}

std::string rate_text(double rate) {
  char text[32];
  if (rate >= 1e6) {
    std::snprintf(text, sizeof text, "%.1f M/s", rate / 1e6);
  } else if (rate >= 1e4) {
    std::snprintf(text, sizeof text, "%.0f k/s", rate / 1e3);
  } else {
    std::snprintf(text, sizeof text, "%.0f/s", rate);
  }
  return text;
}

}  // namespace

const ViewProgress* ServerState::find(std::string_view name, std::uint32_t version) const {
  const auto found =
      std::ranges::find_if(views, [&](const ViewProgress& view) { return view.name == name && view.version == version; });
  return found == views.end() ? nullptr : &*found;
}

Expected<ServerState> parse_server_state(std::string_view json) {
  simdjson::dom::parser parser;
  const simdjson::padded_string padded(json);
  element document, log;
  simdjson::dom::array topics, views;
  if (parser.parse(padded).get(document) != simdjson::SUCCESS || document["log"].get(log) != simdjson::SUCCESS ||
      document["topics"].get(topics) != simdjson::SUCCESS || document["views"].get(views) != simdjson::SUCCESS) {
    return fail(ErrorCode::kInvalid, 5001, "the server's status has no log, topics and views");
  }
  ServerState state;
  state.log_start = count_of(log, "start");
  state.log_end = count_of(log, "end");
  for (const element topic : topics) state.topics.push_back(text_of(topic, "name"));
  for (const element view : views) state.views.push_back(view_of(view));
  return state;
}

std::string duration_text(double seconds) {
  const auto whole = static_cast<std::uint64_t>(std::clamp(seconds, 0.0, 1e12));
  if (whole < 120) return std::to_string(whole) + " s";
  if (whole < 7200) return std::to_string(whole / 60) + " min";
  return std::to_string(whole / 3600) + " h " + std::to_string(whole % 3600 / 60) + " min";
}

std::string progress_line(const ViewProgress& view, std::size_t width) {
  const double part = view.total == 0 ? 1.0 : std::min(1.0, static_cast<double>(view.done) / static_cast<double>(view.total));
  const auto filled = static_cast<std::size_t>(part * static_cast<double>(width));
  std::string line = printable(view.at()) + "  [" + std::string(filled, '#') + std::string(width - filled, '-') + "]  ";
  line += std::to_string(static_cast<int>(part * 100)) + " %  " + std::to_string(view.done) + "/" +
          std::to_string(view.total) + " events";
  if (view.tail > 0) line += " + " + std::to_string(view.tail) + " since";
  if (view.events_per_second > 0) line += "  " + rate_text(view.events_per_second);
  if (view.eta_seconds >= 0 && part < 1) line += "  " + duration_text(view.eta_seconds) + " left";
  if (view.replay_state != "running" && !view.replay_state.empty()) line += "  " + view.replay_state;
  return line;
}

std::string replay_bars(const ServerState& server) {
  std::size_t width = 0;
  for (const ViewProgress& view : server.views) {
    if (view.building()) width = std::max(width, display_width(printable(view.at())));
  }
  std::string text;
  for (const ViewProgress& view : server.views) {
    if (!view.building()) continue;
    if (text.empty()) text = "being built\n";
    text += "  " + std::string(width - display_width(printable(view.at())), ' ') + progress_line(view) + "\n";
  }
  return text;
}

}  // namespace kappa::tools
