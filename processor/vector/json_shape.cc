// See json_shape.h. Here is what is learned, and when.
#include "processor/vector/json_shape.h"

#include <algorithm>
#include <cstring>

#include "processor/vector/json_walk.h"

namespace kappa::processor {
namespace {

// Deeper or longer events are left to the walk.
constexpr std::size_t kDepthMax = 16;
constexpr std::size_t kStepsMax = 128;

}  // namespace

JsonShapes::JsonShapes(const PathTrie& trie) : trie_(trie), nodes_(1), found_(trie.size()), quotes_(kEventBytes + 1 + kPositionsMore), seen_(trie.size(), 0) {}

void JsonShapes::end_window() {
  if (matched_ * 2 >= tried_) {
    next_pause_ = kWindow;
  } else {
    // What was learned is of no use, or not any more.
    nodes_.resize(1);
    nodes_[0] = {};
    pause_ = next_pause_;
    next_pause_ = std::min(next_pause_ * 8, kPauseMax);
  }
  tried_ = matched_ = learned_ = 0;
}

bool JsonShapes::describe(std::string_view event, const JsonIndex& index) {
  struct Frame {
    std::uint32_t node;
    std::uint32_t element;
    bool object;
  };
  std::array<Frame, kDepthMax> stack{};
  std::size_t depth = 0;
  std::uint32_t node = 0;  // Of the value that comes next.
  std::size_t begin = 0;   // Of the bytes since the last value.
  const auto element_node = [&](const Frame& frame) {
    return frame.node == PathTrie::kNone ? PathTrie::kNone : trie_.element(frame.node, frame.element);
  };
  const auto wanted = [&] {
    return node == PathTrie::kNone || trie_.node(node).columns.empty() ? PathTrie::kNone : node;
  };
  steps_.clear();
  std::ranges::fill(seen_, std::uint8_t{0});
  const std::uint32_t* const positions = index.positions();
  for (std::uint32_t i = 0; i < index.count(); ++i) {
    const std::size_t from = positions[i];
    std::size_t to = positions[i + 1];
    while (to > from + 1 && (event[to - 1] == ' ' || event[to - 1] == '\t' || event[to - 1] == '\n' || event[to - 1] == '\r'))
      --to;
    const auto add = [&](std::size_t value, Kind kind) {
      steps_.push_back({begin, value - begin, kind, wanted()});
      return steps_.size() < kStepsMax;
    };
    switch (const char c = event[from]) {
      case '{':
      case '[':
        if (depth == kDepthMax || wanted() != PathTrie::kNone) return false;
        stack[depth++] = {node, 0, c == '{'};
        if (c == '[') node = element_node(stack[depth - 1]);
        break;
      case '}':
      case ']': --depth; break;
      case ',':
        if (!stack[depth - 1].object) {
          ++stack[depth - 1].element;
          node = element_node(stack[depth - 1]);
        }
        break;
      case ':': break;
      case '"':
        if (stack[depth - 1].object && event[positions[i + 1]] == ':') {
          const std::string_view name = event.substr(from + 1, to - from - 2);
          if (name.find('\\') != std::string_view::npos) return false;
          const std::uint32_t parent = stack[depth - 1].node;
          node = parent == PathTrie::kNone ? PathTrie::kNone : trie_.member(parent, name);
          if (node != PathTrie::kNone && seen_[node]++ > 0) return false;
        } else {
          if (!add(from + 1, Kind::kString)) return false;
          begin = to - 1;
        }
        break;
      default:
        if (!add(from, c == 't' || c == 'f' || c == 'n' ? Kind::kLiteral : Kind::kNumber)) return false;
        begin = to;
    }
  }
  steps_.push_back({begin, event.size() - begin, Kind::kEnd, PathTrie::kNone});
  return true;
}

std::uint16_t JsonShapes::place(std::uint16_t& first, const Node& like) {
  std::uint16_t* link = &first;
  for (std::size_t siblings = 0; *link != 0; link = &nodes_[*link].sibling) {
    const Node& node = nodes_[*link];
    if (node.kind == like.kind && node.wanted == like.wanted && node.length == like.length && node.bytes == like.bytes)
      return *link;
    if (++siblings == kSiblingsMax) return 0;
  }
  if (nodes_.size() > kNodesMax) return 0;
  *link = static_cast<std::uint16_t>(nodes_.size());
  const std::uint16_t made = *link;  // Before the vector moves.
  nodes_.push_back(like);
  return made;
}

void JsonShapes::learn(std::string_view event, const JsonIndex& index) {
  if (learned_ == kLearnedMax) return;
  ++learned_;
  if (!describe(event, index)) return;
  std::uint16_t parent = 0;
  for (const Step& step : steps_) {
    std::size_t from = step.begin;
    for (std::size_t left = step.length;;) {
      Node node;
      const std::size_t piece = std::min(left, kPieceBytes);
      std::memcpy(node.bytes.data(), event.data() + from, piece);
      node.length = static_cast<std::uint32_t>(piece);
      node.mask = piece == kPieceBytes ? UINT32_MAX : (std::uint32_t{1} << piece) - 1;
      const std::string_view bytes = event.substr(from, piece);
      node.quotes = static_cast<std::uint16_t>(std::ranges::count(bytes, '"'));
      from += piece;
      left -= piece;
      node.kind = left > 0 ? Kind::kMore : step.kind;
      node.anchored = node.quotes > 0 || node.kind == Kind::kEnd;
      if (node.anchored) node.quote_at = static_cast<std::uint16_t>(std::min(bytes.find('"'), piece));
      if (left == 0) node.wanted = step.wanted;
      // The vector may move when a node is made.
      std::uint16_t first = nodes_[parent].child;
      const std::uint16_t number = place(first, node);
      if (nodes_[parent].child == 0) nodes_[parent].child = first;
      if (number == 0) return;
      parent = number;
      if (left == 0) break;
    }
  }
}

}  // namespace kappa::processor
