// What several messages are made of. For proto/*.cc.
#pragma once

#include <optional>
#include <vector>

#include "proto/messages.h"

namespace kappa {

void put(ByteWriter& out, const FreshnessMessage& freshness);
[[nodiscard]] FreshnessMessage take_freshness(ByteReader& in);
void put(ByteWriter& out, const std::vector<ColumnMessage>& columns);
[[nodiscard]] std::vector<ColumnMessage> take_columns(ByteReader& in);
// A row, or nullopt after a failure (also when values follow a failed length).
[[nodiscard]] std::optional<Row> take_row(ByteReader& in);

}  // namespace kappa
