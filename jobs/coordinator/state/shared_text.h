// A long text that copies of a record share.
#ifndef CARACAL_JOBS_COORDINATOR_STATE_SHARED_TEXT_H_
#define CARACAL_JOBS_COORDINATOR_STATE_SHARED_TEXT_H_

#include <memory>
#include <string>
#include <utility>

namespace caracal {

// Never changes; a copy costs a reference count. Thread-safe.
class SharedText {
 public:
  SharedText() = default;
  SharedText(std::string text)  // NOLINT: is written as a string is
      : text_(std::make_shared<const std::string>(std::move(text))) {}
  SharedText(const char* text) : SharedText(std::string(text)) {}  // NOLINT

  const std::string& str() const {
    static const std::string* const kNone = new std::string;
    return text_ == nullptr ? *kNone : *text_;
  }

  bool operator==(const SharedText& other) const {
    return text_ == other.text_ || str() == other.str();
  }

 private:
  std::shared_ptr<const std::string> text_;  // null: ""
};

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_STATE_SHARED_TEXT_H_
