// The STATUS document. docs/protocol.md lists its members.
#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <string_view>

#include "serving/core.h"
#include "serving/json_writer.h"
#include "serving/process.h"

namespace kappa::serving {

namespace {

using Clock = std::chrono::steady_clock;

// "[5, 9), [20, 21)": the gaps among the events that a view has applied.
std::string gaps_below(const std::vector<log::GapRange>& gaps, Offset applied) {
  std::string text;
  for (const log::GapRange& gap : gaps) {
    if (gap.first >= applied) break;
    if (!text.empty()) text += ", ";
    text += "[" + std::to_string(gap.first.value()) + ", " + std::to_string(gap.last.value()) + ")";
  }
  return text;
}

void write_view(JsonWriter& json, const processor::ViewStatus& view, const std::vector<log::GapRange>& gaps) {
  json.begin_object();
  json.member("name", view.name);
  json.member("version", std::uint64_t{view.version});
  json.member("role", view.role);
  json.member("state", view.state);
  if (!view.error.empty()) json.member("error", view.error);
  if (!view.rebuilt.empty()) json.member("rebuilt", view.rebuilt);
  if (!view.checked) json.member("checking", true);
  if (std::string text = gaps_below(gaps, view.applied); !text.empty()) json.member("gaps", text);
  if (view.from != Offset(0)) json.member("from", view.from.value());
  json.member("rebuildable", view.rebuildable);
  json.member("applied", view.applied.value());
  json.member("committed", view.committed.value());
  json.member("lag_events", view.lag_events);
  json.member("lag_seconds", view.lag_seconds);
  json.member("rows", view.rows);
  json.member("poison", view.poison);
  json.member("conversion_failures", view.conversion_failures);
  json.member("expression_failures", view.expression_failures);
  json.member("bytes_on_disk", view.bytes_on_disk);
  json.member("bytes_in_memory", view.bytes_in_memory);
  if (const processor::ReplayProgress& replay = view.replay; replay.active) {
    json.key("replay");
    json.begin_object();
    json.member("state", replay.state);
    json.member("events_done", replay.events_done);
    json.member("events_total", replay.events_total);
    json.member("tail_events", replay.tail_events);
    json.member("events_per_second", replay.events_per_second);
    json.member("eta_seconds", replay.eta_seconds);
    json.end_object();
  }
  json.member("events_applied", view.events_applied);
  json.member("commits", view.commits);
  json.end_object();
}

void write_stream(JsonWriter& json, const processor::StreamStatus& stream) {
  json.begin_object();
  json.member("name", stream.name);
  json.member("topic", stream.topic);
  json.member("poison", stream.poison);
  std::uint64_t failures = 0;
  for (const auto& [column, count] : stream.conversion_failures) failures += count;
  json.member("conversion_failures", failures);
  if (stream.late) json.member("late", *stream.late);
  if (stream.dead_letters) {
    json.member("dead_letters", *stream.dead_letters);
    json.member("dead_letters_state", stream.letters.state);
    json.member("dead_letters_applied", stream.letters.applied.value());
    if (!stream.letters.error.empty()) json.member("dead_letters_error", stream.letters.error);
  }
  json.end_object();
}

// The first hundred; their number says whether there are more.
constexpr std::size_t kDamagedListed = 100;

void write_damaged(JsonWriter& json, const std::vector<log::DamagedRange>& damaged) {
  json.member("damaged_ranges", std::uint64_t{damaged.size()});
  json.key("damaged");
  json.begin_array();
  for (std::size_t i = 0; i < std::min(damaged.size(), kDamagedListed); ++i) {
    const log::DamagedRange& range = damaged[i];
    json.begin_object();
    json.member("first_offset", range.first.value());
    json.member("end_offset", range.last.value());
    json.member("file", range.file);
    json.member("from_byte", range.from);
    json.member("to_byte", range.to);
    json.member("what", range.what);
    json.end_object();
  }
  json.end_array();
}

}  // namespace

void Core::status(Connection& connection, std::uint64_t request_id, Bytes payload) {
  if (const auto empty = decode_empty(payload); !empty) return connection.reply(request_id, empty.error());
  std::string json = status_json();
  // Ten thousand views with long errors still have to fit.
  if (json.size() > kPayloadBytesMax - sizeof(std::uint32_t)) {
    return connection.reply(request_id, fail(ErrorCode::kTooLarge, 1007, "the status does not fit into a frame").error());
  }
  encode_status_ok(json, request_id, connection.out());
  connection.replied();
}

std::string Core::status_json() {
  const auto now = Clock::now();
  const log::LogStatus log = log_.status();
  const Rates::PerSecond rates = rates_.rates(now, log.events_appended, log.bytes_appended);
  JsonWriter json;
  json.begin_object();
  json.member("version", options_.version);
  json.member("uptime_seconds", std::chrono::duration<double>(now - started_).count());

  json.key("log");
  json.begin_object();
  json.member("id", log.log_id);
  json.member("start", log.start.value());
  json.member("end", log.durable_end.value());
  json.member("durable", log.durable_end.value());
  json.member("written", log.written_end.value());
  json.member("bytes", log.bytes_on_disk);
  json.member("segments", log.segments);
  json.member("events_per_second", rates.events);
  json.member("bytes_per_second", rates.bytes);
  json.member("events_appended", log.events_appended);
  json.member("bytes_appended", log.bytes_appended);
  json.member("syncs", log.syncs);
  json.member("sync_micros_mean",
              log.syncs == 0 ? 0.0 : static_cast<double>(log.sync_micros_total) / static_cast<double>(log.syncs));
  json.member("queue_bytes", log.queue_bytes);
  json.member("durability", std::string_view(log::name_of(log.durability)));
  json.member("epoch", std::uint64_t{log.writer_epoch.value()});
  json.member("read_only", log.read_only);
  json.member("full", log.full);
  if (log.full) json.member("full_reason", log.full_reason);
  json.member("disk_free_bytes", log.disk_free_bytes);
  json.member("disk_reserve_bytes", log.disk_reserve_bytes);
  if (log.retention.on()) {
    json.member("retention_bytes", log.retention.bytes);
    json.member("retention_max_bytes", log.retention.bytes_max);
    json.member("retention_age_seconds", std::chrono::duration<double>(log.retention.age).count());
    json.member("segments_removed", log.segments_removed);
    json.member("bytes_removed", log.bytes_removed);
    if (log.lowest_hold) {
      json.member("oldest_needed", log.lowest_hold->offset.value());
      json.member("oldest_needed_by", log.lowest_hold->name);
    }
    if (!log.retention_note.empty()) json.member("retention_note", log.retention_note);
  }
  json.key("damage");
  if (log.damage) {
    json.text(*log.damage);
  } else {
    json.null();
  }
  json.member("recovery", log.recovery);
  json.member("recovery_segments_scanned", log.recovery_segments_scanned);
  json.member("recovery_bytes_read", log.recovery_bytes_read);
  json.key("scrub");
  json.begin_object();
  json.member("bytes_per_second", log.scrub.bytes_per_second);
  json.member("passes", log.scrub.passes);
  json.key("last_pass");
  if (log.scrub.last_pass) {
    json.text(format_timestamp(log.scrub.last_pass->value()));
  } else {
    json.null();
  }
  json.member("segment", log.scrub.segment);
  json.member("segments_done", log.scrub.segments_done);
  json.member("segments_total", log.scrub.segments_total);
  json.member("bytes_read", log.scrub.bytes_read);
  json.member("damaged_found", log.scrub.damaged_found);
  json.end_object();
  json.key("gaps");
  json.begin_array();
  for (const log::GapRange& gap : log.gaps) {
    json.begin_object();
    json.member("first_offset", gap.first.value());
    json.member("end_offset", gap.last.value());
    json.end_object();
  }
  json.end_array();
  write_damaged(json, log.damaged);
  json.end_object();

  json.key("topics");
  json.begin_array();
  for (const log::TopicInfo& topic : log_.topics()) {
    json.begin_object();
    json.member("name", topic.name);
    json.member("id", std::uint64_t{topic.id.value()});
    json.member("events", topic.next_sequence.value());
    json.end_object();
  }
  json.end_array();

  json.key("subscribers");
  json.begin_array();
  for (const auto& [name, subscriber] : subscribers_.all()) {
    json.begin_object();
    json.member("name", name);
    json.member("topic", subscriber.position.topic);
    json.member("offset", subscriber.position.offset.value());
    json.end_object();
  }
  json.end_array();

  json.key("streams");
  json.begin_array();
  for (const processor::StreamStatus& stream : engine_.streams()) write_stream(json, stream);
  json.end_array();

  json.key("views");
  json.begin_array();
  for (const processor::ViewStatus& view : engine_.views()) write_view(json, view, log.gaps);
  json.end_array();

  json.key("server");
  json.begin_object();
  json.member("address", address_);
  json.member("connections", std::uint64_t{connections_.size()});
  json.member("connections_total", connections_total_);
  json.member("connections_refused", refused_total_);
  json.member("tls", tls_ != nullptr);
  json.member("tokens", std::uint64_t{tokens_ ? tokens_->size() : 0});
  json.member("logins_failed", logins_failed_);
  json.member("requests_denied", denied_total_);
  json.member("busy", busy_total_);
  json.member("timed_out", timed_out_total_);
  json.member("idle_closed", idle_total_);
  json.member("queries_timed_out", queries_expired_);
  json.member("buffered_bytes", std::uint64_t{buffered_bytes_});
  json.key("limits");
  json.begin_object();
  const auto seconds = [](std::chrono::milliseconds time) { return std::chrono::duration<double>(time).count(); };
  json.member("connections", std::uint64_t{options_.connections_max});
  json.member("connections_per_address", std::uint64_t{options_.connections_per_address_max});
  json.member("frame_bytes", std::uint64_t{options_.frame_bytes_max});
  json.member("requests_in_flight", std::uint64_t{options_.requests_in_flight_max});
  json.member("connection_memory", std::uint64_t{options_.connection_memory_max});
  json.member("handshake_seconds", seconds(options_.handshake_timeout));
  json.member("frame_seconds", seconds(options_.frame_timeout));
  json.member("idle_seconds", seconds(options_.idle_timeout));
  json.member("query_seconds", seconds(options_.query_timeout));
  json.end_object();
  json.member("requests", requests_total_);
  json.member("append_bytes_in_flight", std::uint64_t{append_bytes_});
  json.member("draining", draining_);
  json.end_object();

  const ProcessUsage usage = process_usage();
  json.key("process");
  json.begin_object();
  json.member("rss_anon_bytes", usage.rss_anon_bytes);
  json.member("rss_bytes", usage.rss_bytes);
  json.member("threads", usage.threads);
  json.member("cpu_seconds", usage.cpu_seconds);
  json.end_object();
  json.end_object();
  return std::move(json).take();
}

}  // namespace kappa::serving
