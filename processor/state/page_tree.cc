// See page_tree.h.
#include "processor/state/page_tree.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace kappa::processor {
namespace {

constexpr std::uint32_t kMagic = 0xBEEFC0DE;
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kPageHeader = 16;
constexpr std::size_t kNodeHeader = 8;
constexpr std::uint16_t kBranch = 0x01;
constexpr std::uint16_t kLeaf = 0x02;
constexpr std::uint16_t kOverflow = 0x04;
constexpr std::uint16_t kMeta = 0x08;
constexpr std::uint16_t kBigValue = 0x01;
constexpr std::uint16_t kIntegerKey = 0x08;
constexpr unsigned kDepthMax = 32;
constexpr std::uint64_t kPagesMax = std::uint64_t{1} << 48;  // Page numbers in branches have 48 bits.

template <class T>
T load(const std::byte* at) {
  T value{};
  std::memcpy(&value, at, sizeof value);
  return value;
}

std::string page_text(std::uint64_t number) {
  return "page " + std::to_string(number);
}

bool tree_is_possible(const PageTree& tree, std::uint64_t last_page) {
  if (tree.root == PageTree::kNoRoot) return tree.entries == 0 && tree.depth == 0;
  return tree.root > 1 && tree.root <= last_page && tree.depth > 0 && tree.depth <= kDepthMax && tree.entries > 0;
}

}  // namespace

std::unexpected<Error> damaged_state(std::string what) {
  return fail(ErrorCode::kCorrupt, 3301, "the view's state is damaged: " + std::move(what),
              "it is made again from the log, by the server, at the latest when it starts");
}

Expected<std::shared_ptr<const PageMap>> PageMap::map(int descriptor, std::uint64_t bytes) {
  // Room for twice the file: few mappings while it grows.
  const std::uint64_t room = std::max<std::uint64_t>(bytes * 2, std::uint64_t{1} << 20);
  void* data = ::mmap(nullptr, room, PROT_READ, MAP_SHARED, descriptor, 0);
  if (data == MAP_FAILED) return fail_errno(3302, "cannot map the view's state", errno);
  ::madvise(data, room, MADV_RANDOM);
  return std::shared_ptr<const PageMap>(new PageMap(static_cast<const std::byte*>(data), room));
}
PageMap::~PageMap() {
  guard_.reset();
  ::munmap(const_cast<std::byte*>(data_), bytes_);
}

Expected<PageImage> read_meta_page(Bytes bytes, unsigned number) {
  const auto bad = [number](const char* what) {
    return damaged_state("meta page " + std::to_string(number) + ": " + what);
  };
  if (bytes.size() < kMetaPageBytes) return bad("cut short");
  const std::byte* at = bytes.data();
  if (load<std::uint64_t>(at) != number || load<std::uint16_t>(at + 10) != kMeta) return bad("its header");
  ByteReader in(bytes.subspan(kPageHeader));
  if (in.u32() != kMagic || in.u32() != kVersion) return bad("magic or version");
  in.u64();  // Address, for maps at a fixed place: not used.
  in.u64();  // Map size: the opener gives its own.
  PageImage image;
  image.page_bytes = in.u32();
  if (image.page_bytes < 512 || image.page_bytes > 32768 || (image.page_bytes & (image.page_bytes - 1)) != 0)
    return bad("page size");
  const auto tree = [&in](PageTree& out, std::uint16_t& flags) {
    flags = in.u16();
    out.depth = in.u16();
    in.u64();  // Pages of branches, leaves, overflow: for statistics only.
    in.u64();
    in.u64();
    out.entries = in.u64();
    out.root = in.u64();
  };
  std::uint16_t free_flags = 0;
  std::uint16_t main_flags = 0;
  tree(image.free, free_flags);
  in.u32();  // Pad of the main tree.
  tree(image.main, main_flags);
  image.last_page = in.u64();
  image.transaction = in.u64();
  if (!in.ok() || free_flags != kIntegerKey || main_flags != 0) return bad("flags");
  if (image.last_page < 1 || image.last_page >= kPagesMax) return bad("number of pages");
  if (image.transaction != 0 && image.transaction % 2 != number) return bad("transaction number");
  if (!tree_is_possible(image.free, image.last_page) || !tree_is_possible(image.main, image.last_page))
    return bad("root of a tree");
  return image;
}

