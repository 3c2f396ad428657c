#include "serving/json_writer.h"

#include <charconv>
#include <cmath>

#include "proto/value.h"

namespace kappa::serving {

void JsonWriter::separate() {
  if (!first_) out_ += ',';
  first_ = false;
}

void JsonWriter::open(char bracket) {
  separate();
  out_ += bracket;
  first_ = true;
}

void JsonWriter::close(char bracket) {
  out_ += bracket;
  first_ = false;
}

void JsonWriter::key(std::string_view name) {
  separate();
  append_json_string(name, out_);
  out_ += ':';
  first_ = true;
}

void JsonWriter::text(std::string_view value) {
  separate();
  append_json_string(value, out_);
}

void JsonWriter::number(std::uint64_t value) {
  separate();
  out_ += std::to_string(value);
}

void JsonWriter::number(double value) {
  separate();
  char digits[32];
  const auto end = std::to_chars(digits, digits + sizeof digits, std::isfinite(value) ? value : 0.0,
                                 std::chars_format::fixed, 3);
  out_.append(digits, end.ec == std::errc{} ? end.ptr : digits);
  if (end.ec != std::errc{}) out_ += '0';
}

void JsonWriter::boolean(bool value) {
  separate();
  out_ += value ? "true" : "false";
}

void JsonWriter::null() {
  separate();
  out_ += "null";
}

}  // namespace kappa::serving
