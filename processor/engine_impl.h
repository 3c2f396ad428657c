// The Engine behind engine.h: the catalog, the views by name, and the pipeline that feeds them.
//
// Threads: ddl_mutex_ serialises everything that changes the catalog, and is held across its durable
// append; mutex_ guards the two pointers that readers copy. Neither is held while a view is read.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <set>
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
#include "processor/version_keeper.h"
#include "processor/watch/watch_impl.h"

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
  bool must_wait(std::string_view view) const override;
  Expected<std::shared_ptr<KeyedView>> open_view(std::string_view view) override;
  Expected<StatementResult> scan(const ScanRequest& request, RowSink& sink,
                                 const std::atomic<bool>& cancelled) override;
  void wait(std::string_view view, const Freshness& freshness, std::function<void(Status)> ready) override;
  Expected<std::unique_ptr<Watch>> watch(WatchRequest request, std::function<void(WatchNews)> news) override;
  Status pause_replay(std::string_view view) override;
  Status resume_replay(std::string_view view) override;
  std::vector<ViewStatus> views() const override;
  std::vector<StreamStatus> streams() const override;

 private:
  class Keyed;
  using ViewPtr = processor::ViewPtr;
  using ViewMap = std::map<EntryRef, ViewPtr>;  // Every version that has a state, the dead letters' apart.

  [[nodiscard]] CatalogStatePtr catalog() const;
  [[nodiscard]] std::shared_ptr<const ViewMap> view_map() const;
  // kNotFound 2003. Takes "name", which gives the version that serves, and "name@version".
  [[nodiscard]] Expected<ViewPtr> find_view(std::string_view name) const;
  // What a read that does not wait gets of a view that does not serve yet.
  [[nodiscard]] static std::unexpected<Error> below_floor(const LiveView& view, std::string_view name);
  [[nodiscard]] ViewPtr find_state(const EntryRef& ref) const;  // Null if there is none.
  // False once it was dropped.
  [[nodiscard]] bool is_kept(const LiveView& view) const;

  // engine_ddl.cc: changes of the catalog.
  [[nodiscard]] Expected<StatementResult> change(std::string_view sql);
  [[nodiscard]] Expected<StatementResult> create_stream(const CreateStream& statement, std::string_view sql);
  [[nodiscard]] Expected<StatementResult> create_view(const CreateView& statement, std::string_view sql);
  [[nodiscard]] Expected<StatementResult> drop(const Drop& statement);
  [[nodiscard]] Status append_and_add(CatalogRecord record, std::string_view name, CatalogEntry entry);
  // Opens the states of an entry whose record is durable and has them fed; the catalog comes after it.
  void open_states(const CatalogEntryPtr& entry);
  // Takes the states of a version away and deletes them.
  void close_states(const EntryRef& ref);
  [[nodiscard]] Expected<StatementResult> drop_topic(const Drop& statement);
  [[nodiscard]] Status drop_entry(const CatalogEntry& entry);
  void set_catalog(CatalogStatePtr state);
  // Whether what was read of `view`, found under `name` when catalog_changes_ was `changes` or more, is what its
  // readers may see. A version that serves no more is still fed: who found it before a cutover and reads it after may
  // see more than the next reader of the new one, so it has to read again.
  [[nodiscard]] bool still_serves(std::string_view name, const ViewPtr& view, std::uint64_t changes) const;

  // engine_versions.cc: versions of a name. All under ddl_mutex_.
  // engine_replace.cc: CREATE OR REPLACE of what exists. New versions of it and of everything that reads it begin to
  // be built.
  struct Change {
    CatalogEntryPtr existing;
    ScriptPiece piece;  // The statement; errors have their place in what it is a piece of.
  };
  struct Staged {
    Replacement replacement;
    std::vector<std::pair<CatalogRecord, CatalogEntry>> made;  // What reads another after that.
  };
  [[nodiscard]] Expected<StatementResult> replace(const std::vector<Change>& changes);
  // Several such statements in one text: one replacement.
  [[nodiscard]] Expected<StatementResult> change_together(const std::vector<ScriptPiece>& pieces);
  // Compiles new versions of `old`, of which `changes` have another text. Writes nothing.
  [[nodiscard]] Expected<Staged> stage(const std::vector<Change>& changes, const std::vector<CatalogEntryPtr>& old,
                                       Offset from);
  [[nodiscard]] Expected<StatementResult> alter(const Alter& statement, std::unique_lock<std::mutex>& ddl);
  // Decides that readers go to the new versions, or back to the old ones: the record of that is durable afterwards,
  // and complete_switch() must follow, now or in a later round of the keeper.
  [[nodiscard]] Status begin_switch(const Replacement& replacement, bool to_new);
  // Lets them go, in one step, if those versions are as far as the others at this moment. kBusy 2016: not yet, it is
  // to be tried again. After any other error it was taken back, or will be.
  [[nodiscard]] Status complete_switch(Offset id);
  // Both, waiting for some time, and not holding the lock meanwhile.
  [[nodiscard]] Status switch_over(Offset id, bool to_new, std::unique_lock<std::mutex>& ddl);
  // The switch that was decided is taken back.
  [[nodiscard]] Status undo_switch(Offset id);
  // Drops what does not serve, and with it the replacement.
  [[nodiscard]] Status finish(Replacement replacement);
  // Why the versions that would serve cannot yet; nullopt: they can.
  [[nodiscard]] std::optional<Error> not_ready(const Replacement& replacement, bool to_new) const;
  // What `name` is in the middle of ends first: builds are cancelled, old versions dropped.
  [[nodiscard]] Status end_replacements(std::string_view name);
  // kInvalid 2010 if one of them is being replaced.
  [[nodiscard]] Status check_not_replaced(const std::vector<std::string>& names) const;
  // One round of the keeper's work; when the next is due, nullopt: when it is woken.
  [[nodiscard]] std::optional<std::chrono::milliseconds> keep_versions();
  [[nodiscard]] Status put_replacement(Replacement replacement);
  // After a restart: what serves since a cutover is read only when it is that far.
  void set_floors(const ViewMap& views);

  // engine_pauses.cc: builds that stand still. Under ddl_mutex_.
  [[nodiscard]] Status pause(std::string_view name);
  [[nodiscard]] Status resume(std::string_view name);
  void load_pauses(const ViewMap& views);  // Before anybody else uses them.
  // The version is being dropped.
  void forget_pause(Offset id);

  // engine_dead_letters.cc: the views that hold the dead letters of streams.
  // Opens that of `stream`, if it has one; it is not fed yet.
  [[nodiscard]] ViewPtr open_dead_letters(const CatalogEntry& stream, std::uint64_t& check_bytes);
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
  // Switches that are durable and that readers have not followed yet, by id, in the state that they lead to. Under
  // ddl_mutex_. Nothing else happens to such a replacement, except that it can end.
  std::map<Offset, Replacement> decided_;
  bool has_floors_ = false;  // Constant once started.
  std::set<Offset> pauses_;  // By the creation offsets of the versions. Under ddl_mutex_.
  mutable std::mutex mutex_;  // Guards the next three.
  CatalogStatePtr catalog_ = std::make_shared<const CatalogState>();
  std::atomic<std::uint64_t> catalog_changes_{0};  // Counts set_catalog().
  std::shared_ptr<const ViewMap> views_ = std::make_shared<const ViewMap>();
  ViewMap dead_letters_;  // By stream and version.
  std::unique_ptr<Pipeline> pipeline_;  // Null when read-only.
  std::shared_ptr<WatchHub> watches_;   // Shared with watches, which keep it for their end.
  std::unique_ptr<StateChecker> checker_;  // Null when everything was checked at opening. Ends before those.
  std::unique_ptr<VersionKeeper> keeper_;  // Null when read-only. Ends first.
};

}  // namespace kappa::processor
