// The control file: two pages, written in turns, so that a torn write leaves the other one. Holds
// the watermark W and the writer epoch. One writer at a time (locks inside).
#pragma once

#include <memory>
#include <mutex>
#include <optional>

#include "log/file.h"
#include "log/format.h"

namespace kappa::log {

class ControlFile {
 public:
  // `current` is what the file says now (generation 0 for a new one).
  ControlFile(std::unique_ptr<File> file, ControlPage current) : file_(std::move(file)), current_(current) {}

  // Durable on return. Never goes back: a lower watermark than the stored one is ignored. Errors are
  // those of the file. After kFull the page may be written again (the other page is whole); the error of
  // a failed sync is given to every later call, and nothing is tried again.
  Status write(LogPosition watermark, Offset watermark_offset) {
    std::lock_guard lock(mutex_);
    if (watermark < current_.watermark) return {};
    ControlPage next = current_;
    ++next.generation;
    next.watermark = watermark;
    next.watermark_offset = watermark_offset;
    KAPPA_CHECK_OK(store(next));
    current_ = next;
    return {};
  }
  // Begins a new epoch at the recovered end, which may be below an old watermark only after repair.
  Status begin_epoch(WriterEpoch epoch, LogPosition watermark, Offset watermark_offset) {
    std::lock_guard lock(mutex_);
    // What was read may be in the page cache only. Were the other page written before this one is on the
    // disk, a torn write could leave none.
    KAPPA_CHECK_OK(store(current_));
    ControlPage next = current_;
    ++next.generation;
    next.writer_epoch = epoch;
    next.watermark = watermark;
    next.watermark_offset = watermark_offset;
    KAPPA_CHECK_OK(store(next));
    current_ = next;
    return {};
  }

 private:
  Status store(const ControlPage& page) {
    if (failed_) return std::unexpected(*failed_);
    KAPPA_CHECK_OK(
        file_->pwrite(as_bytes(encode_control_page(page)), (page.generation % 2) * kControlPageBytes));
    Status synced = file_->sync_for_good();
    if (!synced) failed_ = synced.error();
    return synced;
  }
  std::mutex mutex_;
  std::unique_ptr<File> file_;
  ControlPage current_;
  std::optional<Error> failed_;  // Of a sync: asked again, the kernel may say yes for pages it lost.
};

}  // namespace kappa::log
