// CHECK macros for programmer errors (shape mismatch, broken invariant): they
// print file, line, condition and the streamed message to stderr, and abort.
// What the world can cause (files, peers, users) is an absl::Status instead.
#ifndef CARACAL_KERNELS_COMMON_CHECK_H_
#define CARACAL_KERNELS_COMMON_CHECK_H_

#include <cstdio>
#include <cstdlib>
#include <sstream>

namespace caracal {
namespace internal {

// Collects the message of a failed check and aborts when destroyed.
class CheckFailure {
 public:
  CheckFailure(const char* file, int line, const char* condition) {
    stream_ << file << ":" << line << ": check failed: " << condition << " ";
  }
  [[noreturn]] ~CheckFailure() {
    std::fprintf(stderr, "%s\n", stream_.str().c_str());
    std::abort();
  }
  std::ostream& stream() { return stream_; }

 private:
  std::ostringstream stream_;
};

// Gives the streamed expression type void, so both arms of ?: agree.
struct Voidify {
  void operator&(std::ostream&) {}
};

}  // namespace internal
}  // namespace caracal

// CARACAL_CHECK(rows > 0) << "rows " << rows;
#define CARACAL_CHECK(condition)                                              \
  (condition)                                                                 \
      ? (void)0                                                               \
      : ::caracal::internal::Voidify() &                                      \
            ::caracal::internal::CheckFailure(__FILE__, __LINE__, #condition) \
                .stream()

#define CARACAL_CHECK_EQ(a, b) \
  CARACAL_CHECK((a) == (b)) << "(" << (a) << " vs " << (b) << ") "

#endif  // CARACAL_KERNELS_COMMON_CHECK_H_
