// See edits.h.
#include "tests/fuzz/edits.h"

#include <algorithm>

namespace kappa::fuzz {
namespace {

constexpr std::size_t kBlock = 512;
constexpr std::size_t kFileBytesMax = 64 << 10;  // Edited files do not grow past it.

// A place in a file: near its front, in its first 64 KiB, or near its end.
std::size_t place(Input& in, const std::string& file) {
  if (file.empty()) return 0;
  switch (in.choice(3)) {
    case 0: return in.u8() % file.size();
    case 1: return in.u16() % file.size();
    default: return file.size() - 1 - in.u8() % file.size();
  }
}

// The i-th file by name.
Directory::iterator pick(Input& in, Directory& files) {
  auto at = files.begin();
  if (!files.empty()) std::advance(at, static_cast<std::ptrdiff_t>(in.choice(files.size())));
  return at;
}

// Names that mean something to the log, besides those that are there.
std::string some_name(Input& in) {
  const SmallLog& log = small_log();
  switch (in.choice(9)) {
    case 0: return "prepared-7.ready";
    case 1: return "prepared-8.unfinished";
    case 2: return "first.unfinished";
    case 3: return "torn-81234.bin";
    case 4: return log::kManifestName;
    case 5: return log::kControlName;
    // One after the other: compilers differ in the order of arguments, and inputs are kept.
    case 6: {
      const std::uint64_t number = in.u8() % 6;
      return log::segment_name(number, Offset(in.u8()));
    }
    case 7: {
      const std::uint64_t number = in.u64();
      return log::segment_name(number, Offset(in.u64()));
    }
    default: return log.segment_names[in.choice(log.segment_names.size())];
  }
}

void overwrite(std::string& file, std::size_t at, std::string_view bytes) {
  if (at >= file.size()) return;
  bytes = bytes.substr(0, file.size() - at);
  file.replace(at, bytes.size(), bytes);
}

void forge_control(Input& in, std::string& file) {
  const std::size_t page = in.choice(2) * log::kControlPageBytes;
  const std::size_t at = page + in.u8() % 64;
  overwrite(file, at, in.take(in.choice(9)));
  fix_page_hash(file, page, "KCTL");
}

void forge_manifest(Input& in, std::string& file) {
  if (in.choice(4) == 0) {
    const std::size_t at = std::min<std::size_t>(in.u8(), file.size());
    file.insert(at, in.take(in.u8()));
  }
  const std::size_t at = in.u8();
  overwrite(file, at, in.take(in.choice(9)));
  fix_page_hash(file, 0, "KMAN");
}

}  // namespace

void damage_bytes(Input& in, std::string& file) {
  switch (in.choice(9)) {
    case 0: {
      const std::size_t at = place(in, file);
      overwrite(file, at, in.take(1 + in.choice(32)));
      return;
    }
    case 1: {
      const std::size_t at = place(in, file);
      if (at < file.size()) file[at] = static_cast<char>(file[at] ^ (1 << in.choice(8)));
      return;
    }
    case 2: file.resize(place(in, file)); return;
    case 3: file.append(in.take(in.u8())); return;
    case 4: file.append(in.choice(16) * kBlock, '\0'); break;
    case 5: {
      const std::size_t at = place(in, file) / kBlock * kBlock;
      overwrite(file, at, std::string(kBlock, '\0'));
      return;
    }
    case 6: {  // Two blocks change places.
      const std::size_t a = place(in, file) / kBlock * kBlock;
      const std::size_t b = place(in, file) / kBlock * kBlock;
      if (file.empty()) return;
      const std::string first = file.substr(a, kBlock);
      overwrite(file, a, file.substr(b, kBlock));
      overwrite(file, b, first);
      return;
    }
    case 7: {  // A block is written twice.
      const std::size_t a = place(in, file) / kBlock * kBlock;
      const std::size_t b = place(in, file) / kBlock * kBlock;
      overwrite(file, b, file.substr(a, kBlock));
      return;
    }
    default: {  // Everything from here on never reached the disk.
      const std::size_t at = place(in, file);
      if (at < file.size()) overwrite(file, at, std::string(file.size() - at, '\0'));
      return;
    }
  }
  if (file.size() > kFileBytesMax) file.resize(kFileBytesMax);
}

void forge_segment(Input& in, std::string& file, std::size_t number) {
  const SmallLog& small = small_log();
  const std::uint64_t seed = small.id.low;
  const std::vector<std::uint64_t>& batches = small.batches[number];
  switch (in.choice(4)) {
    case 0: {  // A field of a batch header; perhaps the batches behind are chained to it.
      const std::size_t i = in.choice(batches.size());
      const std::size_t at = batches[i] + in.choice(152);
      overwrite(file, at, in.take(1 + in.choice(8)));
      fix_batch_hashes(file, batches[i], seed);
      if (in.choice(2) == 0) chain_again(file, batches, i + 1, seed);
      return;
    }
    case 1: {  // A body.
      const std::size_t i = in.choice(batches.size());
      const std::size_t at = batches[i] + kBatchHeaderBytes + in.u8();
      overwrite(file, at, in.take(1 + in.choice(48)));
      fix_batch_hashes(file, batches[i], seed);
      if (in.choice(2) == 0) chain_again(file, batches, i + 1, seed);
      return;
    }
    case 2: {
      const std::size_t at = in.u8() % 64;
      overwrite(file, at, in.take(1 + in.choice(8)));
      fix_page_hash(file, 0, "KSEG");
      return;
    }
    default: {
      const std::size_t at = file.rfind("KFTR");
      if (at == std::string::npos) return;
      const std::size_t byte = at + in.u8();
      overwrite(file, byte, in.take(1 + in.choice(16)));
      fix_footer_hash(file, at, seed);
      return;
    }
  }
}

EditedLog edit_small_log(Input& in, std::size_t edits_max) {
  const SmallLog& small = small_log();
  EditedLog out{small.files, false};
  for (std::size_t i = 0; i < edits_max && !in.empty(); ++i) {
    const auto file = pick(in, out.files);
    if (file == out.files.end()) return out;
    switch (in.choice(8)) {
      case 0:
      case 1:
      case 2: damage_bytes(in, file->second); break;
      case 3: out.files.erase(file); break;
      case 4: {  // A copy under another name.
        std::string bytes = file->second;
        out.files[some_name(in)] = std::move(bytes);
        break;
      }
      case 5: {  // Two files change places.
        const auto other = pick(in, out.files);
        std::swap(file->second, other->second);
        break;
      }
      case 6: {
        std::string name = some_name(in);
        if (!out.files.contains(name)) out.files[std::move(name)] = std::string(in.take(in.u8()));
        break;
      }
      default: {
        out.forged = true;
        const auto number = static_cast<std::size_t>(std::ranges::find(small.segment_names, file->first) -
                                                     small.segment_names.begin());
        if (file->first == log::kControlName) forge_control(in, file->second);
        if (file->first == log::kManifestName) forge_manifest(in, file->second);
        if (file->first.ends_with(".index")) {
          damage_bytes(in, file->second);
          fix_index_hash(file->second, small.id.low);
        }
        if (number < small.segment_names.size()) forge_segment(in, file->second, number);
      }
    }
  }
  return out;
}

}  // namespace kappa::fuzz
