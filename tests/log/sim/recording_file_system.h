// Records what a log does to its files, in the order in which it happens, so that CrashBuilder
// (crash_builder.h) can say what a power cut at any moment leaves.
//
// Works on a file system in memory. A sync is two operations, its beginning and its end: what is
// written in between may or may not be covered. Marks say what was promised to whom by then. Files have
// numbers, because names change. Thread-safe; the order of operations is the order of the calls.
#pragma once

#include <condition_variable>
#include <functional>
#include <optional>

#include "tests/log/sim/memory_file_system.h"

namespace kappa::log::sim {

using FileNumber = std::uint32_t;

struct Operation {
  enum class Kind : std::uint8_t {
    kMakeDirectory,       // name
    kCreate,              // name, file
    kRename,              // name -> to
    kUnlink,              // name
    kWrite,               // file, at, data
    kResize,              // file, size
    kSyncBegin,           // file, sync: number of this sync
    kSyncEnd,             // sync
    kSyncFailed,          // file: what was not on the disk is not going to be, unless written again
    kSyncDirectoryBegin,  // name, sync
    kSyncDirectoryEnd,    // sync
    kMark,                // promise, end
  };
  // What a mark promises of every event below `end`.
  enum class Promise : std::uint8_t {
    kKept,     // Survives a power cut: acknowledged as sync or strict, or seen by a reader.
    kWritten,  // Survives the death of the process: acknowledged as written.
  };
  Kind kind;
  FileNumber file = 0;
  std::string name{};
  std::string to{};
  std::uint64_t at = 0;
  std::uint64_t size = 0;
  std::string data{};
  std::uint32_t sync = 0;
  Promise promise = Promise::kKept;
  std::uint64_t end = 0;
};
// One line, without the data.
[[nodiscard]] std::string describe(const Operation& operation);

using Numbers = std::map<std::string, FileNumber>;
// 1, 2, 3, ... in the order of the names.
[[nodiscard]] Numbers number_files(const Tree& tree);

class RecordingFileSystem final : public FileSystem {
 public:
  // `numbers` names the files of `start`; files created from now on are numbered from `next_file` on.
  RecordingFileSystem(const Tree& start, Numbers numbers, FileNumber next_file);

  Expected<std::unique_ptr<File>> open(const std::filesystem::path& path, OpenMode mode) override;
  Status rename(const std::filesystem::path& from, const std::filesystem::path& to) override;
  Status unlink(const std::filesystem::path& path) override;
  Status sync_directory(const std::filesystem::path& path) override;
  Status create_directory(const std::filesystem::path& path) override;
  Expected<std::vector<std::string>> list(const std::filesystem::path& path) override;

  // The n-th sync of a file from now on (1: the next) fails.
  void fail_sync(std::uint64_t n);
  // No more failures; whether there was one.
  bool stop_failing();
  void mark(Operation::Promise promise, std::uint64_t end);
  // While held, file syncs begin but do not end. A test that holds must let go before it closes.
  void hold_syncs(bool on);
  void wait_until_a_sync_is_held();
  // Waits until `wanted` is true of the operations so far; asked again after every operation.
  void wait_for(const std::function<bool(const std::vector<Operation>&)>& wanted);

  [[nodiscard]] FileNumber number_of(const std::string& path) const;  // 0: no file has the name.
  // What happened so far.
  [[nodiscard]] std::vector<Operation> operations() const;
  [[nodiscard]] Tree tree() const { return inner_.tree(); }

 private:
  friend class RecordingFile;
  void add(Operation operation);  // Needs mutex_.

  MemoryFileSystem inner_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Operation> operations_;
  Numbers numbers_;
  FileNumber next_file_;
  std::uint32_t next_sync_ = 1;
  std::optional<std::uint64_t> syncs_until_failure_;
  bool hold_ = false;
  int held_ = 0;
};

}  // namespace kappa::log::sim
