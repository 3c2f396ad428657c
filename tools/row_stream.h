// Rows of a query, pulled one at a time: the query runs on a thread and a connection of its own and waits when
// nobody takes its rows. One thread at a time pulls.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "proto/error.h"
#include "tools/client/client.h"

namespace kappa::tools {

// Where rows come from, in an order that the user of it knows.
class RowSource {
 public:
  virtual ~RowSource() = default;
  // nullopt: there are no more.
  [[nodiscard]] virtual Expected<std::optional<Row>> next() = 0;
};

class RowStream final : public RowSource {
 public:
  using OnColumns = std::function<bool(const std::vector<ClientColumn>&)>;
  using OnRows = std::function<bool(std::vector<Row>)>;
  using Query = std::function<Expected<QueryEnd>(Client&, const OnColumns&, const OnRows&)>;
  RowStream(std::unique_ptr<Client> client, Query query);
  ~RowStream() override;  // Cancels the query if it still runs.
  RowStream(const RowStream&) = delete;
  RowStream& operator=(const RowStream&) = delete;

  // Waits for them. The query's error if it has none.
  [[nodiscard]] Expected<std::vector<ClientColumn>> columns();
  [[nodiscard]] Expected<std::optional<Row>> next() override;
  // What the query ended with, once next() gave nullopt.
  [[nodiscard]] const std::optional<QueryEnd>& end() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace kappa::tools
