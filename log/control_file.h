// The control file: two pages, written in turns, so that a torn write leaves the other one. Holds
// the watermark W and the writer epoch. One writer at a time (locks inside).
#pragma once

#include <memory>
#include <mutex>

#include "log/file.h"
#include "log/format.h"

namespace kappa::log {

class ControlFile {
 public:
  // `current` is what the file says now (generation 0 for a new one).
  ControlFile(std::unique_ptr<File> file, ControlPage current) : file_(std::move(file)), current_(current) {}

  // Durable on return. Never goes back: a lower watermark than the stored one is ignored. Errors are
  // those of the file; after one the file is not used again.
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
    KAPPA_CHECK_OK(
        file_->pwrite(as_bytes(encode_control_page(page)), (page.generation % 2) * kControlPageBytes));
    return file_->fdatasync();
  }
  std::mutex mutex_;
  std::unique_ptr<File> file_;
  ControlPage current_;
};

}  // namespace kappa::log
