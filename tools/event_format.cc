#include "tools/event_format.h"

#include "processor/vector/json_decode.h"
#include "proto/value.h"

namespace kappa::tools {
namespace {

// Length of the valid UTF-8 sequence at `at`, 0 if there is none.
std::size_t utf8_length(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
  const unsigned lead = byte(at);
  if (lead < 0x80) return 1;
  const std::size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(at + i) & 0xc0) != 0x80) return 0;
  }
  const unsigned second = byte(at + 1);
  if ((lead == 0xe0 && second < 0xa0) || (lead == 0xed && second > 0x9f) || (lead == 0xf0 && second < 0x90) ||
      (lead == 0xf4 && second > 0x8f)) {
    return 0;
  }
  return length;
}

void append_text(std::string_view bytes, std::string& out) {
  std::string valid;
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t length = utf8_length(bytes, at);
    if (length == 0) {
      valid += "\xef\xbf\xbd";
      ++at;
    } else {
      valid += bytes.substr(at, length);
      at += length;
    }
  }
  append_json_string(valid, out);
}

}  // namespace

EventFormat::EventFormat(std::string_view format) {
  std::string text;
  const auto end_text = [&] {
    if (!text.empty()) pieces_.push_back({0, std::move(text)});
    text.clear();
  };
  for (std::size_t i = 0; i < format.size(); ++i) {
    const char next = i + 1 < format.size() ? format[i + 1] : '\0';
    if (format[i] == '%' && std::string_view("otakv").find(next) != std::string_view::npos && next != '\0') {
      end_text();
      pieces_.push_back({next, {}});
      ++i;
    } else if (format[i] == '%' && next == '%') {
      text += '%';
      ++i;
    } else if (format[i] == '\\' && (next == 'n' || next == 't' || next == '\\')) {
      text += next == 'n' ? '\n' : next == 't' ? '\t' : '\\';
      ++i;
    } else {
      text += format[i];
    }
  }
  end_text();
}

void EventFormat::append(const ClientEvent& event, std::string& out) const {
  if (pieces_.empty()) {
    append_event_json(event, out);
    out += '\n';
    return;
  }
  for (const Piece& piece : pieces_) {
    switch (piece.field) {
      case 'o': out += std::to_string(event.offset.value()); break;
      case 't': out += format_timestamp(event.timestamp.value()); break;
      case 'a': out += format_timestamp(event.append_time.value()); break;
      case 'k': out += event.key.value_or(std::string_view()); break;
      case 'v': out += event.value; break;
      default: out += piece.text;
    }
  }
}

void append_event_json(const ClientEvent& event, std::string& out) {
  out += "{\"offset\":" + std::to_string(event.offset.value());
  out += ",\"time\":\"" + format_timestamp(event.timestamp.value());
  out += "\",\"append_time\":\"" + format_timestamp(event.append_time.value());
  out += "\",\"key\":";
  if (event.key) {
    append_text(*event.key, out);
  } else {
    out += "null";
  }
  out += ",\"value\":";
  if (processor::validate_json_event(event.value)) {
    out += event.value;
  } else {
    append_text(event.value, out);
  }
  out += '}';
}

}  // namespace kappa::tools
