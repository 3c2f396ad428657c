// KeyedView over the engine. See keyed_view.h.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "processor/engine_impl.h"
#include "processor/keyed_view.h"

namespace kappa::processor {

class EngineImpl::Keyed final : public KeyedView {
 public:
  // Of the version of `name` that serves now. kNotFound 2003, and the view's error if it failed.
  [[nodiscard]] static Expected<std::shared_ptr<KeyedView>> open(EngineImpl& engine, std::string_view name);
  Keyed(EngineImpl& engine, std::string name) : engine_(engine), name_(std::move(name)) {}

  const std::vector<Column>& columns() const override { return columns_; }
  const std::vector<Column>& key() const override { return key_; }
  Status check() override;
  Status encode_key(ByteReader& row, std::string& out) const override;
  Status read(std::span<const std::string_view> keys, KeyedRows& out) override;

 private:
  // The view that serves, if it can be read by what was opened.
  [[nodiscard]] Expected<ViewPtr> serving();
  [[nodiscard]] Status read_state(const LiveView& view, std::span<const std::string_view> keys, KeyedRows& out);

  EngineImpl& engine_;
  const std::string name_;
  std::vector<Column> columns_;
  std::vector<Column> key_;
  CatalogEntryPtr entry_;                     // The version that columns and key were last compared with.
  std::shared_ptr<const ViewReader> reader_;  // Of a state of such a version: how keys are encoded.
};

}  // namespace kappa::processor
