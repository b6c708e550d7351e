#include "jobs/spec/json_reader.h"

#include <cstddef>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"

namespace caracal {
namespace {

// Where the parser stands in the text: it reads through CountingIterator.
struct Position {
  int line = 1;  // of the next character
  int last = 1;  // of the last character read (of a line end: the line ended)
};

// Reads characters one by one and counts lines.
class CountingIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  CountingIterator(const char* at, Position* position)
      : at_(at), position_(position) {}
  const char& operator*() const { return *at_; }
  CountingIterator& operator++() {
    position_->last = position_->line;
    if (*at_ == '\n') ++position_->line;
    ++at_;
    return *this;
  }
  CountingIterator operator++(int) {
    CountingIterator old = *this;
    ++*this;
    return old;
  }
  bool operator==(const CountingIterator& other) const {
    return at_ == other.at_;
  }
  bool operator!=(const CountingIterator& other) const {
    return at_ != other.at_;
  }

 private:
  const char* at_;
  Position* position_;
};

// Builds the tree from the parser's events; no recursion, so depth is bounded
// here and not by the stack.
class TreeBuilder : public nlohmann::json::json_sax_t {
 public:
  TreeBuilder(const Position* position, Value* root)
      : position_(*position), root_(*root) {}

  bool null() override { return Add(Value::Kind::kNull, "null"); }
  bool boolean(bool value) override {
    return Add(Value::Kind::kWord, value ? "true" : "false");
  }
  bool number_integer(number_integer_t value) override {
    return Add(Value::Kind::kWord, absl::StrCat(value));
  }
  bool number_unsigned(number_unsigned_t value) override {
    return Add(Value::Kind::kWord, absl::StrCat(value));
  }
  bool number_float(number_float_t, const string_t& text) override {
    return Add(Value::Kind::kWord, text);
  }
  bool string(string_t& value) override {
    return Add(Value::Kind::kString, std::move(value));
  }
  bool binary(binary_t&) override { return Fail("binary data"); }

  bool start_object(size_t) override { return Open(Value::Kind::kBlock); }
  bool end_object() override { return Close(); }
  bool start_array(size_t) override { return Open(Value::Kind::kList); }
  bool end_array() override { return Close(); }
  bool key(string_t& name) override {
    Member member;
    member.name = std::move(name);
    member.line = position_.last;
    open_.back()->members.push_back(std::move(member));
    return true;
  }
  bool parse_error(size_t, const std::string&,
                   const nlohmann::json::exception& error) override {
    // "[json.exception.parse_error.101] parse error at line 3, column 5:
    // syntax error while parsing value - unexpected ..."
    // or "[json.exception.out_of_range.406] number overflow parsing ..."
    std::string text = error.what();
    const size_t tag = text.find("] ");
    if (tag != text.npos) text = text.substr(tag + 2);
    const size_t column = text.find(", column ");
    if (column != text.npos) text = text.substr(text.find(": ", column) + 2);
    return Fail(text);
  }

  const std::string& error() const { return error_; }

 private:
  bool Fail(const std::string& message) {
    error_ = absl::StrCat("line ", position_.last, ": ", message);
    return false;
  }

  // Where the value to come belongs.
  Value* Slot() {
    if (open_.empty()) return &root_;
    Value* parent = open_.back();
    if (parent->kind == Value::Kind::kList) {
      parent->items.emplace_back();
      return &parent->items.back();
    }
    return &parent->members.back().value;
  }

  bool Add(Value::Kind kind, std::string text) {
    Value* value = Slot();
    value->kind = kind;
    value->line = position_.last;
    value->text = std::move(text);
    return true;
  }

  bool Open(Value::Kind kind) {
    if (open_.size() >= kMaxValueDepth) {
      return Fail(absl::StrCat("nested more than ", kMaxValueDepth, " deep"));
    }
    // The parent's vectors don't grow while a child is open, so that pointers
    // in open_ stay valid.
    Value* value = Slot();
    value->kind = kind;
    value->line = position_.last;
    open_.push_back(value);
    return true;
  }

  bool Close() {
    open_.pop_back();
    return true;
  }

  const Position& position_;
  Value& root_;
  std::vector<Value*> open_;
  std::string error_;
};

}  // namespace

absl::StatusOr<Value> ReadJson(absl::string_view text) {
  Position position;
  Value root;
  TreeBuilder builder(&position, &root);
  const bool ok = nlohmann::json::sax_parse(
      CountingIterator(text.data(), &position),
      CountingIterator(text.data() + text.size(), &position), &builder);
  if (!ok) return absl::InvalidArgumentError(builder.error());
  if (root.kind != Value::Kind::kBlock) {
    return absl::InvalidArgumentError("line 1: expected a JSON object");
  }
  return root;
}

}  // namespace caracal
