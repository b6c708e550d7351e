#include "jobs/data/json_record.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "absl/status/status.h"
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

}  // namespace

absl::StatusOr<JsonRecord> ParseJsonRecord(absl::string_view line) {
  JsonRecord record;
  RecordReader reader(&record);
  if (Json::sax_parse(line.begin(), line.end(), &reader)) return record;
  return absl::InvalidArgumentError(absl::StrCat(
      "not valid JSON at byte ", reader.error_byte(), ": ", Quoted(line)));
}

}  // namespace caracal