Expected<std::optional<PageImage>> inspect_data_file(const std::filesystem::path& path) {
  struct stat file{};
  if (::stat(path.c_str(), &file) != 0) {
    if (errno == ENOENT) return std::nullopt;
    return fail_errno(3302, "cannot stat " + path.string(), errno);
  }
  if (!S_ISREG(file.st_mode)) return damaged_state(path.string() + " is not a file");
  if (file.st_size == 0) return std::nullopt;
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return fail_errno(3302, "cannot open " + path.string(), errno);
  std::optional<PageImage> newest;
  Status status;
  std::uint32_t page_bytes = 0;
  for (unsigned number = 0; number < 2 && status; ++number) {
    std::array<std::byte, kMetaPageBytes> bytes{};
    const auto got = ::pread(descriptor, bytes.data(), bytes.size(), static_cast<off_t>(number) * page_bytes);
    if (got < 0) {
      status = fail_errno(3302, "cannot read " + path.string(), errno);
      break;
    }
    const auto image = read_meta_page(Bytes(bytes).first(static_cast<std::size_t>(got)), number);
    if (!image) {
      status = std::unexpected(image.error());
    } else if (number == 1 && image->page_bytes != page_bytes) {
      status = damaged_state("the meta pages have two page sizes");
    } else {
      page_bytes = image->page_bytes;
      if (!newest || image->transaction > newest->transaction) newest = *image;
    }
  }
  ::close(descriptor);
  KAPPA_CHECK_OK(status);
  if (newest->file_bytes() > static_cast<std::uint64_t>(file.st_size))
    return damaged_state(path.string() + " is shorter than its pages");
  return newest;
}

Expected<Pages::Page> Pages::page(std::uint64_t number) const {
  if (number < 2 || number > image_.last_page || (number + 1) * image_.page_bytes > map_->bytes())
    return damaged_state(page_text(number) + " does not exist");
  Page page;
  page.at = map_->data() + number * image_.page_bytes;
  if (load<std::uint64_t>(page.at) != number) return damaged_state(page_text(number) + " is another page's copy");
  const auto flags = load<std::uint16_t>(page.at + 10);
  if (flags != kBranch && flags != kLeaf) return damaged_state(page_text(number) + " is not a tree's page");
  page.leaf = flags == kLeaf;
  page.lower = load<std::uint16_t>(page.at + 12);
  page.upper = load<std::uint16_t>(page.at + 14);
  if (page.lower < kPageHeader || page.lower > page.upper || page.upper > image_.page_bytes || page.lower % 2 != 0 ||
      page.upper % 2 != 0)
    return damaged_state(page_text(number) + " has impossible bounds");
  page.keys = static_cast<unsigned>(page.lower - kPageHeader) / 2;
  if (page.keys < (page.leaf ? 1U : 2U)) return damaged_state(page_text(number) + " has too few keys");
  return page;
}

bool Pages::node(const Page& page, unsigned i, Node& out) const {
  const std::size_t at = load<std::uint16_t>(page.at + kPageHeader + 2 * std::size_t{i});
  if (at < page.upper || at % 2 != 0 || at + kNodeHeader > image_.page_bytes) return false;
  const std::byte* node = page.at + at;
  const auto low = load<std::uint32_t>(node);
  const auto flags = load<std::uint16_t>(node + 4);
  const std::size_t key_bytes = load<std::uint16_t>(node + 6);
  const std::size_t room = image_.page_bytes - at - kNodeHeader;
  if (key_bytes > room) return false;
  const char* key = reinterpret_cast<const char*>(node + kNodeHeader);
  out.key = {key, key_bytes};
  if (!page.leaf) {
    out.child = low | (std::uint64_t{flags} << 32);
    out.bytes = kNodeHeader + (key_bytes + 1) / 2 * 2;
    return at + out.bytes <= image_.page_bytes;
  }
  const bool big = flags == kBigValue;
  if (!big && flags != 0) return false;
  const std::size_t value_bytes = big ? sizeof(std::uint64_t) : low;
  if (value_bytes > room - key_bytes) return false;
  out.bytes = kNodeHeader + (key_bytes + value_bytes + 1) / 2 * 2;
  if (at + out.bytes > image_.page_bytes) return false;
  out.overflow = 0;
  out.overflow_pages = 0;
  if (!big) {
    out.value = {key + key_bytes, low};
    return true;
  }
  const auto first = load<std::uint64_t>(node + kNodeHeader + key_bytes);
  if (first < 2 || first > image_.last_page || (first + 1) * image_.page_bytes > map_->bytes()) return false;
  const std::byte* big_page = map_->data() + first * image_.page_bytes;
  if (load<std::uint64_t>(big_page) != first || load<std::uint16_t>(big_page + 10) != kOverflow) return false;
  const std::uint64_t pages = load<std::uint32_t>(big_page + 12);
  if (pages == 0 || pages > image_.last_page - first + 1 || (first + pages) * image_.page_bytes > map_->bytes())
    return false;
  if (kPageHeader + std::uint64_t{low} > pages * image_.page_bytes) return false;
  out.value = {reinterpret_cast<const char*>(big_page + kPageHeader), low};
  out.overflow = first;
  out.overflow_pages = pages;
  return true;
}

