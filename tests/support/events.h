// Appending events straight to a log, as a server would after its checks.
#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "log/log.h"
#include "proto/batch.h"

namespace kappa::test {

// Appends `values` as one batch, all with `key` if given. Waits for the acknowledgement.
inline Expected<log::AppendAck> append_batch(log::Log& log, std::string_view topic,
                                             std::span<const std::string> values,
                                             std::optional<std::string_view> key = {}) {
  KAPPA_TRY(const TopicId id, log.ensure_topic(topic));
  BatchBuilder builder;
  for (const std::string& value : values) {
    BatchBuilder::Event event;
    event.value = value;
    event.key = key;
    KAPPA_CHECK_OK(builder.add(event));
  }
  log::AppendBatch batch;
  batch.topic = id;
  batch.count = builder.count();
  batch.body = builder.take();
  batch.uncompressed_length = static_cast<std::uint32_t>(batch.body.size());
  return log.append(std::move(batch));
}

// Appends `values` in batches of `batch_size`. The first failure ends it.
inline Status append_events(log::Log& log, std::string_view topic, std::span<const std::string> values,
                            std::size_t batch_size = 1000) {
  while (!values.empty()) {
    const std::size_t count = std::min(batch_size, values.size());
    KAPPA_TRY([[maybe_unused]] const auto ack, append_batch(log, topic, values.first(count)));
    values = values.subspan(count);
  }
  return {};
}

}  // namespace kappa::test
