#include "jobs/data/json_record.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "core/io/quoted.h"

namespace caracal {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxNames = 8;

// The parser calls one function a token.
class RecordReader : public nlohmann::json_sax<Json> {
 public:
  explicit RecordReader(JsonRecord* out) : out_(out) {}

  // Where the parser stopped, from 1.
  size_t error_byte() const { return error_byte_; }

  bool null() override { return Value("null"); }
  bool boolean(bool) override { return Value("boolean"); }
  bool number_integer(number_integer_t) override { return Value("number"); }
  bool number_unsigned(number_unsigned_t) override { return Value("number"); }
  bool number_float(number_float_t, const string_t&) override {
    return Value("number");
  }
  bool binary(binary_t&) override { return Value("binary"); }

  bool string(string_t& value) override {
    Value("string");
    if (depth_ == 1 && field_ != nullptr) field_->text = std::move(value);
    return true;
  }

  bool start_object(std::size_t) override {
    Value("object");
    ++depth_;
    return true;
  }
  bool end_object() override {
    --depth_;
    return true;
  }
  bool start_array(std::size_t) override {
    Value("array");
    ++depth_;
    return true;
  }
  bool end_array() override {
    --depth_;
    return true;
  }

  bool key(string_t& name) override {
    if (depth_ != 1) return true;
    if (out_->names.size() < kMaxNames) out_->names.push_back(name);
    field_ = name == "text"          ? &out_->text
             : name == "instruction" ? &out_->instruction
             : name == "input"       ? &out_->input
             : name == "output"      ? &out_->output
                                     : nullptr;
    return true;
  }

  bool parse_error(std::size_t position, const std::string&,
                   const Json::exception&) override {
    error_byte_ = position;
    return false;
  }

 private:
  bool Value(const char* type) {
    if (depth_ == 0) out_->type = type;
    if (depth_ == 1 && field_ != nullptr) field_->type = type;
    return true;
  }

  JsonRecord* const out_;
  JsonField* field_ = nullptr;  // of the name read last; null: another one
  int64_t depth_ = 0;
  size_t error_byte_ = 0;
};

// The value of \uXXXX at `at`; -1: that is not there.
int EscapeAt(absl::string_view line, size_t at) {
  if (at + 6 > line.size() || line[at] != '\\' || line[at + 1] != 'u') {
    return -1;
  }
  int value = 0;
  for (size_t i = at + 2; i < at + 6; ++i) {
    const char c = line[i];
    if (!absl::ascii_isxdigit(c)) return -1;
    const int digit = absl::ascii_isdigit(c) ? c - '0' : (c | 32) - 'a' + 10;
    value = value * 16 + digit;
  }
  return value;
}

// The line with U+FFFD for each half of a surrogate pair that stands alone.
std::string WithoutLoneSurrogates(absl::string_view line, int64_t* count) {
  std::string out;
  for (size_t i = 0; i < line.size();) {
    const int unit = EscapeAt(line, i);
    if (unit < 0) {
      // Another escape is two characters, which may be backslashes.
      const size_t step = line[i] == '\\' && i + 1 < line.size() ? 2 : 1;
      out.append(line.data() + i, step);
      i += step;
      continue;
    }
    const bool high = unit >= 0xd800 && unit < 0xdc00;
    const int next = high ? EscapeAt(line, i + 6) : -1;
    if (next >= 0xdc00 && next < 0xe000) {
      out.append(line.data() + i, 12);
      i += 12;
      continue;
    }
    const bool alone = unit >= 0xd800 && unit < 0xe000;
    *count += alone;
    out += alone ? "\\ufffd" : std::string(line.data() + i, 6);
    i += 6;
  }
  return out;
}

}  // namespace

absl::StatusOr<JsonRecord> ParseJsonRecord(absl::string_view line) {
  JsonRecord record;
  RecordReader reader(&record);
  if (Json::sax_parse(line.begin(), line.end(), &reader)) return record;
  int64_t alone = 0;
  const std::string mended = WithoutLoneSurrogates(line, &alone);
  if (alone > 0) {
    JsonRecord again;
    RecordReader second(&again);
    if (Json::sax_parse(mended.begin(), mended.end(), &second)) {
      again.lone_surrogates = alone;
      return again;
    }
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "not valid JSON at byte ", reader.error_byte(), ": ", Quoted(line)));
}

}  // namespace caracal
