// A log directory kept as one small file, and the text that says what a log holds: what the tests of
// compatibility and the program that writes their fixtures share.
//
// A pack is u64 length of what follows when plain, then a zstd frame of: per file u16 name length,
// name, u64 bytes, content. Segments are mostly zeros, so a directory of 80 KiB becomes a few KiB.
#pragma once

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>

#include "log/log.h"
#include "proto/batch.h"

namespace kappa::log::golden {

// File name to content.
using Files = std::map<std::string, std::string>;

inline std::string load(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
inline void store(const std::filesystem::path& path, std::string_view content) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
}

// Everything of a log directory but its lock and files that were never used.
inline Files read_directory(const std::filesystem::path& directory) {
  Files files;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    const std::string name = entry.path().filename().string();
    if (name != "LOCK" && !name.starts_with("prepared-")) files[name] = load(entry.path());
  }
  return files;
}
inline void write_directory(const Files& files, const std::filesystem::path& directory) {
  std::filesystem::create_directories(directory);
  for (const auto& [name, content] : files) store(directory / name, content);
}

inline std::string pack(const Files& files) {
  std::string plain;
  ByteWriter w(plain);
  for (const auto& [name, content] : files) {
    w.u16(static_cast<std::uint16_t>(name.size()));
    w.text(name);
    w.u64(content.size());
    w.text(content);
  }
  std::string packed;
  ByteWriter(packed).u64(plain.size());
  return packed + compress_body(plain);
}
inline Expected<Files> unpack(std::string_view packed) {
  ByteReader size(as_bytes(packed));
  const std::uint64_t bytes = size.u64();
  if (!size.ok()) return fail(ErrorCode::kCorrupt, 3106, "not a pack");
  KAPPA_TRY(const std::string plain, decompress_body(as_bytes(packed.substr(8)), bytes));
  Files files;
  ByteReader r(as_bytes(plain));
  while (r.ok() && r.remaining() > 0) {
    const std::string name(r.text(r.u16()));
    files[name] = std::string(r.text(r.u64()));
  }
  if (!r.done()) return fail(ErrorCode::kCorrupt, 3106, "not a pack");
  return files;
}

// Bytes as text: printable ones as they are, the others and the backslash as \xNN.
inline std::string printable(std::string_view bytes) {
  std::string text;
  for (const char c : bytes) {
    if (c >= 0x20 && c < 0x7f && c != '\\') {
      text += c;
      continue;
    }
    char hex[8];
    std::snprintf(hex, sizeof hex, "\\x%02x", static_cast<unsigned>(static_cast<unsigned char>(c)));
    text += hex;
  }
  return text;
}

// A line a batch and a line an event, from the log's start: everything a reader can see but hashes.
inline Expected<std::string> listing(Log& log) {
  std::string text;
  const auto reader = log.reader(log.start(), {});
  for (;;) {
    KAPPA_TRY(const auto view, reader->next());
    if (!view) return text;
    const BatchHeader& h = view->header;
    char line[256];
    std::snprintf(
        line, sizeof line,
        "batch kind %u codec %u topic %u offset %llu sequence %llu position %llu epoch %u time %lld "
        "producer %llu/%u/%llu\n",
        static_cast<unsigned>(h.kind), static_cast<unsigned>(h.codec), h.topic_id.value(),
        static_cast<unsigned long long>(h.base_offset.value()),
        static_cast<unsigned long long>(h.base_sequence.value()),
        static_cast<unsigned long long>(h.log_position.value()), h.writer_epoch.value(),
        static_cast<long long>(h.append_time.value()), static_cast<unsigned long long>(h.producer_id.value()),
        h.producer_epoch, static_cast<unsigned long long>(h.producer_sequence));
    text += line;
    RecordReader records(view->body, h.count);
    for (Offset offset = h.base_offset;; ++offset) {
      KAPPA_TRY(const auto record, records.next());
      if (!record) break;
      text += "  " + std::to_string(offset.value());
      if (record->timestamp) text += " at " + std::to_string(record->timestamp->value());
      if (record->key) text += " key " + printable(*record->key);
      KAPPA_TRY(const auto headers, decode_headers(record->headers));
      for (const RecordHeader& header : headers)
        text += " header " + printable(header.name) + "=" + printable(header.value);
      text += " value " + printable(record->value) + "\n";
    }
  }
}

}  // namespace kappa::log::golden
