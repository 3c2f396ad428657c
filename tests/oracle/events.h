// Random events of a topic: their JSON, and what each stream must read in it.
//
// NULL, missing and values of another type; integers at the edges of 64 bits; doubles of every size;
// Unicode raw and escaped; duplicate members; event times out of order, equal, far away and before 1970;
// events that are not JSON.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tests/oracle/dual.h"
#include "tests/oracle/random.h"
#include "tests/oracle/schema.h"

namespace kappa::oracle {

struct Event {
  std::size_t topic = 0;
  std::string json;
  std::optional<std::string> key;
  // By stream of the schema: the row that the event is there; nullopt: it is not of the stream.
  std::vector<std::optional<Cells>> rows;
};

class EventSource {
 public:
  // Both are borrowed.
  EventSource(Random& random, const Schema& schema);
  // Events keep their topic for a while, so that batches of many exist.
  Event next();

 private:
  struct Json;
  Json random_value(Nature nature);
  Json usual_value(Nature nature);
  Json time_value();
  std::string json_scalar();
  std::string json_text();
  static Cell read(const Json& value, Kind kind);
  std::string event_text(const Topic& topic, const std::vector<Json>& values);
  std::string string_text(const std::string& text);

  Random& random_;
  const Schema& schema_;
  std::int64_t clock_ms_;
  std::int64_t step_ms_;
  std::size_t topic_ = 0;
  std::size_t run_;  // One in so many events changes the topic.
};

}  // namespace kappa::oracle
