#include "tools/row_stream.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>

namespace kappa::tools {

// Pieces of about 64 KiB that wait for their reader.
constexpr std::size_t kPiecesMax = 8;

struct RowStream::Impl {
  std::unique_ptr<Client> client;
  std::mutex mutex;
  std::condition_variable changed;
  std::optional<std::vector<ClientColumn>> columns;
  std::deque<std::vector<Row>> pieces;
  std::optional<Expected<QueryEnd>> result;
  bool stopped = false;
  std::optional<QueryEnd> end;
  // The reader's own.
  std::vector<Row> piece;
  std::size_t at = 0;
  std::thread thread;
};

RowStream::RowStream(std::unique_ptr<Client> client, Query query) : impl_(std::make_unique<Impl>()) {
  Impl& impl = *impl_;
  impl.client = std::move(client);
  impl.thread = std::thread([&impl, query = std::move(query)] {
    auto result = query(
        *impl.client,
        [&impl](const std::vector<ClientColumn>& columns) {
          const std::lock_guard lock(impl.mutex);
          impl.columns = columns;
          impl.changed.notify_all();
          return !impl.stopped;
        },
        [&impl](std::vector<Row> rows) {
          std::unique_lock lock(impl.mutex);
          impl.changed.wait(lock, [&] { return impl.stopped || impl.pieces.size() < kPiecesMax; });
          if (impl.stopped) return false;
          impl.pieces.push_back(std::move(rows));
          impl.changed.notify_all();
          return true;
        });
    const std::lock_guard lock(impl.mutex);
    impl.result = std::move(result);
    impl.changed.notify_all();
  });
}

RowStream::~RowStream() {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->stopped = true;
    if (!impl_->result) impl_->client->interrupt();
    impl_->changed.notify_all();
  }
  impl_->thread.join();
}

Expected<std::vector<ClientColumn>> RowStream::columns() {
  std::unique_lock lock(impl_->mutex);
  impl_->changed.wait(lock, [&] { return impl_->columns || impl_->result; });
  if (impl_->columns) return *impl_->columns;
  if (!*impl_->result) return std::unexpected(impl_->result->error());
  return std::vector<ClientColumn>{};
}

Expected<std::optional<Row>> RowStream::next() {
  Impl& impl = *impl_;
  while (impl.at == impl.piece.size()) {
    std::unique_lock lock(impl.mutex);
    impl.changed.wait(lock, [&] { return !impl.pieces.empty() || impl.result; });
    if (impl.pieces.empty()) {
      if (!*impl.result) return std::unexpected(impl.result->error());
      impl.end = **impl.result;
      return std::nullopt;
    }
    impl.piece = std::move(impl.pieces.front());
    impl.pieces.pop_front();
    impl.at = 0;
    impl.changed.notify_all();
  }
  return std::move(impl.piece[impl.at++]);
}

const std::optional<QueryEnd>& RowStream::end() const { return impl_->end; }

}  // namespace kappa::tools
