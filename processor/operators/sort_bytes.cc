// See sort_bytes.h.
#include "processor/operators/sort_bytes.h"

#include "processor/state/key_encoding.h"

namespace kappa::processor {
namespace {

constexpr char kNullFirst = 0;
constexpr char kValue = 1;
constexpr char kNullLast = 2;

// Bytes of the payload at the front; npos if it does not end.
std::size_t payload_bytes(std::string_view in, const SortForm& form) {
  switch (physical_of(form.type.id)) {
    case Physical::kBool: return 1;
    case Physical::kInt64:
    case Physical::kDouble: return 8;
    case Physical::kInt128: return 16;
    case Physical::kText: break;
  }
  // 00 00 ends a text, 00 ff is a byte of it.
  const char zero = form.descending ? '\xff' : '\0';
  for (std::size_t at = in.find(zero); at != std::string_view::npos && at + 1 < in.size();
       at = in.find(zero, at + 2)) {
    if (in[at + 1] == zero) return at + 2;
  }
  return std::string_view::npos;
}

}  // namespace

std::vector<SortForm> sort_forms(const std::vector<SortKey>& keys) {
  std::vector<SortForm> forms;
  for (const SortKey& key : keys) forms.push_back({key.expression->type, key.descending, key.nulls_first});
  return forms;
}

void append_sort_key(const Vector& vector, std::size_t row, const SortForm& form, std::string& out) {
  if (!vector.valid()[row]) {
    out += form.nulls_first ? kNullFirst : kNullLast;
    return;
  }
  const std::size_t at = out.size();
  append_key(vector, row, out);
  if (!form.descending) return;
  for (std::size_t i = at + 1; i < out.size(); ++i) out[i] = static_cast<char>(~out[i]);
}

void append_sort_keys(std::span<const Vector* const> keys, std::size_t row, std::span<const SortForm> forms,
                      std::string& out) {
  for (std::size_t i = 0; i < forms.size(); ++i) append_sort_key(*keys[i], row, forms[i], out);
}

bool skip_sort_keys(std::string_view& in, std::span<const SortForm> forms) {
  for (const SortForm& form : forms) {
    if (in.empty()) return false;
    const char tag = in.front();
    in.remove_prefix(1);
    if (tag == kNullFirst || tag == kNullLast) continue;
    if (tag != kValue) return false;
    const std::size_t bytes = payload_bytes(in, form);
    if (bytes > in.size()) return false;
    in.remove_prefix(bytes);
  }
  return true;
}

}  // namespace kappa::processor
