// The BACKUP file: lines of text, so that a person can see what a backup holds; the last line is a hash
// of all before it.
//
//   kappa backup 1
//   log <32 hex digits>
//   generation <n>
//   created <microseconds since 1970 UTC>
//   offsets <start> <end>
//   position <log position of the end>
//   epoch <writer epoch>
//   file <stored name> <restored name> <bytes> <restored bytes> <hash> sealed <footer hash>
//   file <stored name> <restored name> <bytes> <restored bytes> <hash> own
//   hash <XXH3_64 of the lines above>
#include <charconv>
#include <cstdio>

#include "log/backup.h"

namespace kappa::log {
namespace {

constexpr std::string_view kFirstLine = "kappa backup ";
constexpr std::uint64_t kBackupVersion = 1;
// About 100 bytes a segment: a million segments.
constexpr std::size_t kBackupBytesMax = std::size_t{128} << 20;

std::string hex(std::uint64_t value) {
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(value));
  return text;
}

// The words of one line, taken one after the other; ok() is false after anything unexpected.
class Words {
 public:
  explicit Words(std::string_view line) : rest_(line) {}
  std::string_view word() {
    const std::size_t end = rest_.find(' ');
    const std::string_view found = rest_.substr(0, end);
    rest_ = end == std::string_view::npos ? std::string_view() : rest_.substr(end + 1);
    ok_ = ok_ && !found.empty();
    return found;
  }
  template <class T>
  T number(int base = 10) {
    const std::string_view text = word();
    T value{};
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value, base);
    ok_ = ok_ && problem == std::errc{} && end == text.data() + text.size();
    return value;
  }
  std::uint64_t u64() { return number<std::uint64_t>(); }
  void expect(std::string_view wanted) { ok_ = word() == wanted && ok_; }
  void fail() { ok_ = false; }
  [[nodiscard]] bool done() const { return ok_ && rest_.empty(); }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

// Names come from a file that somebody may have changed: they must stay inside the directory.
bool plain_name(std::string_view name) {
  return !name.empty() && name.size() < 200 && name.front() != '.' &&
         name.find('/') == std::string_view::npos;
}

}  // namespace

std::uint64_t BackupManifest::bytes() const {
  std::uint64_t sum = 0;
  for (const BackupFile& file : files) sum += file.bytes;
  return sum;
}

std::string encode_backup_manifest(const BackupManifest& manifest) {
  const auto n = [](std::uint64_t value) { return " " + std::to_string(value); };
  std::string text = std::string(kFirstLine) + std::to_string(kBackupVersion) + "\n";
  text += "log " + manifest.log_id.text() + "\n";
  text += "generation" + n(manifest.generation) + "\n";
  text += "created " + std::to_string(manifest.created.value()) + "\n";
  text += "offsets" + n(manifest.start.value()) + n(manifest.end.value()) + "\n";
  text += "position" + n(manifest.position.value()) + "\n";
  text += "epoch" + n(manifest.writer_epoch.value()) + "\n";
  for (const BackupFile& file : manifest.files) {
    text += "file " + file.stored + " " + file.restored + n(file.bytes) + n(file.restored_bytes) + " " +
            hex(file.hash);
    text += file.sealed ? " sealed " + hex(file.footer_hash) + "\n" : " own\n";
  }
  return text + "hash " + hex(hash_bytes(as_bytes(text), 0)) + "\n";
}

Expected<BackupManifest> decode_backup_manifest(std::string_view text) {
  const auto damaged = [](const char* what) {
    return fail(ErrorCode::kCorrupt, 3181, std::string("the BACKUP file is damaged: ") + what);
  };
  if (!text.starts_with(kFirstLine)) return damaged("it does not begin as one");
  const std::size_t last = text.size() < 2 ? std::string_view::npos : text.rfind('\n', text.size() - 2);
  if (last == std::string_view::npos || text.back() != '\n') return damaged("it is cut short");
  const std::string_view body = text.substr(0, last + 1);
  if (text.substr(last + 1) != "hash " + hex(hash_bytes(as_bytes(body), 0)) + "\n")
    return damaged("its hash differs");

  BackupManifest manifest;
  std::size_t at = 0;
  const auto line = [&](std::string_view first) {
    const std::size_t end = body.find('\n', at);
    Words words(end == std::string_view::npos ? std::string_view() : body.substr(at, end - at));
    at = end == std::string_view::npos ? body.size() : end + 1;
    words.expect(first);
    return words;
  };
  Words version = line("kappa");
  version.expect("backup");
  if (version.u64() != kBackupVersion)
    return fail(ErrorCode::kUnsupported, 3103, "the backup has a newer format", "upgrade kappa");
  Words id = line("log");
  const std::string_view digits = id.word();
  if (!id.done() || digits.size() != 32) return damaged("log id");
  Words high(digits.substr(0, 16)), low(digits.substr(16));
  manifest.log_id = {low.number<std::uint64_t>(16), high.number<std::uint64_t>(16)};
  Words generation = line("generation");
  manifest.generation = generation.u64();
  Words created = line("created");
  manifest.created = Timestamp(created.number<std::int64_t>());
  Words offsets = line("offsets");
  manifest.start = Offset(offsets.u64());
  manifest.end = Offset(offsets.u64());
  Words position = line("position");
  manifest.position = LogPosition(position.u64());
  Words epoch = line("epoch");
  manifest.writer_epoch = WriterEpoch(epoch.number<std::uint32_t>());
  for (const Words* words : {&high, &low, &generation, &created, &offsets, &position, &epoch})
    if (!words->done()) return damaged("a line of its head");
  while (at < body.size()) {
    Words words = line("file");
    BackupFile file;
    file.stored = words.word();
    file.restored = words.word();
    file.bytes = words.u64();
    file.restored_bytes = words.u64();
    file.hash = words.number<std::uint64_t>(16);
    const std::string_view kind = words.word();
    file.sealed = kind == "sealed";
    if (file.sealed) file.footer_hash = words.number<std::uint64_t>(16);
    if (!words.done() || (kind != "sealed" && kind != "own") || !plain_name(file.stored) ||
        !plain_name(file.restored) || file.restored_bytes < file.bytes)
      return damaged("a line of a file");
    manifest.files.push_back(std::move(file));
  }
  return manifest;
}

Expected<BackupManifest> read_backup_manifest(FileSystem& files, const std::filesystem::path& directory) {
  const auto text = files.read_whole(directory / kBackupName, kBackupBytesMax);
  if (!text) {
    if (text.error().code == ErrorCode::kNotFound)
      return fail(ErrorCode::kNotFound, 3180, "no complete backup in " + directory.string(),
                  "a backup that was interrupted has no BACKUP file: run kappa backup again");
    return std::unexpected(text.error());
  }
  return decode_backup_manifest(*text);
}

}  // namespace kappa::log
