#include "core/io/safetensors_header.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "core/base/status.h"
#include "core/io/quoted.h"

namespace caracal {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxRank = 8;
constexpr char kMetadata[] = "__metadata__";

// The parser calls one function a token; each knows from `place_` what may
// stand there. Returning false ends the parse, with the reason in `status_`.
class HeaderReader : public nlohmann::json_sax<Json> {
 public:
  explicit HeaderReader(SafetensorsHeader* out) : out_(out) {}

  absl::Status status() const { return status_; }

  bool null() override { return Misplaced("null"); }
  bool boolean(bool) override { return Misplaced("true or false"); }
  bool number_integer(number_integer_t) override {
    return Misplaced("a negative number");
  }
  bool number_float(number_float_t, const string_t&) override {
    return Misplaced("a number that is not an integer");
  }
  bool binary(binary_t&) override { return Misplaced("binary data"); }

  bool number_unsigned(number_unsigned_t value) override {
    if (place_ == Place::kShape) {
      if (entry().shape.size() >= kMaxRank) {
        return Fail(absl::StrCat("has more than ", kMaxRank, " dimensions"));
      }
      entry().shape.push_back(value);
      return true;
    }
    if (place_ == Place::kOffsets) {
      if (entry().offsets.size() >= 2) {
        return Fail("has more than two data_offsets");
      }
      entry().offsets.push_back(value);
      return true;
    }
    return Misplaced("a number");
  }

  bool string(string_t& value) override {
    if (place_ == Place::kMetadata) {
      if (!out_->metadata.emplace(key_, std::move(value)).second) {
        return Fail(absl::StrCat("has the key ", Quoted(key_), " twice"));
      }
      return true;
    }
    if (place_ == Place::kEntry && key_ == "dtype") {
      entry().dtype = std::move(value);
      return true;
    }
    return Misplaced("a string");
  }

  bool start_object(std::size_t) override {
    if (place_ == Place::kStart) {
      place_ = Place::kTop;
      return true;
    }
    if (place_ != Place::kTop) return Misplaced("an object");
    if (name_ == kMetadata) {
      place_ = Place::kMetadata;
      return true;
    }
    place_ = Place::kEntry;
    fields_ = 0;
    out_->entries.emplace_back();
    entry().name = name_;
    return true;
  }

  bool key(string_t& value) override {
    if (place_ == Place::kTop) {
      name_ = std::move(value);
      key_.clear();
      if (!names_.insert(name_).second) return Fail("appears twice");
      return true;
    }
    key_ = std::move(value);
    if (place_ != Place::kEntry) return true;
    const int bit = key_ == "dtype"          ? 1
                    : key_ == "shape"        ? 2
                    : key_ == "data_offsets" ? 4
                                             : 0;
    if (bit == 0) {
      return Fail(absl::StrCat("has the field ", Quoted(key_),
                               ", expected dtype, shape and data_offsets"));
    }
    if (fields_ & bit) {
      return Fail(absl::StrCat("has the field ", key_, " twice"));
    }
    fields_ |= bit;
    return true;
  }

  bool end_object() override {
    if (place_ == Place::kEntry) {
      if (fields_ != 7 || entry().offsets.size() != 2) {
        return Fail("lacks a dtype, a shape or two data_offsets");
      }
    }
    place_ = place_ == Place::kTop ? Place::kEnd : Place::kTop;
    return true;
  }

  bool start_array(std::size_t) override {
    if (place_ == Place::kEntry && key_ == "shape") {
      place_ = Place::kShape;
      return true;
    }
    if (place_ == Place::kEntry && key_ == "data_offsets") {
      place_ = Place::kOffsets;
      return true;
    }
    return Misplaced("a list");
  }

  bool end_array() override {
    place_ = Place::kEntry;
    return true;
  }

  bool parse_error(std::size_t position, const std::string&,
                   const Json::exception&) override {
    if (status_.ok()) {
      status_ = absl::DataLossError(
          absl::StrCat("the header is not valid JSON at its byte ", position));
    }
    return false;
  }

 private:
  enum class Place {
    kStart,
    kTop,
    kMetadata,
    kEntry,
    kShape,
    kOffsets,
    kEnd,
  };

  SafetensorsEntry& entry() { return out_->entries.back(); }

  bool Fail(absl::string_view what) {
    status_ = absl::DataLossError(
        absl::StrCat("header entry ", Quoted(name_), " ", what));
    return false;
  }
  bool Misplaced(absl::string_view what) {
    if (place_ == Place::kStart || place_ == Place::kEnd) {
      status_ = absl::DataLossError(
          absl::StrCat("the header is ", what, ", expected a JSON object"));
      return false;
    }
    return Fail(absl::StrCat("has ", what, " where none belongs",
                             key_.empty() ? "" : ", in field ",
                             key_.empty() ? "" : Quoted(key_)));
  }

  SafetensorsHeader* const out_;
  absl::Status status_;
  Place place_ = Place::kStart;
  std::string name_;  // the current key of the header
  std::string key_;   // the current key inside it
  int fields_ = 0;    // seen of the current entry: dtype 1, shape 2, offsets 4
  absl::flat_hash_set<std::string> names_;
};

}  // namespace

absl::Status ParseSafetensorsHeader(absl::string_view json,
                                    SafetensorsHeader* out) {
  HeaderReader reader(out);
  const bool complete = Json::sax_parse(json.begin(), json.end(), &reader);
  if (!complete && reader.status().ok()) {
    return absl::DataLossError("the header is not valid JSON");
  }
  return reader.status();
}

}  // namespace caracal
