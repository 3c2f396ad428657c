// The Engine behind engine.h: the catalog, the views by name, and the pipeline that feeds them.
//
// Threads: ddl_mutex_ serialises everything that changes the catalog, and is held across its durable
// append; mutex_ guards the two pointers that readers copy. Neither is held while a view is read.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "processor/catalog.h"
#include "processor/engine.h"
#include "processor/live_view.h"
#include "processor/pipeline.h"
#include "processor/show.h"
#include "processor/sql/compile.h"
#include "processor/state_checker.h"

namespace kappa::processor {

class EngineImpl final : public Engine {
 public:
  EngineImpl(EngineOptions options, log::Log& log) : options_(std::move(options)), log_(log) {}
  // Reads the catalog, opens every view, starts the threads.
  [[nodiscard]] Status start();

  Expected<StatementResult> execute(std::string_view sql, const Freshness& freshness, RowSink& sink,
                                    const std::atomic<bool>& cancelled) override;
  Expected<std::vector<Column>> view_columns(std::string_view view) override;
  Expected<GetResult> get(std::string_view view, const KeyRequest& key) override;
  Expected<StatementResult> scan(const ScanRequest& request, RowSink& sink,
                                 const std::atomic<bool>& cancelled) override;
  void wait(std::string_view view, const Freshness& freshness, std::function<void(Status)> ready) override;
  std::vector<ViewStatus> views() const override;
  std::vector<StreamStatus> streams() const override;

 private:
  using ViewPtr = std::shared_ptr<LiveView>;
  using ViewMap = std::map<std::string, ViewPtr, std::less<>>;

  [[nodiscard]] CatalogStatePtr catalog() const;
  [[nodiscard]] std::shared_ptr<const ViewMap> view_map() const;
  // kNotFound 2003. Takes "name" and "name@version".
  [[nodiscard]] Expected<ViewPtr> find_view(std::string_view name) const;

  // engine_ddl.cc: changes of the catalog.
  [[nodiscard]] Expected<StatementResult> change(std::string_view sql);
  [[nodiscard]] Expected<StatementResult> create_stream(const CreateStream& statement, std::string_view sql);
  [[nodiscard]] Expected<StatementResult> create_view(const CreateView& statement, std::string_view sql);
  [[nodiscard]] Expected<StatementResult> drop(const Drop& statement);
  [[nodiscard]] Status append_and_add(CatalogRecord record, std::string_view name, CatalogEntry entry);
  [[nodiscard]] Expected<StatementResult> drop_topic(const Drop& statement);
  [[nodiscard]] Status drop_entry(const CatalogEntry& entry);
  void set_catalog(CatalogStatePtr state);

  // engine_dead_letters.cc: the views that hold the dead letters of streams.
  // Opens that of `stream`, if it has one; it is not fed yet.
  [[nodiscard]] ViewPtr open_dead_letters(const CatalogEntry& stream, std::uint64_t& check_bytes);
  void set_dead_letters(const std::string& stream, ViewPtr view);
  // Takes it out, for the caller to end.
  [[nodiscard]] ViewPtr take_dead_letters(std::string_view stream);
  [[nodiscard]] Expected<StatementResult> show_dead_letters(const Show& statement, const Freshness& freshness,
                                                            RowSink& sink, const std::atomic<bool>& cancelled);

  // engine_derived.cc: derived streams.
  // kInvalid 2010: its topic is taken, has events, or its events would come back to it.
  [[nodiscard]] Status check_derived(const CreateStream& statement) const;
  // The derived streams that write what the scans read.
  [[nodiscard]] std::vector<ViewPtr> writers_to(const std::vector<const Plan*>& scans) const;
  // Waits until the writers have applied what `freshness` names and written what they made of it, then until
  // the view has applied all that.
  void wait_chain(std::vector<ViewPtr> writers, ViewPtr view, const Freshness& freshness,
                  std::function<void(Status)> ready);

  [[nodiscard]] Expected<StatementResult> select(const Select& statement, const Freshness& freshness, RowSink& sink,
                                                 const std::atomic<bool>& cancelled);
  [[nodiscard]] Expected<StatementResult> show(const Show& statement, RowSink& sink);
  // Blocks until `view` satisfies `freshness`.
  [[nodiscard]] Status wait_here(const ViewPtr& view, const Freshness& freshness, const std::atomic<bool>& cancelled);
  // Blocks until the log has what `freshness` names.
  [[nodiscard]] Status wait_for_log(const Freshness& freshness, const std::atomic<bool>& cancelled);
  // A read met damage in the view's state: has the view rebuilt.
  void check_damage(LiveView& view, std::uint64_t generation, const Error& error);
  void wait_view(ViewPtr view, const Freshness& freshness, std::function<void(Status)> ready);
  // Until its applied offset is `target`.
  void wait_alone(const ViewPtr& view, Offset target, std::chrono::milliseconds timeout,
                  std::function<void(Status)> ready);

  const EngineOptions options_;
  log::Log& log_;
  std::mutex ddl_mutex_;
  mutable std::mutex mutex_;  // Guards the next three.
  CatalogStatePtr catalog_ = std::make_shared<const CatalogState>();
  std::shared_ptr<const ViewMap> views_ = std::make_shared<const ViewMap>();
  std::map<std::string, ViewPtr, std::less<>> dead_letters_;  // By stream.
  std::unique_ptr<Pipeline> pipeline_;  // Null when read-only.
  std::unique_ptr<StateChecker> checker_;  // Null when everything was checked at opening. Ends first.
};

}  // namespace kappa::processor
