// What derived streams over a topic of card events must write, by a model that goes over the log's events one by
// one; and what a topic holds, as text.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "log/log.h"
#include "processor/derived_writer.h"
#include "proto/batch.h"
#include "proto/value.h"

namespace kappa::processor::test {

// Calls body(offset, record, header of its batch) for every event of a topic.
template <class Body>
void for_each_event(log::Log& log, std::string_view topic, Body&& body) {
  const auto info = log.find_topic(topic);
  if (!info) return;
  const auto reader = log.reader(log.start(), log::ReadFilter{info->id});
  for (;;) {
    const auto batch = reader->next();
    ASSERT_TRUE(batch) << to_string(batch.error());
    if (!*batch) return;
    RecordReader records((*batch)->body, (*batch)->header.count);
    for (std::uint32_t i = 0; i < (*batch)->header.count; ++i) {
      const auto record = records.next();
      ASSERT_TRUE(record && *record);
      body((*batch)->header.base_offset + i, **record, (*batch)->header);
    }
  }
}

// "value key timestamp source/ordinal/number" of each; "-" for what an event has not.
inline std::vector<std::string> derived_events(log::Log& log, std::string_view topic) {
  std::vector<std::string> lines;
  for_each_event(log, topic, [&](Offset, const RecordView& record, const BatchHeader&) {
    std::string identity = "-/-/-";
    const auto headers = decode_headers(record.headers);
    if (headers) {
      for (const RecordHeader& header : *headers) {
        if (header.name == kSourceHeader) identity = header.value;
      }
    }
    lines.push_back(std::string(record.value) + " " + (record.key ? std::string(*record.key) : "-") + " " +
                    (record.timestamp ? std::to_string(record.timestamp->value()) : "-") + " " + identity);
  });
  return lines;
}

// {"card":"c3","ts":12345}; now and then without a time, late, or not an object.
inline std::vector<std::string> random_auth(std::mt19937_64& random, std::size_t count) {
  static std::int64_t clock = 0;
  std::vector<std::string> events;
  for (std::size_t i = 0; i < count; ++i) {
    clock += static_cast<std::int64_t>(random() % 400);
    const std::string card = "c" + std::to_string(random() % 4);
    std::int64_t time = clock;
    if (random() % 8 == 0) time -= static_cast<std::int64_t>(random() % 20'000);  // Also before 1970.
    switch (random() % 40) {
      case 0: events.push_back("poison"); break;
      case 1: events.push_back(R"({"card":")" + card + R"(","ts":null})"); break;
      case 2: events.push_back(R"({"card":")" + card + R"(","ts":"no time"})"); break;
      default: events.push_back(R"({"card":")" + card + R"(","ts":)" + std::to_string(time) + "}");
    }
  }
  return events;
}

// The derived streams of derived_test.cc and the kill loop: `alerts` (more than 3 events of a card in a window of 5
// seconds, when it closes), `changes` (the count of a card, at each event), `passed` (every event of cards but c1).
class AuthModel {
 public:
  void take(log::Log& log, std::string_view topic) {
    for_each_event(log, topic, [&](Offset offset, const RecordView& record, const BatchHeader&) {
      event(offset.value(), record.value);
    });
  }
  // `value` as random_auth() makes it.
  void event(std::uint64_t offset, std::string_view value) {
    if (!value.starts_with("{")) return;
    const std::string card(value.substr(9, 2));
    std::optional<std::int64_t> time;
    const std::string_view rest = value.substr(18);  // After "ts":
    if (rest[0] == '-' || (rest[0] >= '0' && rest[0] <= '9')) time = std::stoll(std::string(rest)) * 1000;
    const std::string source = std::to_string(offset);
    write(changes_, R"({"card":")" + card + R"(","n":)" + std::to_string(++counts_[card]) + "}", card, "-", source, 0);
    if (card != "c1") {
      write(passed_, R"({"card":")" + card + R"(","ts":)" + (time ? "\"" + format_timestamp(*time) + "\"" : "null") + "}",
            "-", time ? std::to_string(*time) : "-", source, 0);
    }
    if (!time) return;
    const std::int64_t start = *time - (((*time % kWindow) + kWindow) % kWindow);
    if (!watermark_ || start + kWindow > *watermark_) ++windows_[{start, card}];
    if (watermark_ && *time <= *watermark_) return;
    watermark_ = *time;
    // Windows that close by this event, in the order of card, window_start: the view's key.
    std::map<std::pair<std::string, std::int64_t>, std::uint64_t> closed;
    for (auto at = windows_.begin(); at != windows_.end() && at->first.first + kWindow <= *watermark_;) {
      if (at->second > 3) closed[{at->first.second, at->first.first}] = at->second;
      at = windows_.erase(at);
    }
    std::uint64_t ordinal = 0;
    for (const auto& [key, tries] : closed) {
      write(alerts_,
            R"({"card":")" + key.first + R"(","window_start":")" + format_timestamp(key.second) + R"(","tries":)" +
                std::to_string(tries) + "}",
            key.first, std::to_string(key.second + kWindow), source, ordinal++);
    }
  }
  [[nodiscard]] const std::vector<std::string>& alerts() const { return alerts_; }
  [[nodiscard]] const std::vector<std::string>& changes() const { return changes_; }
  [[nodiscard]] const std::vector<std::string>& passed() const { return passed_; }

 private:
  static constexpr std::int64_t kWindow = 5'000'000;
  static void write(std::vector<std::string>& to, const std::string& value, const std::string& key,
                    const std::string& time, const std::string& source, std::uint64_t ordinal) {
    to.push_back(value + " " + key + " " + time + " " + source + "/" + std::to_string(ordinal) + "/" +
                 std::to_string(to.size()));
  }
  std::map<std::string, std::uint64_t> counts_;
  std::map<std::pair<std::int64_t, std::string>, std::uint64_t> windows_;  // By start, card.
  std::optional<std::int64_t> watermark_;
  std::vector<std::string> alerts_, changes_, passed_;
};

}  // namespace kappa::processor::test
