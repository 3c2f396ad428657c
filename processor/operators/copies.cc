// See copies.h.
#include "processor/operators/copies.h"

namespace kappa::processor {

std::unexpected<Error> damaged_state(const char* what) {
  return fail(ErrorCode::kCorrupt, 3301, std::string(what) + " of the view is damaged",
              "the view is rebuilt from the log");
}

StoredCopy next_copy(ByteReader& in) {
  if (in.remaining() == 0) return {};
  StoredCopy copy;
  copy.weight = unzigzag(in.varint());
  copy.row = in.text(static_cast<std::size_t>(in.varint()));
  if (!in.ok()) return {};
  return copy;
}

void append_copy(const StoredCopy& copy, std::string& out) {
  ByteWriter writer(out);
  writer.varint(zigzag(copy.weight));
  writer.varint(copy.row.size());
  out.append(copy.row);
}

Expected<std::int64_t> add_copy(StateEntry& entry, std::size_t head, const StoredCopy& added, std::string& scratch) {
  const std::string_view value = entry.exists ? std::string_view(entry.value) : std::string_view();
  if (entry.exists && value.size() < head) return damaged_state("an entry");
  scratch.clear();
  bool placed = false;
  std::int64_t before = 0;
  ByteReader in(as_bytes(value.substr(std::min(head, value.size()))));
  while (in.remaining() > 0) {
    StoredCopy copy = next_copy(in);
    if (copy.weight == 0) return damaged_state("a stored row");
    if (!placed && copy.row >= added.row) {
      placed = true;
      if (copy.row == added.row) {
        before = copy.weight;
        copy.weight += added.weight;
        if (copy.weight == 0) continue;
      } else {
        append_copy(added, scratch);
      }
    }
    append_copy(copy, scratch);
  }
  if (!placed) append_copy(added, scratch);
  if (scratch.empty()) {
    entry.value.clear();
    entry.exists = false;
    return before;
  }
  if (!entry.exists) {
    entry.value.assign(head, '\0');
    entry.exists = true;
  }
  entry.value.replace(head, entry.value.size() - head, scratch);
  return before;
}

}  // namespace kappa::processor
