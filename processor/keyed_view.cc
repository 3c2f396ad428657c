// See keyed_view.h.
#include <algorithm>
#include <utility>

#include "processor/keyed_view_impl.h"
#include "processor/query.h"

namespace kappa::processor {
namespace {

std::vector<Column> key_columns(const ViewPlan& plan) {
  std::vector<Column> key;
  for (const std::size_t column : plan.key_columns) key.push_back(plan.root->output[column]);
  return key;
}

bool same(const std::vector<Column>& a, const std::vector<Column>& b) {
  return std::ranges::equal(a, b, [](const Column& x, const Column& y) { return x.name == y.name && x.type == y.type; });
}

}  // namespace

Expected<std::shared_ptr<KeyedView>> EngineImpl::Keyed::open(EngineImpl& engine, std::string_view name) {
  KAPPA_TRY(const ViewPtr view, engine.find_view(name));
  KAPPA_TRY(LiveView::Served served, view->served());
  auto keyed = std::make_shared<Keyed>(engine, std::string(name));
  keyed->entry_ = view->entry_pointer();
  keyed->columns_ = visible_columns(view->plan());
  keyed->key_ = key_columns(view->plan());
  keyed->reader_ = std::move(served.reader);
  return keyed;
}

Status EngineImpl::Keyed::encode_key(ByteReader& row, std::string& out) const {
  const std::size_t count = row.u16();
  if (!row.ok()) return fail(ErrorCode::kInvalid, 1010, "malformed value: truncated row");
  if (count != key_.size()) return wrong_key_count(entry_->name, *entry_->view, count);
  if (Status encoded = reader_->append_wire_key(row, count, out); !encoded) {
    Error error = std::move(encoded).error();
    if (error.number == 2011 && error.hint.empty()) error.hint = key_shape(*entry_->view);
    return std::unexpected(std::move(error));
  }
  return {};
}

Expected<EngineImpl::ViewPtr> EngineImpl::Keyed::serving() {
  KAPPA_TRY(ViewPtr view, engine_.find_view(name_));
  if (CatalogEntryPtr entry = view->entry_pointer(); entry != entry_) {
    if (!same(columns_, visible_columns(view->plan())) || !same(key_, key_columns(view->plan()))) {
      return fail(ErrorCode::kInvalid, kViewChanged,
                  "view \"" + name_ + "\" has other columns than when it was opened", "open it again");
    }
    entry_ = std::move(entry);
  }
  return view;
}

Status EngineImpl::Keyed::check() {
  KAPPA_TRY(const ViewPtr view, serving());
  static_cast<void>(view);
  return {};
}

Status EngineImpl::Keyed::read(std::span<const std::string_view> keys, KeyedRows& out) {
  for (;;) {
    const std::uint64_t changes = engine_.catalog_changes_.load();
    KAPPA_TRY(const ViewPtr view, serving());
    if (view->below_floor()) return EngineImpl::below_floor(*view, name_);
    const std::uint64_t generation = view->generation();
    Status status = read_state(*view, keys, out);
    if (!status) engine_.check_damage(*view, generation, status.error());
    if (engine_.still_serves(name_, view, changes)) return status;
  }
}

Status EngineImpl::Keyed::read_state(const LiveView& view, std::span<const std::string_view> keys, KeyedRows& out) {
  KAPPA_TRY(LiveView::Served served, view.served());
  const std::size_t columns = columns_.size();
  if (served.reader->single_entries()) {
    KAPPA_CHECK_OK(served.store->read_many(served.reader->table(), keys, out.found));
    out.begin(out.found.applied());
    for (std::size_t i = 0; i < keys.size(); ++i) {
      if (const auto value = out.found.value(i)) {
        KAPPA_TRY([[maybe_unused]] const bool shown,
                  served.reader->append_wire_row(keys[i], *value, columns, out.bytes()));
      }
      out.end_row();
    }
  } else {
    // A row of several entries is read alone: at one offset all, or all again.
    static constexpr int kTriesMax = 100;
    for (int tries = 1;; ++tries) {
      bool moved = false;
      for (std::size_t i = 0; i < keys.size(); ++i) {
        KAPPA_TRY(auto read, served.reader->get(*served.store, keys[i]));
        if (i == 0) out.begin(read.applied);
        moved = moved || read.applied != out.applied();
        if (read.row) {
          read.row->row.resize(columns);
          encode_row(read.row->row, out.bytes());
        }
        out.end_row();
      }
      if (keys.empty()) out.begin(view.visible());
      if (!moved) break;
      if (tries == kTriesMax) {
        return fail(ErrorCode::kBusy, 2020, "view \"" + name_ + "\" moves faster than its keys can be read",
                    "ask for fewer keys at once");
      }
    }
  }
  if (auto error = view.failed()) return std::unexpected(std::move(*error));
  reader_ = std::move(served.reader);
  return {};
}

Expected<std::shared_ptr<KeyedView>> EngineImpl::open_view(std::string_view name) { return Keyed::open(*this, name); }

}  // namespace kappa::processor
