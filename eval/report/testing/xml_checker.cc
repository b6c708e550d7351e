// A hand-written scanner: text, tags, attributes, entities.
#include "eval/report/testing/xml_checker.h"

#include <cctype>
#include <cstddef>
#include <set>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/strip.h"
#include "core/base/status.h"

namespace caracal {
namespace {

class Scanner {
 public:
  explicit Scanner(absl::string_view markup) : rest_(markup), all_(markup) {}

  absl::Status Scan() {
    if (absl::StartsWith(rest_, "<!DOCTYPE html>")) rest_.remove_prefix(15);
    while (!rest_.empty()) {
      RETURN_IF_ERROR(rest_[0] == '<' ? Tag() : Character(""));
    }
    if (!open_.empty()) return Wrong("never closed: " + open_.back());
    return absl::OkStatus();
  }
  std::map<std::string, int> counts() const { return counts_; }

 private:
  absl::Status Wrong(absl::string_view what) const {
    const size_t at = all_.size() - rest_.size();
    return absl::InvalidArgumentError(
        absl::StrCat(what, " at byte ", at, ": ", rest_.substr(0, 60)));
  }

  // One character of text or of an attribute's value.
  absl::Status Character(absl::string_view forbidden) {
    const char c = rest_[0];
    if (c == '<' || forbidden.find(c) != absl::string_view::npos) {
      return Wrong("forbidden character");
    }
    if (static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t') {
      return Wrong("control character");
    }
    if (c == '&') {
      for (const char* entity : {"&amp;", "&lt;", "&gt;", "&quot;", "&#39;"}) {
        if (absl::ConsumePrefix(&rest_, entity)) return absl::OkStatus();
      }
      return Wrong("bare &");
    }
    rest_.remove_prefix(1);
    return absl::OkStatus();
  }

  std::string Name() {
    size_t size = 0;
    while (size < rest_.size() &&
           (std::isalnum(static_cast<unsigned char>(rest_[size])) != 0 ||
            rest_[size] == '-')) {
      ++size;
    }
    std::string name(rest_.substr(0, size));
    rest_.remove_prefix(size);
    return name;
  }

  void SkipSpace() {
    while (!rest_.empty() && (rest_[0] == ' ' || rest_[0] == '\n')) {
      rest_.remove_prefix(1);
    }
  }

  absl::Status Tag() {
    rest_.remove_prefix(1);
    const bool closing = absl::ConsumePrefix(&rest_, "/");
    const std::string name = Name();
    if (name.empty()) return Wrong("tag without a name");
    if (closing) {
      if (open_.empty() || open_.back() != name) {
        return Wrong(absl::StrCat("closes ", name, " while ",
                                  open_.empty() ? "nothing" : open_.back(),
                                  " is open"));
      }
      open_.pop_back();
      return absl::ConsumePrefix(&rest_, ">")
                 ? absl::OkStatus()
                 : Wrong("no > after a closing tag");
    }
    ++counts_[name];
    std::set<std::string> attributes;
    while (true) {
      SkipSpace();
      if (absl::ConsumePrefix(&rest_, "/>")) return absl::OkStatus();
      if (absl::ConsumePrefix(&rest_, ">")) break;
      const std::string attribute = Name();
      if (attribute.empty() || !absl::ConsumePrefix(&rest_, "=\"")) {
        return Wrong("bad attribute in " + name);
      }
      if (!attributes.insert(attribute).second) {
        return Wrong("attribute twice: " + attribute);
      }
      while (!absl::ConsumePrefix(&rest_, "\"")) {
        if (rest_.empty()) return Wrong("value without an end");
        RETURN_IF_ERROR(Character("<"));
      }
    }
    open_.push_back(name);
    return absl::OkStatus();
  }

  absl::string_view rest_, all_;
  std::vector<std::string> open_;
  std::map<std::string, int> counts_;
};

}  // namespace

absl::StatusOr<std::map<std::string, int>> CheckXml(absl::string_view markup) {
  Scanner scanner(markup);
  RETURN_IF_ERROR(scanner.Scan());
  return scanner.counts();
}

}  // namespace caracal
