// The whole walk behind check_pages() in page_tree.h. Memory: one bit a page.
#include <algorithm>
#include <vector>

#include "processor/state/page_tree.h"

namespace kappa::processor {
namespace {

class Walk {
 public:
  using Visit = std::function<Status(std::string_view, std::string_view)>;

  Walk(const Pages& pages, const std::function<bool(std::uint64_t)>& go_on)
      : pages_(pages), go_on_(go_on), used_(pages.image().last_page + 1) {
    used_[0] = used_[1] = true;
  }

  // `numbers`: the keys are the machine's u64, as in the tree of free pages.
  Status tree(const PageTree& tree, bool numbers, const Visit& visit) {
    entries_ = 0;
    depth_ = tree.depth;
    numbers_ = numbers;
    visit_ = &visit;
    has_previous_ = false;
    if (tree.root != PageTree::kNoRoot) KAPPA_CHECK_OK(page(tree.root, 1, nullptr, nullptr));
    if (entries_ != tree.entries)
      return damaged_state(std::to_string(entries_) + " entries, " + std::to_string(tree.entries) + " are recorded");
    return {};
  }

  // One record of the tree of free pages: u64 count, then the pages in falling order.
  Status free_pages(std::string_view value) {
    ByteReader in(as_bytes(value));
    const std::uint64_t count = in.u64();
    if (!in.ok() || count > in.remaining() / 8) return damaged_state("a list of free pages is cut short");
    std::uint64_t before = UINT64_MAX;
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::uint64_t number = in.u64();
      if (number >= before) return damaged_state("a list of free pages is out of order");
      before = number;
      KAPPA_CHECK_OK(use(number));
    }
    return {};
  }

 private:
  Status use(std::uint64_t number) {
    if (number < 2 || number > pages_.image().last_page)
      return damaged_state("page " + std::to_string(number) + " does not exist");
    if (used_[number]) return damaged_state("page " + std::to_string(number) + " is used twice");
    used_[number] = true;
    return {};
  }

  [[nodiscard]] bool below(std::string_view a, std::string_view b) const {
    if (!numbers_) return a < b;
    return number_of(a) < number_of(b);
  }
  static std::uint64_t number_of(std::string_view key) {
    return ByteReader(as_bytes(key)).u64();
  }

  // Every key of the page is in [*from, *to).
  Status page(std::uint64_t number, unsigned level, const std::string_view* from, const std::string_view* to) {
    const auto bad = [number](const char* what) {
      return damaged_state("page " + std::to_string(number) + ": " + what);
    };
    KAPPA_CHECK_OK(use(number));
    KAPPA_TRY(const Pages::Page page, pages_.page(number));
    if (page.leaf != (level == depth_)) return bad("wrong depth");
    // The nodes fill the page from `upper` to its end, without gaps.
    std::size_t bytes = 0;
    std::vector<Pages::Node> nodes(page.keys);
    for (unsigned i = 0; i < page.keys; ++i) {
      Pages::Node& node = nodes[i];
      if (!pages_.node(page, i, node)) return bad("an entry is out of bounds");
      bytes += node.bytes;
      if (!page.leaf && i == 0) continue;
      if (numbers_ ? node.key.size() != 8 : node.key.empty() || node.key.size() > 511) return bad("length of a key");
      if (from != nullptr && below(node.key, *from)) return bad("a key is below its branch's");
      if (to != nullptr && !below(node.key, *to)) return bad("a key is above its branch's");
      if (!page.leaf && i > 1 && !below(nodes[i - 1].key, node.key)) return bad("keys are out of order");
      if (!page.leaf) continue;
      // Across pages: the branch keys only bound them.
      if (has_previous_ && !below(previous_, node.key)) return bad("keys are out of order");
      previous_ = node.key;
      has_previous_ = true;
    }
    if (bytes != pages_.image().page_bytes - page.upper) return bad("entries overlap");
    if (!page.leaf) {
      if (level + 1 == depth_)
        for (const Pages::Node& node : nodes) pages_.prefetch(node.child);
      if (!go_on_(std::uint64_t{page.keys} * pages_.image().page_bytes))
        return fail(ErrorCode::kClosed, 4007, "the server is shutting down");
      for (unsigned i = 0; i < page.keys; ++i)
        KAPPA_CHECK_OK(this->page(nodes[i].child, level + 1, i == 0 ? from : &nodes[i].key,
                                  i + 1 < page.keys ? &nodes[i + 1].key : to));
      return {};
    }
    for (const Pages::Node& node : nodes) {
      for (std::uint64_t i = 0; i < node.overflow_pages; ++i) KAPPA_CHECK_OK(use(node.overflow + i));
      KAPPA_CHECK_OK((*visit_)(node.key, node.value));
      ++entries_;
    }
    return {};
  }

  const Pages& pages_;
  const std::function<bool(std::uint64_t)>& go_on_;
  std::vector<bool> used_;
  const Visit* visit_ = nullptr;
  std::uint64_t entries_ = 0;
  unsigned depth_ = 0;
  bool numbers_ = false;
  std::string_view previous_;
  bool has_previous_ = false;
};

}  // namespace

Status check_pages(const Pages& pages,
                   const std::function<Status(std::string_view key, std::string_view value)>& entry,
                   const std::function<bool(std::uint64_t bytes)>& go_on) {
  Walk walk(pages, go_on);
  KAPPA_CHECK_OK(walk.tree(pages.image().free, true, [&walk](std::string_view, std::string_view value) {
    return walk.free_pages(value);
  }));
  return walk.tree(pages.image().main, false, entry);
}

}  // namespace kappa::processor
