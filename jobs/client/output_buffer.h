// What a stream writes to a file descriptor, and the error that ended it.
#ifndef CARACAL_JOBS_CLIENT_OUTPUT_BUFFER_H_
#define CARACAL_JOBS_CLIENT_OUTPUT_BUFFER_H_

#include <array>
#include <streambuf>

namespace caracal {

// The standard library's own buffers leave an error in errno alone, where what
// follows it overwrites it. Not thread-safe; does not close the descriptor, nor
// write what is left when it is destroyed: flush the stream.
class OutputBuffer : public std::streambuf {
 public:
  explicit OutputBuffer(int fd);

  // errno of the first write that failed; after it nothing is written. 0: none.
  int error() const { return error_; }

 protected:
  int_type overflow(int_type next) override;
  int sync() override;

 private:
  const int fd_;
  int error_ = 0;
  std::array<char, 1 << 16> bytes_;
};

}  // namespace caracal

#endif  // CARACAL_JOBS_CLIENT_OUTPUT_BUFFER_H_