Expected<unsigned> Pages::lower_bound(const Page& page, std::string_view key) const {
  unsigned low = 0;
  unsigned high = page.keys;
  Node probe;
  while (low < high) {
    const unsigned middle = (low + high) / 2;
    if (!node(page, middle, probe))
      return damaged_state(page_text(load<std::uint64_t>(page.at)) + ", entry " + std::to_string(middle));
    if (probe.key < key)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

Expected<unsigned> Pages::child_of(const Page& page, std::string_view key) const {
  unsigned low = 1;  // Node 0 stands for everything below node 1.
  unsigned high = page.keys;
  Node probe;
  while (low < high) {
    const unsigned middle = (low + high) / 2;
    if (!node(page, middle, probe))
      return damaged_state(page_text(load<std::uint64_t>(page.at)) + ", entry " + std::to_string(middle));
    if (probe.key <= key)
      low = middle + 1;
    else
      high = middle;
  }
  return low - 1;
}

Expected<std::optional<std::string_view>> Pages::get(std::string_view key) const {
  const PageTree& tree = image_.main;
  if (tree.root == PageTree::kNoRoot) return std::nullopt;
  std::uint64_t number = tree.root;
  Node found;
  for (unsigned level = 1;; ++level) {
    KAPPA_TRY(const Page at, page(number));
    if (at.leaf != (level == tree.depth)) return damaged_state(page_text(number) + " is at the wrong depth");
    if (at.leaf) {
      KAPPA_TRY(const unsigned i, lower_bound(at, key));
      if (i == at.keys) return std::nullopt;
      if (!node(at, i, found)) return damaged_state(page_text(number) + ", entry " + std::to_string(i));
      if (found.key != key) return std::nullopt;
      return found.value;
    }
    KAPPA_TRY(const unsigned i, child_of(at, key));
    if (!node(at, i, found)) return damaged_state(page_text(number) + ", entry " + std::to_string(i));
    number = found.child;
  }
}

void Pages::prefetch(std::uint64_t number) const {
  if (number > image_.last_page || image_.page_bytes % 4096 != 0) return;
  const std::uint64_t at = number * image_.page_bytes;
  if (at + image_.page_bytes > map_->bytes()) return;
  ::madvise(const_cast<std::byte*>(map_->data() + at), image_.page_bytes, MADV_WILLNEED);
}

Status PageCursor::push(std::uint64_t number) {
  if (depth_ == pages_->image().main.depth) return damaged_state(page_text(number) + " is too deep");
  KAPPA_TRY(levels_[depth_].page, pages_->page(number));
  ++depth_;
  if (levels_[depth_ - 1].page.leaf != (depth_ == pages_->image().main.depth))
    return damaged_state(page_text(number) + " is at the wrong depth");
  return {};
}

Expected<bool> PageCursor::root() {
  depth_ = 0;
  if (pages_->image().main.root == PageTree::kNoRoot) return false;
  KAPPA_CHECK_OK(push(pages_->image().main.root));
  return true;
}

Expected<bool> PageCursor::stand() {
  const Level& leaf = levels_[depth_ - 1];
  if (!pages_->node(leaf.page, leaf.at, node_)) {
    depth_ = 0;
    return damaged_state(page_text(load<std::uint64_t>(leaf.page.at)) + ", entry " + std::to_string(leaf.at));
  }
  return true;
}

Expected<bool> PageCursor::descend(bool to_last) {
  while (!levels_[depth_ - 1].page.leaf) {
    const Level& branch = levels_[depth_ - 1];
    if (!pages_->node(branch.page, branch.at, node_))
      return damaged_state(page_text(load<std::uint64_t>(branch.page.at)) + ", entry " + std::to_string(branch.at));
    KAPPA_CHECK_OK(push(node_.child));
    Level& below = levels_[depth_ - 1];
    below.at = to_last ? below.page.keys - 1 : 0;
  }
  return stand();
}

Expected<bool> PageCursor::seek(std::string_view key) {
  KAPPA_TRY(const bool any, root());
  if (!any) return false;
  for (;;) {
    Level& level = levels_[depth_ - 1];
    if (level.page.leaf) {
      KAPPA_TRY(level.at, pages_->lower_bound(level.page, key));
      if (level.at < level.page.keys) return stand();
      --level.at;
      return next();
    }
    KAPPA_TRY(level.at, pages_->child_of(level.page, key));
    if (!pages_->node(level.page, level.at, node_))
      return damaged_state(page_text(load<std::uint64_t>(level.page.at)) + ", entry " + std::to_string(level.at));
    KAPPA_CHECK_OK(push(node_.child));
  }
}

Expected<bool> PageCursor::last() {
  KAPPA_TRY(const bool any, root());
  if (!any) return false;
  levels_[0].at = levels_[0].page.keys - 1;
  return descend(true);
}

Expected<bool> PageCursor::next() {
  while (depth_ > 0 && levels_[depth_ - 1].at + 1 >= levels_[depth_ - 1].page.keys) --depth_;
  if (depth_ == 0) return false;
  ++levels_[depth_ - 1].at;
  return descend(false);
}

Expected<bool> PageCursor::previous() {
  while (depth_ > 0 && levels_[depth_ - 1].at == 0) --depth_;
  if (depth_ == 0) return false;
  --levels_[depth_ - 1].at;
  return descend(true);
}

}  // namespace kappa::processor
